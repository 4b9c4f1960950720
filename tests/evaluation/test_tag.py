import csv
import dataclasses
import io
import json
import os
import shutil
import subprocess
import sys

import mutagen
import numpy as np
import pytest
import soundfile

from tagkit import audio, cli
from tagkit.evaluation import sweep
from tagkit.evaluation.sweep import Failed, TaggingError
from tagkit.evaluation.tag import Tagged, Tagger
from tagkit.graph import windowing
from tagkit.graph.scorer import Scorer
from tagkit.system import paths
from tagkit.training.runs import Run

SR = 16_000


@pytest.fixture(scope="module")
def tagger(run) -> Tagger:
    return Tagger(run, batch_size=5)  # windows of three clips in one batch


@pytest.fixture
def music(tone_catalog, tmp_path):
    """Four good files in two folders, three bad ones, a hidden one and a picture."""
    root = tmp_path / "music"
    for place, clip_id in (("a.wav", "30"), ("more/a.wav", "31"), ("more/b.wav", "32"), ("z.wav", "33")):
        (root / place).parent.mkdir(exist_ok=True, parents=True)
        shutil.copy(tone_catalog.root / tone_catalog.clips.at[clip_id, "path"], root / place)
    (root / "empty.mp3").write_bytes(b"")
    (root / "text.flac").write_text("no sound")
    whole = (root / "a.wav").read_bytes()
    (root / "more" / "cut.wav").write_bytes(whole[: len(whole) // 2])
    (root / ".hidden.wav").write_bytes(b"")
    (root / "cover.jpg").write_bytes(b"no sound either")
    return root


def noise(samples, seed=0):
    return np.random.default_rng(seed).normal(0, 3000, samples).astype(np.int16)


def direct(run, windows):
    """Scores of int16 windows (windows, window), without any of tagkit's ways of scoring."""
    logits = run.model()(windows[..., None].astype(np.float32) / 32_768, training=False).numpy()
    return (1 / (1 + np.exp(-logits))).mean(0)


def test_the_scores_are_those_of_evaluation(tagger, run, tone_records, tone_catalog):
    indices = tone_records.part("test")
    expected = Scorer(run.model())(tone_records, indices)
    ids = tone_records.catalog.clips.index[indices]
    results = list(tagger.each(tone_catalog.root / tone_catalog.clips.at[i, "path"] for i in ids))
    np.testing.assert_allclose([r.scores for r in results], expected, atol=1e-5)
    one = tagger(results[0].path)
    np.testing.assert_allclose(one.scores, expected[0], atol=1e-5)
    assert list(one.top(2)) == [one.tags[k] for k in np.argsort(-expected[0])[:2]]


@pytest.mark.parametrize(("samples", "windows"), [(2, 1), (1_600, 1), (38_832, 1), (38_833, 2), (100_000, 3)])
def test_every_length_is_covered(tagger, run, tmp_path, samples, windows):
    y = audio.remove_offset(noise(samples))
    audio.save(tmp_path / "y.wav", y, SR)
    tagged = tagger(tmp_path / "y.wav")
    starts = np.linspace(0, max(samples - 38_832, 0), windows).round().astype(int)
    cut = np.stack([np.tile(y, -(-38_832 // samples))[s : s + 38_832] for s in starts])
    np.testing.assert_allclose(tagged.scores, direct(run, cut), atol=1e-5)
    np.testing.assert_allclose(tagged.starts_s, starts / SR)
    assert tagged.duration_s == samples / SR and tagged.window_scores.shape == (windows, 3)


def test_samples_are_taken_like_files(tagger, tmp_path):
    y = noise(50_000)
    audio.save(tmp_path / "y.wav", y, SR)
    from_file = tagger(tmp_path / "y.wav").scores
    for samples in (y, y.astype(">i2"), audio.to_float(y), audio.to_float(y).tolist(), audio.to_float(y).astype("f8")):
        np.testing.assert_allclose(tagger(samples, sr=SR).scores, from_file, atol=1e-6)


def test_samples_at_another_rate_are_resampled_like_files(tagger, tmp_path):
    y = noise(130_000)
    audio.save(tmp_path / "y.wav", y, 44_100)
    for samples in (y, audio.to_float(y)):
        tagged = tagger(samples, sr=44_100)
        np.testing.assert_allclose(tagged.scores, tagger(tmp_path / "y.wav").scores, atol=1e-6)
        assert tagged.duration_s == pytest.approx(130_000 / 44_100, abs=1e-3)


@pytest.mark.parametrize(
    ("samples", "sr", "words"),
    [
        (np.zeros(100, np.float32), None, "does not know its sampling rate"),
        (np.zeros((2, 100), np.int16), SR, "shape"),
        (np.zeros(0, np.float32), SR, "shape"),
        (np.zeros(100, np.int32), SR, "type int32 have no full scale"),
        (np.zeros(100, np.uint8), SR, "type uint8"),
        (np.zeros(100, bool), SR, "type bool"),
        (np.zeros(100, complex), SR, "type complex128"),
        ([1, 2, 3], SR, "type int64"),
        (1000 * np.ones(100), SR, "float samples up to 1000 where full scale is 1"),
        (np.array([0.1, np.nan]), SR, "NaN or infinity"),
        (np.array([0.1, -np.inf]), SR, "NaN or infinity"),
        (np.zeros(100), 3, "a sampling rate of 3 Hz"),
    ],
)
def test_arrays_are_checked_as_files_are(tagger, samples, sr, words):
    with pytest.raises(audio.AudioError, match=words):
        tagger(samples, sr=sr)


@pytest.mark.parametrize("hop_s", [0, -1.0, float("nan"), float("inf")])
def test_windows_start_apart(tagger, hop_s):
    with pytest.raises(TaggingError, match=f"hop_s is {hop_s}"):
        tagger(noise(1000), sr=SR, hop_s=hop_s)


def test_samples_lose_an_offset_as_files_do(tagger, music):
    y = audio.load_int16(music / "a.wav", SR)
    given = y.copy()
    shifted = tagger(given + np.int16(655), sr=SR)
    np.testing.assert_allclose(shifted.scores, tagger(music / "a.wav").scores, atol=1e-5)
    np.testing.assert_array_equal(given, y)


@pytest.mark.parametrize(("samples", "said"), [(8_000, True), (38_832, False)])
def test_a_sound_shorter_than_a_window_is_named(tagger, samples, said):
    remarks = tagger(noise(samples), sr=SR).remarks
    assert any("lasts 0.50 s and is repeated to fill a window of 2.4 s" in each for each in remarks) == said


def test_a_short_sound_is_tagged_as_a_long_one(tagger, tone_records):
    """Half a second of a tone: what follows is more of it, and no silence that the network could hear."""
    for index in tone_records.part("test"):
        y = tone_records.read(index)
        short, long, padded = (tagger(each, sr=SR) for each in (y[:8_000], y, np.pad(y[:8_000], (0, 30_832))))
        assert list(short.top(1)) == list(long.top(1))
        assert np.abs(short.scores - long.scores).max() < np.abs(padded.scores - long.scores).max()


def test_silence_has_no_tags(tagger, run, tmp_path, capsys):
    audio.save(tmp_path / "silence.wav", np.zeros(50_000), SR)
    tagged = tagger(tmp_path / "silence.wav")
    assert tagged.silent and not tagged.scores.any() and tagged.top(3) == {} and "is silent" in tagged.remarks[0]
    for form, shown in (("table", "(silence)"), ("csv", ",,,,is silent"), ("json", '"scores": null')):
        assert cli.main(["tag", str(tmp_path), "--run", str(run.root), "--format", form]) == 0
        said = capsys.readouterr()
        assert shown in said.out
        assert f"{tmp_path / 'silence.wav'} is silent: no sample rises above -80 dBFS." in said.err


def test_a_finer_taggram_reaches_the_end(tagger):
    fine = tagger(noise(80_000), sr=SR, hop_s=0.25)
    np.testing.assert_allclose(np.diff(fine.starts_s), 0.25)
    assert fine.starts_s[-1] + fine.window_s >= fine.duration_s > fine.starts_s[-2] + fine.window_s


def test_a_link_that_leads_nowhere_is_named(tmp_path):
    (tmp_path / "gone.mp3").symlink_to(tmp_path / "moved.mp3")
    (tmp_path / "gone.txt").symlink_to(tmp_path / "moved.txt")
    audio.save(tmp_path / "a.wav", np.zeros(SR), SR)
    song, failed = sweep.find_files([tmp_path])
    assert song == tmp_path / "a.wav"
    assert failed.path == tmp_path / "gone.mp3" and f"is a link to {tmp_path / 'moved.mp3'}, which" in failed.reason


def test_bad_files_fail_in_their_place(tagger, music):
    found = list(sweep.find_files([music / "z.wav", music]))
    names = ["z.wav", "a.wav", "empty.mp3", "a.wav", "b.wav", "cut.wav", "text.flac", "z.wav"]
    assert [p.name for p in found] == names
    results = list(tagger.each(found, jobs=3))
    failed = {k for k, r in enumerate(results) if isinstance(r, Failed)}
    assert failed == {2, 5, 6}
    assert [r.path for r in results] == found
    assert all(str(found[k]) in results[k].reason and "\n" not in results[k].reason for k in failed)
    np.testing.assert_allclose(results[0].scores, results[7].scores, atol=1e-6)


def test_one_hour_after_the_other_decodes_no_more_than_it_must(tagger, music, monkeypatch):
    """Files are decoded a few ahead of the one that is asked for, not all at once."""
    decoded = []
    monkeypatch.setattr(
        sweep, "_decode_or_fail", lambda path, sr: (decoded.append(path), (path, audio.Decoded(noise(40_000), ())))[1]
    )
    results = tagger.each([f"{k}.wav" for k in range(100)], jobs=2)
    next(results)
    assert len(decoded) < 15
    results.close()


def test_networks_of_whole_clips_are_refused(run, monkeypatch):
    monkeypatch.setattr(Run, "model", lambda self: windowing.superpool("ds256ra", "mean", 3))
    with pytest.raises(sweep.TaggingError, match="one window"):
        Tagger(run)


def test_without_a_run_it_says_how_to_get_one(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("TAGKIT_HOME", str(tmp_path))
    assert cli.main(["tag", str(tmp_path)]) == 1
    assert "tagkit import musicnn-mtat" in (error := capsys.readouterr().err) and len(error.strip().splitlines()) == 1


def test_the_default_is_the_demos_run_and_before_it_an_imported_network(run, monkeypatch, tmp_path):
    monkeypatch.setenv("TAGKIT_HOME", str(tmp_path))
    shutil.copytree(run.root, paths.runs_dir() / "demo" / "dm16")
    assert sweep.find_run().root == paths.runs_dir() / "demo" / "dm16"
    shutil.copytree(run.root, paths.runs_dir() / "imported" / "musicnn-mtat")
    assert sweep.find_run().root == paths.runs_dir() / "imported" / "musicnn-mtat"


def test_a_network_that_heard_rendered_music_only_comes_with_a_caution(run):
    assert sweep.caution(run) is None
    assert "rendered music only" in sweep.caution(dataclasses.replace(run, record=run.record | {"dataset": "demo"}))


def test_words_for_one_thing_are_merged_under_the_best_of_their_scores():
    tags = ("female", "rock", "woman", "female voice")
    windows = np.array([[0.1, 0.5, 0.2, 0.3], [0.4, 0.6, 0.2, 0.1]], np.float32)
    one = Tagged(None, 6.0, tags, windows.mean(0), windows, np.array([0, 3]), 3.0).merged()
    assert one.tags == ("female", "rock")
    np.testing.assert_allclose(one.scores, [0.25, 0.55])
    np.testing.assert_allclose(one.window_scores, [[0.3, 0.5], [0.4, 0.6]])


def test_tags_are_written_into_the_files_that_they_are_of(run, tmp_path, capsys):
    path = tmp_path / "song.flac"
    soundfile.write(path, 0.2 * np.sin(np.arange(48_000) / 9), SR)
    before = path.read_bytes()
    written = ("--run", run.root, "--write", "genre", "--at-least", 0.01)
    assert tag(path, *written, "--dry-run") == 0
    assert path.read_bytes() == before
    assert "genre held nothing, would hold" in capsys.readouterr().err
    assert tag(path, *written) == 0
    tagged = Tagger(run)(path)
    assert mutagen.File(path)["genre"] == [t for t, score in tagged.top(3).items() if score >= 0.01]
    assert tag(path, "--run", run.root, "--dry-run") == 1
    assert "--dry-run does nothing without --write" in capsys.readouterr().err


def tag(*arguments):
    return cli.main(["tag", *map(str, arguments)])


def test_the_table_names_what_failed_and_states_the_calibration(run, music, capsys):
    assert tag(music, "--run", run.root, "--top", 2) == 3
    done = capsys.readouterr()
    failures = [line for line in done.err.splitlines() if line.startswith("tagkit tag: ")]
    assert len(failures) == 3
    assert all(any(name in line for line in failures) for name in ("empty.mp3", "text.flac", "cut.wav"))
    lines = done.out.splitlines()
    for line, name in zip(
        lines[1:5], ("music/a.wav", "music/more/a.wav", "music/more/b.wav", "music/z.wav"), strict=True
    ):
        assert line.split()[0].endswith(name) and len(line.split()[0]) <= 60  # a longer path is cut on its left
    assert "Calibration, on the 6 clips of the valid part (split order, tones)" in done.out
    assert sum(tag in lines[1] for tag in ("low", "middle", "high")) == 2


def test_exit_codes(run, music, capsys):
    assert tag(music / "a.wav", "--run", run.root) == 0
    assert tag(music / "empty.mp3", music / "missing.wav", "--run", run.root) == 1
    assert "missing.wav does not exist" in capsys.readouterr().err
    (music / "nothing").mkdir()
    assert tag(music / "nothing", "--run", run.root) == 1
    assert "nothing holds no audio file" in capsys.readouterr().err
    for wrong in (["tag"], ["tag", "x", "--top", "0"], ["tag", "x", "--format", "xml"]):
        with pytest.raises(SystemExit) as stop:
            cli.main(wrong)
        assert stop.value.code == 2


def test_json_and_csv_hold_every_score(run, tagger, music, capsys):
    expected = tagger(music / "a.wav")
    assert tag(music, "--run", run.root, "--format", "json", "--top", 1) == 3
    content = json.loads(capsys.readouterr().out)
    assert len(content["files"]) == 4 and len(content["failed"]) == 3
    first = content["files"][0]
    np.testing.assert_allclose([first["scores"][t] for t in expected.tags], expected.scores, atol=1e-5)
    assert [row["tag"] for row in first["top"]] == list(expected.top(1))
    assert content["calibration"]["part"] == "valid"

    assert tag(music, "--run", run.root, "--format", "csv") == 3
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 4 and rows[0]["path"] == str(music / "a.wav")
    np.testing.assert_allclose([float(rows[0][t]) for t in expected.tags], expected.scores, atol=1e-5)


def test_an_unknown_calibration_is_said(run, music, tmp_path, capsys):
    moved = tmp_path / "moved"
    shutil.copytree(run.root, moved)
    (moved / "calibration.json").unlink(missing_ok=True)
    record = json.loads((moved / "run.json").read_text()) | {"records": str(tmp_path / "gone")}
    (moved / "run.json").write_text(json.dumps(record))
    assert tag(music / "a.wav", "--run", moved) == 0
    assert "is unknown: " in capsys.readouterr().out


def test_each_file_has_its_taggram(run, music, tmp_path):
    assert tag(music, "--run", run.root, "--taggram", tmp_path / "pictures") == 3
    assert {p.name for p in (tmp_path / "pictures").iterdir()} == {
        "a.wav.png",
        "a.wav (2).png",
        "b.wav.png",
        "z.wav.png",
    }


# On Linux `ru_maxrss` also counts what this process, which starts the other, has in memory; VmHWM does not.
PEAK = """
import pathlib, re, resource, sys
from tagkit import cli
code = cli.main(sys.argv[1:])
status = pathlib.Path("/proc/self/status")
if status.is_file():
    peak = 1024 * int(re.search(r"VmHWM:\\s*(\\d+)", status.read_text())[1])
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak, file=sys.stderr)
sys.exit(code)
"""


def test_three_hours_fit_into_two_gigabytes(run, tmp_path):
    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", SR, 1, "PCM_16") as sound:
        for k in range(180):
            sound.write(noise(60 * SR, k))
    command = [sys.executable, "-c", PEAK, "tag", str(path), "--run", str(run.root), "--format", "csv"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].startswith(f"{path},10800.000,")
    assert int(done.stderr.split()[-1]) < 2e9


@pytest.mark.real_data
def test_a_folder_of_real_clips_and_bad_files(run, real_data, tmp_path, capsys):
    """100 real recordings and 10 bad files: 100 rows, 10 errors that name them, exit code 3."""
    folder = tmp_path / "folder"
    folder.mkdir()
    good = [p for p in sorted((real_data / "mini-mtat" / "mp3").rglob("*.mp3")) if p.stat().st_size > 100_000][:100]
    for k, path in enumerate(good):
        (folder / f"{k:03} {path.name}").symlink_to(path)
    cut = good[0].read_bytes()
    bad = [
        b"",
        b"\0" * 5_000,
        b"text",
        cut[:50],
        os.urandom(100_000),
        b"RIFF",
        b"fLaC",
        b"OggS" * 99,
        b"ID3",
        b"%PDF-1.4",
    ]
    for k, content in enumerate(bad):
        (folder / f"bad {k}.{('mp3', 'wav', 'flac', 'ogg', 'm4a')[k % 5]}").write_bytes(content)
    assert tag(folder, "--run", run.root, "--format", "csv") == 3
    done = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(done.out)))
    failures = [line for line in done.err.splitlines() if line.startswith("tagkit tag: ")]
    assert len(rows) == 100
    assert len(failures) == 10 and all(any(f"bad {k}." in line for line in failures) for k in range(10))
