"""The harness of `make bench`: its statistics, its turns, its page, and a run of the quick topics on tiny sizes."""

import json

import pytest

from benchmarks import keras_step, report, topics
from benchmarks.__main__ import line, main
from benchmarks.data import magnatagatune_like
from benchmarks.pairs import Contestant, Reading, Result, Spent, in_turns, ratios
from benchmarks.setting import Setting


def test_ratios_are_those_of_each_pair_and_the_median_decides():
    slow = [Spent(4, 3), Spent(9, 8), Spent(2, 2)]
    fast = [Spent(2, 1), Spent(3, 2), Spent(4, 4)]
    assert ratios(slow, fast) == (2, 3, 0.5)
    assert ratios(slow, fast, cpu=True) == (3, 4, 0.5)
    assert ratios(slow, fast, scale=10) == (20, 30, 5), "the slow one did a tenth of the work"
    assert Reading("faster", ratios(slow, fast), bar=2).median == 2


@pytest.mark.parametrize(
    ("values", "bar", "at_least", "verdict"),
    [
        ((1, 2, 3), 2, True, "holds"),
        ((1, 2, 3), 2.01, True, "falls short"),
        ((1, 2, 3), 2, False, "holds"),
        ((1, 2, 30), 1.99, False, "falls short"),
        ((1, 2, 3), None, True, ""),
    ],
)
def test_a_bar_is_for_the_median(values, bar, at_least, verdict):
    reading = Reading("a figure", values, "s", bar, at_least)
    assert reading.verdict == verdict
    assert line(reading).rstrip().endswith(verdict or "2 (1 to 3) s")


def test_turns_alternate_so_that_a_drift_favours_nobody():
    order = []

    def job(name):
        return lambda: order.append(name) or Spent(len(order), 0)

    rows = in_turns([job("a"), job("b")], 3)
    assert "".join(order) == "abbaab"
    assert [tuple(s.wall for s in row) for row in rows] == [(1, 2), (4, 3), (5, 6)]


def sleeper(seconds):
    import time

    return lambda: time.sleep(seconds)


def burner(seconds):
    import time

    def job():
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass

    return job


def failing():
    raise ValueError("no music here")


def test_contestants_are_timed_in_processes_of_their_own():
    with Contestant(sleeper, 0.05) as asleep, Contestant(burner, 0.05) as awake:
        (a, b), *_ = in_turns([asleep, awake], 2)
    assert a.wall >= 0.05 > a.cpu
    assert 1.01 * b.wall >= b.cpu >= 0.05, "two clocks, which differ by less than a percent"


def test_a_failing_contestant_says_what_happened():
    with pytest.raises(RuntimeError, match="no music here"), Contestant(failing):
        pass


def test_the_page_follows_from_the_records_alone(tmp_path):
    readings = [Reading("good", (2.0, 3.0, 2.5), bar=2), Reading("poor", (7.0, 8.0, 9.0), "%", 3, False)]
    result = Result([*readings, Reading("told", (1234.5,), "clips/s")], ["A note."], {"Profile": "99 ms Conv"})
    records = tmp_path / "docs" / "benchmarks"
    report.write_record(records, "prepare", "Preparing: clips.", Setting(tmp_path), result, load=1.25)
    page = report.write(records, tmp_path)
    text = page.read_text()
    for expected in (
        f"**Bars that hold. {report.machine()['processor']}: 1 of 2.**",
        "## Preparing: clips\n",
        "| good | 2.5 (2 to 3) times | at least 2 | holds |",
        "| poor | 8 (7 to 9) % | at most 3 | falls short |",
        "| told | 1,234 clips/s |  |  |",
        "A note.",
        "99 ms Conv",
        "`make bench ONLY=prepare`",
        "python 3.",
        "load 1.2 processes waiting or running when it began",
        "The music is synthetic",
        "A pool of 24 files is linked",
    ):
        assert expected in text
    assert (tmp_path / "figures" / "benchmarks.png").stat().st_size > 5_000
    page.unlink()
    assert main(["--report", "--small", "--folder", str(tmp_path)]) == 0
    assert page.read_text() == text


def test_each_processor_has_its_own_records_and_both_are_told(tmp_path, monkeypatch):
    here = report.machine()
    for processor, median in (("Slow (R) 1, 2 cores", 1.0), ("Fast, 2 cores", 3.0)):
        monkeypatch.setattr(report, "machine", lambda processor=processor: here | {"processor": processor})
        result = Result([Reading("good", (median,), bar=2)])
        report.write_record(tmp_path / "records", "step", "Step.", Setting(tmp_path), result, load=0)
    assert {p.parent.name for p in tmp_path.glob("records/*/step.json")} == {"slow-r-1-2-cores", "fast-2-cores"}
    text = report.write(tmp_path / "records", tmp_path).read_text()
    assert "**Bars that hold. Fast, 2 cores: 1 of 1; Slow (R) 1, 2 cores: 0 of 1.**" in text
    assert text.count("## Step") == 1 and text.index("**Fast, 2 cores**") < text.index("**Slow (R) 1, 2 cores**")
    assert "| good | 1 times | at least 2 | falls short |" in text and "| good | 3 times | at least 2 | holds |" in text
    readings = {name: [Reading("good", (1.0,), bar=2)] for name in ("a", "b")}
    assert [ax.get_title("left") for ax in report.draw(readings | {"nothing": []}).axes] == ["a", "b"]


def test_an_older_record_is_read_and_says_that_its_load_was_taken_at_the_end(tmp_path):
    path = report.write_record(tmp_path, "step", "Step.", Setting(tmp_path), Result(), load=3.0)
    record = json.loads(path.read_text())
    assert "load" not in record["machine"]
    del record["load"]
    record["machine"] |= {"system": "Linux 6.18.44-fc-v669", "load": "1.2 processes waiting or running when it began"}
    text = report.markdown([record])
    assert "system Linux 6.18, " in text
    assert "load 1.2 processes waiting or running when it ended" in text and "when it began" not in text


def test_load_is_taken_before_the_topic_is_measured(tmp_path, monkeypatch):
    loads = [0.5]
    monkeypatch.setattr(report, "load", lambda: loads[-1])
    monkeypatch.setattr(topics, "measure", lambda *_: loads.append(9.0) or Result([Reading("a figure", (1.0,))]))
    assert main(["step", "--small", "--folder", str(tmp_path)]) == 0
    (path,) = tmp_path.glob("docs/benchmarks/*/step.json")
    assert json.loads(path.read_text())["load"] == 0.5


def test_what_lies_beyond_the_ends_of_the_drawing_is_an_arrow_and_what_is_no_multiple_says_so():
    readings = [
        Reading("fast", (500.0,), bar=2),
        Reading("poor", (0.01,), bar=2),
        Reading("shrunk", (-3.0, -1.0, 4.0), "%", 10, False),
        Reading("fair", (4.0,), bar=2),
        Reading("none", (0.0,), bar=0, at_least=False),
    ]
    (ax,) = report.draw({"here": readings}).axes
    assert [tick.get_text() for tick in ax.get_yticklabels()][::-1] == [
        "fast, at least 2 times",
        "poor, at least 2 times",
        "shrunk, at most 10 %",
        "fair, at least 2 times",
    ]
    medians = [line for line in ax.lines if line.get_marker() in ("o", "<", ">")][::-1]
    assert [line.get_marker() for line in medians] == [">", "<", ">", "o"]
    assert [line.get_xdata()[0] for line in medians] == [report.MOST, report.LEAST, report.MOST, 2]
    assert [text.get_text() for text in ax.texts] == ["-1 %"]
    ends = [ax.get_xticklabels()[k].get_text() for k in (0, -1)]
    assert ends == ["⅒ or\nless", "20 or\nmore"]


def test_clips_are_linked_from_a_small_pool(tmp_path):
    catalog = magnatagatune_like(tmp_path, 40, 0.5)
    files = [(catalog.root / path).stat() for path in catalog.clips["path"]]
    assert len(catalog) == 40
    assert len({f.st_ino for f in files}) == 24
    assert all(catalog.split_sizes("pons").values())


def test_a_small_run_prints_figures_writes_records_and_says_by_its_exit_code_whether_bars_hold(tmp_path, capsys):
    code = main(["startup", "--small", "--rounds", "1", "--folder", str(tmp_path)])
    (path,) = tmp_path.glob("docs/benchmarks/*/startup.json")
    record = json.loads(path.read_text())
    readings = [Reading.from_dict(r) for r in record["readings"]]
    assert [r.name for r in readings][:2] == ["tagkit --help", "import tagkit"]
    assert readings[2].values == (0,), "TensorFlow is imported only by what needs it"
    assert code == (0 if all(r.holds for r in readings) else 1)
    assert "tagkit --help" in capsys.readouterr().out


def test_the_step_that_is_measured_trains():
    first, *_, last = keras_step.keras_job("ds256ra", 20)()
    assert last < first


def test_an_unknown_topic_is_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["nonsense"])
    assert "there is no topic nonsense" in capsys.readouterr().err


def test_every_topic_has_a_module_and_a_title():
    assert all(topics.title(name).endswith(".") and hasattr(topics.module(name), "run") for name in topics.TOPICS)
