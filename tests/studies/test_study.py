import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tagkit import audio, studies, workspace
from tagkit.data.records import Records
from tagkit.evaluation import compare
from tagkit.graph import windowing, zoo
from tagkit.graph.specs import WINDOWINGS
from tagkit.studies import longer, plans, runner, writeup
from tagkit.studies.plans import PLANS, Entry, Plan
from tagkit.studies.store import Store
from tagkit.system import files
from tagkit.training.config import TrainingConfig
from tagkit.training.runs import Run

RESULTS = Path(__file__).parents[2] / "docs" / "results"
SMALL = Plan(
    "zoo",
    "tones",
    (
        Entry("ds256ra", "kernel sizes"),
        Entry("mkc_r", "kernel sizes"),
        Entry("ds256ra", "losses", {"loss": "focal"}, "f"),
    ),
    budget_s=0.2,
    seeds=2,
    base=TrainingConfig(batch_size=4, speed_semitones=0, attenuation_db=0),
    validations=2,
    finalists=1,
)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TAGKIT_HOME", str(tmp_path))
    return tmp_path


def test_every_row_of_the_predecessor_and_every_family_is_studied():
    from tagkit.graph import predecessor

    studied = {e.model for e in PLANS["zoo"].entries}
    variants = {"ds256rb_linear", "ds256rb_elu"}
    assert {row.name for row in predecessor.ROWS} - variants <= studied
    assert {"samplecnn", "samplecnn_se", "samplecnn_res", "samplecnn_rese", "crnn", "crnn_mel", "musicnn"} <= studied
    for model in ("dm16", "ds256ra"):
        merged = {e.settings["windowing"] for e in plans.windowings(model)}
        assert merged == set(WINDOWINGS) - {"split"}


@pytest.mark.parametrize("name", PLANS)
def test_plans_are_settled(name):
    """Every entry has its own name and file, names a row, and its windowing fits the row."""
    entries = PLANS[name].entries
    assert len({e.slug for e in entries}) == len(entries)
    for e in entries:
        config = replace(PLANS[name].base, model=e.model, **e.settings)
        windowing.settle(zoo.find(e.model), config.windowing, 465_984)


def test_a_study_trains_scores_and_is_written_up_from_its_records_alone(home, tone_records):
    runner.run(SMALL, tone_records, jobs=0, progress=False)
    store = Store("zoo")
    groups = {g.name: g for g in compare.group(store.read().values())}
    assert sorted(len(g.seeds) for g in groups.values()) == [1, 1, 2], "one finalist gets the second seed"
    first = {name: g.first.training for name, g in groups.items()}
    finalist = max(groups.values(), key=lambda g: len(g.seeds))
    assert first[finalist.name].best_valid_roc_auc == max(t.best_valid_roc_auc for t in first.values())
    for g in groups.values():
        steps = {r.training.config.steps for r in g.results}
        assert len(steps) == 1, "all seeds train equally long"
        assert g.training("cpu_seconds") < 10
    assert first["ds256ra"].config.steps > 2

    before = store.path.stat().st_mtime_ns
    runner.run(SMALL, tone_records, jobs=0, progress=False)
    assert store.path.stat().st_mtime_ns == before, "nothing is redone"

    page, *figures = writeup.write()
    assert page == home / "docs" / "results.md" and all(f.is_file() for f in figures)
    text = page.read_text()
    assert str(groups["ds256ra"].score("roc_auc")) in text
    assert (
        "### Every network on its own windows" in text and "SampleCNN (Won et al. 2020) | raw | clean | 0.9058" in text
    )


def test_longer_training_is_written_up_beside_shorter(tmp_path):
    """On the zoo's results, the second seed standing for longer training."""
    models, zoo_results = ("logmel", "dm16", "ds256rc", "mkc_r", "res13"), Store("zoo", RESULTS).read()
    store = Store("hour", tmp_path)
    for model in models:
        for seed, span in enumerate(("minute", "ten minutes")):
            about = {"name": f"{model}, {span}", "family": span, "seed": 0, "budget_s": plans.SPANS[span]}
            store.add(replace(zoo_results[model, seed], **about))
        if model == models[0]:  # a study that was just begun
            begun = [r for r in store.read().values() if r.family == "minute"]
            (row,) = longer.table(longer.by_span(compare.group(begun))).to_dict("records")
            assert row["gain"] == "-" and row["ROC-AUC, minute"] == str(begun[0].roc_auc)
    spans = longer.by_span(compare.group(store.read().values()))
    assert [(span, set(found)) for span, found in spans.items()] == [
        (s, set(models)) for s in ("minute", "ten minutes")
    ]

    rho, count = longer.rank_correlation(*spans.values())
    scores = [[found[m].first.roc_auc.value for m in models] for found in spans.values()]
    ranks = [np.argsort(np.argsort(s)) for s in scores]
    assert count == 5 and all(len(set(s)) == 5 for s in scores)
    assert rho.value == pytest.approx(1 - np.square(ranks[0] - ranks[1]).sum() * 6 / (5 * 24)), "the textbook's formula"
    assert rho.low <= rho.value <= rho.high

    page, *figures = writeup.write(tmp_path, tmp_path / "results.md", tmp_path / "figures")
    assert [f.name for f in figures] == ["results_hour.png"]
    text = page.read_text()
    assert f"Ranks of 5 networks after a minute and after ten minutes correlate by {rho}" in text
    gain = compare.difference(spans["ten minutes"]["mkc_r"], spans["minute"]["mkc_r"])
    assert f"| mkc_r | raw | {spans['minute']['mkc_r'].score('roc_auc')} |" in text and compare.signed(gain) in text


@pytest.mark.parametrize(
    ("study", "kept", "message"),
    [
        ("zoo", "dm16 focal", "zoo hold no network as its row draws it"),
        ("recordings", "logmel", "recordings hold no network of the waveform"),
        ("pretraining", "dm16 after", "pretraining hold no training from scratch"),
    ],
)
def test_half_a_study_that_says_nothing_is_not_written_up(tmp_path, study, kept, message):
    for (name, _), result in Store(study, RESULTS).read().items():
        if name.startswith(kept):
            Store(study, tmp_path).add(result)
    with pytest.raises(compare.ComparisonError, match=f"{message} yet; go on with `tagkit study {study}`"):
        writeup.write(tmp_path, tmp_path / "results.md", tmp_path / "figures")
    assert not (tmp_path / "results.md").exists() and not (tmp_path / "figures").exists()


def test_a_study_is_interrupted_by_ctrl_c_and_goes_on(home, tone_records):
    script = home / "study.py"
    script.write_text(
        "from tests.studies.test_study import SMALL, runner\nfrom dataclasses import replace\n"
        "from tagkit.data.records import Records\n"
        "if __name__ == '__main__':\n"
        f"    plan = replace(SMALL, budget_s=600, seeds=1, entries=SMALL.entries[:2])\n"
        f"    runner.run(plan, Records.open({str(tone_records.root)!r}))\n"
    )
    runs = home / "runs" / "study" / "zoo"
    here = os.environ | {"PYTHONPATH": str(Path.cwd())}
    process = subprocess.Popen([sys.executable, script], env=here, stderr=subprocess.PIPE, start_new_session=True)
    while process.poll() is None and len(list(runs.glob("*/run.json"))) < 2:
        time.sleep(0.1)
    time.sleep(3)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert len(list(runs.glob("*/checkpoint.npz"))) == 2, "both trainings were saved"
    steps = files.read_json(runs / "ds256ra-0" / "run.json")["config"]["steps"]
    assert Store("zoo").steps("ds256ra", 600) == steps, "it goes on as long as planned"


def test_one_failing_training_stops_no_other_and_is_all_that_is_heard_of(home, tone_records, capfd):
    broken = replace(SMALL.entries[1], settings={"learning_rate": 1e30})
    plan_of_two = replace(SMALL, entries=(broken, SMALL.entries[0]), seeds=1)
    with pytest.raises(runner.StudyError, match="1 trainings failed, as said above: mkc_r seed 0"):
        runner.run(plan_of_two, tone_records, progress=False)
    assert "cuda" not in (said := capfd.readouterr().err) and said.strip().startswith("mkc_r seed 0: "), said
    assert list(Store("zoo").read()) == [("ds256ra", 0)]


def test_results_of_another_budget_are_not_taken_for_done(home, tone_records):
    one = replace(SMALL, entries=SMALL.entries[:1], seeds=1)
    runner.run(one, tone_records, jobs=0, progress=False)
    with pytest.raises(runner.StudyError, match=r"has ds256ra seed 0 with budget_s 0\.2, but this study has 5"):
        runner.run(replace(one, budget_s=5), tone_records, jobs=0, progress=False)


def test_results_of_other_settings_are_not_taken_for_done(home, tone_records):
    one = replace(SMALL, entries=SMALL.entries[:1], seeds=1)
    runner.run(one, tone_records, jobs=0, progress=False)
    runner.run(one, tone_records, jobs=0, progress=False)
    softer = replace(one, base=replace(one.base, attenuation_db=3.0))
    with pytest.raises(runner.StudyError, match=r"with attenuation_db 0, but this study has 3.0; move"):
        runner.run(softer, tone_records, jobs=0, progress=False)
    store = Store("zoo")
    store.add(replace(next(iter(store.read().values())), decoding=1))
    with pytest.raises(runner.StudyError, match=rf"with decoding 1, but this study has {audio.DECODING}; move"):
        runner.run(one, tone_records, jobs=0, progress=False)


def test_who_asks_for_one_entry_hears_why_it_has_one_seed(home, tone_records, capsys):
    runner.run(SMALL, tone_records, jobs=0, only=["mkc_r"], progress=False)
    assert "Only one seed of mkc_r was trained: further seeds are for the 1 best entries" in capsys.readouterr().err


def test_a_smoke_run_reads_the_results_that_are_there_and_else_trains_two(home, tone_records, monkeypatch):
    monkeypatch.setenv("TAGKIT_SMOKE", "1")
    monkeypatch.setattr(workspace, "records", lambda dataset: tone_records)
    names = ["ds256ra", "mkc_r", "dm16"]
    assert [(g.name, len(g.seeds)) for g in studies.groups("zoo", names)] == [("ds256ra", 1), ("mkc_r", 1)]
    shutil.copytree(RESULTS, home / "docs" / "results", dirs_exist_ok=True)
    assert [(g.name, len(g.seeds)) for g in studies.groups("zoo", names)] == [(name, 3) for name in names]


def test_pretraining_is_done_once_for_each_seed_and_adopted(home, tone_records, monkeypatch):
    monkeypatch.setattr(runner, "rendered", lambda clips: tone_records)
    before = plans.Pretraining(20, budget_s=0.2)
    entries = (Entry("ds256ra", "p", name="fresh"), Entry("ds256ra", "p", name="after", pretraining=before))
    study = replace(SMALL, name="pretraining", entries=entries, seeds=1)
    runner.run(study, tone_records, jobs=0, progress=False)
    results = Store("pretraining").read()
    assert results["fresh", 0].training.init is None
    assert results["after", 0].training.init["data"] == tone_records.fingerprint
    assert str(home) not in json.dumps(results["after", 0].to_json()), "no path of this machine"
    text = writeup.write()[0].read_text()
    assert "| fresh |" in text and "in ROC-AUC over `fresh`" in text


def test_steps_are_settled_once_for_all_machines(home, tone_records, monkeypatch):
    """Another machine, which has neither runs nor results but the settled steps, measures nothing."""
    plan = replace(SMALL, entries=SMALL.entries[:1], seeds=1)
    Store(plan.name).settle("ds256ra", plan.budget_s, 6)
    monkeypatch.setattr(runner, "settle_steps", lambda *_: pytest.fail("it was measured anew"))
    runner.run(plan, tone_records, jobs=0, progress=False)
    (result,) = Store(plan.name).read().values()
    assert result.training.config.steps == 6
    assert Store(plan.name).steps("ds256ra", 2 * plan.budget_s + 1) is None


def test_budgets_become_as_many_steps_before_every_validation(tone_records, monkeypatch):
    monkeypatch.setattr(runner, "step_seconds", lambda config, records: 0.3)
    steps = [runner.settle_steps(SMALL, budget, SMALL.base, tone_records) for budget in (0, 0.1, 5, 60)]
    assert steps == [2, 2, 16, 200]


def test_names_of_losses_and_plans_agree():
    from tagkit.cli import studying
    from tagkit.training import config, losses

    assert tuple(losses.LOSSES) == config.LOSSES
    assert ("split", "none", *(windowing.PREFIX + name for name in windowing.METHODS)) == WINDOWINGS
    assert tuple(PLANS) == studying.PLANS


def test_a_row_of_the_studys_own_is_what_is_trained(home, tone_records):
    """Not the row of the zoo that it was made from: filters that are fixed stay, noise is not Gabor's filters."""
    fixed = [e for e in PLANS["bank"].entries if e.label == "filters fixed, PCEN trained"]
    study = replace(PLANS["bank"], entries=tuple(fixed), budget_s=0, seeds=1, base=SMALL.base, validations=1)
    runner.run(study, tone_records, jobs=0, progress=False)
    (result,) = Store("bank").read().values()
    assert result.model == "bank_fixed_pcen" and result.network.input == "learned bank"
    trained = Run.open(runner.run_folder(study, fixed[0], 0))
    assert trained.row == fixed[0].model and "bank_conv/kernel" not in {
        v.path for v in trained.model().trainable_variables
    }
    assert result.moved["change"] < 1e-6 and result.moved["centre"] == 0
    assert "| filters fixed, PCEN trained |" in writeup.write()[0].read_text()


def test_an_unknown_entry_is_named(home, tone_records):
    with pytest.raises(ValueError, match="zoo has no 'dm99'"):
        runner.run(SMALL, tone_records, only=["dm99"])


def test_a_teacher_is_compared_with_tags_for_each_network(home, run, tone_records):
    records = Records.open(shutil.copytree(tone_records.root, home / "records"))
    ways = {
        "tags": {},
        "teacher": {"teacher": str(run.root)},
        "both": {"teacher": str(run.root), "teacher_weight": 0.5},
    }
    entries = tuple(Entry("ds256ra", "ds256ra", settings, f"ds256ra by {way}") for way, settings in ways.items())
    small = replace(SMALL, name="teacher", entries=entries, budget_s=0, seeds=1, finalists=None)
    for _ in range(2):  # the second time all is there
        runner.run(small, records, jobs=0, progress=False)
    results = Store("teacher").read()
    assert {name for (name, _), r in results.items() if r.agreement is None} == {"ds256ra by tags"}
    page, *_ = writeup.write()
    text = page.read_text()
    assert "a teacher that may know these recordings" in text
    assert text.count("of its teacher correlate by") == 2
