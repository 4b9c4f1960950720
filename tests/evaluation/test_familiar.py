import dataclasses
import json
import os
import shutil

import numpy as np
import pytest

from tagkit import audio, cli
from tagkit.data.records import Records
from tagkit.evaluation import familiar
from tagkit.evaluation.embed import Embedder
from tagkit.evaluation.tag import Tagger
from tagkit.training.runs import Run, TrainingError

SR = 16_000


@pytest.fixture(scope="module")
def split_run(run, tone_records, tmp_path_factory):
    """The run, and records with a split whose validation part has 19 clips."""
    root = tmp_path_factory.mktemp("split")
    shutil.copytree(tone_records.root, root / "records")
    lines = [json.loads(line) for line in (root / "records/clips.jsonl").read_text().splitlines()]
    for k, line in enumerate(lines):
        line["splits"] = {"order": ("train", "valid", "valid", "test")[k % 4] if k < 32 else "valid"}
    (root / "records/clips.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    shutil.copytree(run.root, root / "run")
    found = Run.open(root / "run")
    return dataclasses.replace(found, record=found.record | {"records": str(root / "records")})


def test_the_distances_are_those_of_embeddings(split_run):
    heard = familiar.of_run(split_run)
    records = Records.open(split_run.records_root)
    embedder = Embedder(split_run)
    vectors = {
        part: np.stack([embedder(records.read(i), sr=SR).vector for i in records.part(part, "order")[:6]])
        for part in ("train", "valid")
    }
    np.testing.assert_allclose(heard.vectors[:6], vectors["train"], atol=1e-4)
    for vector in vectors["valid"]:
        distance = np.sqrt(((heard.vectors - vector) ** 2).sum(axis=1)).min()
        share = (1 + (heard.distances >= distance - 1e-3).sum()) / (1 + len(heard.distances))
        assert heard.likeness(vector) == pytest.approx(share, abs=1.5 / (1 + len(heard.distances)))
    assert (split_run.root / familiar.FILE).is_file() and len(heard.distances) == 19
    again = familiar.of_run(split_run)
    np.testing.assert_array_equal(again.distances, heard.distances)
    assert again.record == heard.record


def test_what_is_far_from_the_training_clips_is_named(split_run):
    heard = familiar.of_run(split_run)
    records, tagger = Records.open(split_run.records_root), Tagger(split_run)
    held_out = [tagger(records.read(i), sr=SR) for i in records.part("test", "order")]
    assert len(held_out) == 8 and sum(each.unlike for each in held_out) <= 2
    clicks = np.zeros(50_000, np.float32)
    clicks[::400] = 0.99
    strange = tagger(clicks, sr=SR)
    assert strange.unlike and strange.likeness == pytest.approx(1 / 20)
    assert any("is unlike the 8 clips that the network was trained on" in remark for remark in strange.remarks)
    plain = Tagger(dataclasses.replace(split_run, root=split_run.root), heard=heard)
    np.testing.assert_allclose(plain(clicks, sr=SR).scores, strange.scores, atol=1e-6)
    likeness = heard.likeness(heard.vectors[0] + 1e3)
    assert "louder than all of them, at -3 dBFS" in heard.remark(likeness, -3.0)
    assert "louder" not in heard.remark(likeness, float(heard.levels_db.mean()))


def test_silence_and_other_weights_are_not_compared(split_run, tmp_path):
    familiar.of_run(split_run)
    assert Tagger(split_run)(np.zeros(50_000, np.int16), sr=SR).likeness is None
    moved = dataclasses.replace(split_run, root=shutil.copytree(split_run.root, tmp_path / "run"))
    moved.best_weights.write_bytes(moved.best_weights.read_bytes() + b" ")
    assert familiar.stored(moved) is None
    (moved.root / familiar.FILE).write_bytes(b"no archive")
    with pytest.raises(TrainingError, match=r"familiar\.npz is damaged .*remove it"):
        familiar.stored(moved)


def test_the_table_says_what_the_network_was_trained_on_and_marks_what_is_unlike(split_run, tmp_path, capsys):
    familiar.of_run(split_run)
    records = Records.open(split_run.records_root)
    audio.save(tmp_path / "like.wav", records.waveform("4"), SR)
    clicks = np.zeros(50_000)
    clicks[::400] = 0.99
    audio.save(tmp_path / "strange.wav", clicks, SR)
    assert cli.main(["tag", str(tmp_path), "--run", str(split_run.root)]) == 0
    said = capsys.readouterr()
    rows = [line for line in said.out.splitlines() if ".wav" in line]
    assert [row.endswith("(unlike)") for row in rows] == [False, True]
    assert "Trained on 23 clips of tones (split order)." in said.out
    assert "1 of 2 files, marked (unlike), are not like that music (5% of music like it would be marked)" in said.out
    assert f"{tmp_path / 'strange.wav'} is unlike the 8 clips" in said.err
    assert cli.main(["tag", str(tmp_path), "--run", str(split_run.root), "--format", "json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [each["unlike"] for each in content["files"]] == [False, True]
    assert all(shown["share_right"] is None for shown in content["files"][1]["top"])
    assert content["trained_on"]["words"] == "23 clips of tones (split order)" and content["likeness_unknown"] is None
    (tmp_path / "like.wav").unlink()
    assert cli.main(["tag", str(tmp_path), "--run", str(split_run.root)]) == 0
    assert "Calibration" not in capsys.readouterr().out  # it holds for similar music


def test_too_few_validation_clips_are_said(run, tmp_path, capsys):
    audio.save(tmp_path / "a.wav", 0.1 * np.random.default_rng(0).standard_normal(50_000), SR)
    assert cli.main(["tag", str(tmp_path / "a.wav"), "--run", str(run.root)]) == 0
    out = capsys.readouterr().out
    assert "is unknown" in out and "has 6 validation clips in its split 'order', and 19 are needed to tell" in out
    assert "Trained on 23 clips of tones" in out


def test_records_of_another_decoder_are_not_compared(split_run, tmp_path, monkeypatch):
    moved = dataclasses.replace(split_run, root=shutil.copytree(split_run.root, tmp_path / "run"))
    familiar.of_run(moved)
    monkeypatch.setattr(audio, "DECODING", audio.DECODING + 1)
    assert familiar.stored(moved) is None
    with pytest.raises(TrainingError, match="as an older tagkit decoded them"):
        familiar.of_run(moved)


@pytest.mark.real_data
def test_recordings_are_unlike_rendered_music_and_held_out_pieces_are_not(real_data):
    """The demo's network in TAGKIT_DEMO_RUN: docs/trust.md has these rates."""

    folder = os.environ.get("TAGKIT_DEMO_RUN")
    if not folder:
        pytest.skip("TAGKIT_DEMO_RUN names no run of `make demo`: this test did not run")
    run = Run.open(folder)
    heard, records = familiar.of_run(run), run.open_records()
    tagger = Tagger(run, heard=heard)
    held_out = [tagger(records.read(i), sr=SR).unlike for i in records.part("test", run.record["split"])]
    clips = [path for path in sorted((real_data / "mini-mtat/mp3").glob("*/*.mp3")) if path.stat().st_size][::5]
    real = [tagger(path).unlike for path in clips]
    assert np.mean(held_out) < 0.12 and np.mean(real) > 0.4
