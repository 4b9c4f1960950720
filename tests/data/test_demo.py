"""Rendering the demo for real: exact clips, the same bytes whatever happens on the way, and the Catalog read back."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import filelock
import numpy as np
import psutil
import pytest
import soundfile

from tagkit.data import demo
from tagkit.data.catalog import CatalogError
from tagkit.data.demo import build, synthesis
from tagkit.data.demo.arrange import Arrangement
from tagkit.system import files

N_CLIPS = 6  # among them a test and a valid clip


def waveforms(root):
    """sha256 of the samples of each clip below `root`."""
    found = sorted(root.glob("?/*.flac"))
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(soundfile.read(path, dtype="int16")[0].tobytes()).hexdigest()
        for path in found
    }


@pytest.fixture(scope="module")
def rendered(tmp_path_factory, scores_folder):
    root = tmp_path_factory.mktemp("demo")
    (root / build.SCORES).write_bytes((scores_folder / build.SCORES).read_bytes())
    demo.render(root, N_CLIPS, jobs=1, progress=False)
    return root


def start(root, n_clips=N_CLIPS):
    """A process that renders clips with two workers, in a terminal session of its own."""
    command = f"from tagkit.data import demo; demo.render({str(root)!r}, {n_clips}, jobs=2, progress=False)"
    arguments = [sys.executable, "-W", "error", "-c", command]
    return subprocess.Popen(
        arguments, start_new_session=True, stderr=subprocess.PIPE, cwd=Path(demo.__file__).parents[3]
    )


def wait_for_clips(root, n, process):
    limit = time.monotonic() + 120
    while len(list(root.glob("?/[!.]*.flac"))) < n:
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < limit
        time.sleep(0.02)


def in_session(process, session):
    """Whether a process belongs to this terminal session and is alive."""
    try:
        return os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):  # it ended meanwhile
        return False


def session_is_empty(session, within_s=10):
    """Whether no process of this terminal session is left after some seconds."""
    limit = time.monotonic() + within_s
    while time.monotonic() < limit:
        if not any(in_session(process, session) for process in psutil.process_iter()):
            return True
        time.sleep(0.1)
    return False


def test_clips_are_exactly_as_long_as_magnatagatunes_and_lossless(rendered):
    catalog = demo.read(rendered)
    assert len(catalog) == N_CLIPS
    for position in range(len(catalog)):
        info = soundfile.info(catalog.clip(position).path)
        assert (info.frames, info.samplerate, info.channels) == (465_984, 16_000, 1)
        assert (info.format, info.subtype) == ("FLAC", "PCM_16")


def test_clips_are_neither_clipped_nor_silent_and_as_loud_as_tagged(rendered):
    catalog = demo.read(rendered)
    for position in range(len(catalog)):
        clip = catalog.clip(position)
        y = soundfile.read(clip.path)[0]
        assert np.abs(y).max() < 0.995
        windows = y[: 12 * 38_832].reshape(12, -1)
        assert windows.std(axis=1).min() > 0.1 * y.std()
        rms_db = 10 * np.log10(np.mean(y**2))
        assert ("loud" in clip.tags) == (rms_db >= demo.LOUD_DB)
        assert ("quiet" in clip.tags) == (rms_db <= demo.QUIET_DB)


def test_a_clip_that_its_peaks_keep_from_being_loud_is_refused():
    notes = np.array([[0, 0.0, 0.5, 69, 120]])  # one short note in 29 s of silence
    soft, loud = (Arrangement(notes, {0: 0}, {0: 100}, level_db) for level_db in (-26.0, -17.0))
    y = synthesis.play(soft) / 32768
    crest_db = 20 * np.log10(np.abs(y).max() / np.sqrt(np.mean(y**2)))
    assert crest_db > -demo.LOUD_DB
    with pytest.raises(CatalogError, match=r"of -17\.00 dB RMS reaches -2\d\.\d\d dB without clipping.*another seed"):
        synthesis.play(loud)


def test_paths_of_clips_are_absolute(rendered, monkeypatch):
    monkeypatch.chdir(rendered.parent)
    catalog = demo.read(rendered.name)
    assert catalog.root == rendered and catalog.clip(0).path.is_absolute()
    assert catalog.fingerprint() == demo.read(rendered).fingerprint()


def test_catalog(rendered, pool):
    catalog = demo.read(rendered)
    assert (catalog.name, catalog.default_split, catalog.default_vocabulary) == ("demo", "piece", "all")
    assert catalog.cluster_by == "song"
    assert catalog.tags() == demo.TAGS
    assert catalog.split_sizes() == {"train": 4, "valid": 1, "test": 1}
    for (clip_id, row), clip in zip(catalog.clips.iterrows(), build.demo_clips(*pool), strict=False):
        assert (clip_id, row["path"], row["artist"]) == (clip.clip_id, clip.path, clip.score.composer)
        assert row["song"] == clip.piece
        assert catalog[clip_id].tags == clip.arrange().tags
        assert row["path"][0] in {"train": "0123456789ab", "valid": "c", "test": "def"}[clip.part]


def test_the_same_bytes_with_other_jobs_and_first_ones_of_more(rendered, new_root):
    root = new_root()
    demo.render(root, N_CLIPS - 2, jobs=2, progress=False)
    some = waveforms(root)
    demo.render(root, N_CLIPS, jobs=2, progress=False)
    assert waveforms(root) == waveforms(rendered)
    assert some.items() < waveforms(rendered).items()
    assert demo.read(root).fingerprint() == demo.read(rendered).fingerprint()


def test_a_finished_dataset_is_not_rendered_again(rendered):
    before = {path: path.stat().st_mtime_ns for path in rendered.rglob("*") if path.name != ".lock"}
    demo.render(rendered, N_CLIPS, progress=False)
    assert {path: path.stat().st_mtime_ns for path in rendered.rglob("*") if path.name != ".lock"} == before


def test_killed_and_resumed_it_ends_with_the_same_bytes(rendered, new_root):
    root = new_root()
    process = start(root)
    wait_for_clips(root, 2, process)
    process.kill()
    process.wait()
    process.stderr.close()
    assert session_is_empty(process.pid)  # its workers notice and end
    assert not (root / "annotations_final.csv").exists()
    kept = {path: path.stat().st_mtime_ns for path in root.glob("?/[!.]*.flac")}
    (root / "0").mkdir(exist_ok=True)
    (root / "0" / ".123.half.flac").write_bytes(b"half a clip")

    demo.render(root, N_CLIPS, jobs=1, progress=False)
    assert waveforms(root) == waveforms(rendered)
    assert all(path.stat().st_mtime_ns == time_ns for path, time_ns in kept.items())
    for name in ("annotations_final.csv", "clip_info_final.csv", "splits.csv"):
        assert (root / name).read_bytes() == (rendered / name).read_bytes()
    assert not list(root.glob("?/.*"))


def test_ctrl_c_ends_all_processes_at_once_with_one_traceback(new_root):
    root = new_root()
    process = start(root, n_clips=200)  # far more than are made before the signal comes
    wait_for_clips(root, 1, process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process
    error = process.communicate(timeout=20)[1].decode()
    assert process.returncode == -signal.SIGINT
    assert error.count("Traceback") == 1
    assert error.rstrip().endswith("KeyboardInterrupt")
    assert session_is_empty(process.pid)


def test_what_is_there_is_not_mixed_with_something_else(rendered, tmp_path):
    with pytest.raises(CatalogError, match="holds a demo with seed 0, not 1"):
        demo.render(rendered, N_CLIPS, seed=1, progress=False)
    (tmp_path / "annotations_final.csv").write_text("")
    with pytest.raises(CatalogError, match="not the demo; render into another folder"):
        demo.render(tmp_path, progress=False)
    with pytest.raises(CatalogError, match="at least one"):
        demo.render(tmp_path / "none", n_clips=0, progress=False)
    with pytest.raises(CatalogError, match="from 0 up"):
        demo.render(tmp_path / "none", seed=-1, progress=False)


def test_packages_of_another_version_do_not_add_clips(new_root, rendered):
    root = new_root()
    settings = files.read_json(rendered / build.SETTINGS)
    files.write_json(root / build.SETTINGS, {**settings, "midirenderer": "0.0.1"})
    with pytest.raises(CatalogError, match=r"holds a demo with midirenderer 0\.0\.1"):
        demo.render(root, N_CLIPS, progress=False)


def test_two_processes_do_not_render_into_one_folder(new_root):
    root = new_root()
    with filelock.FileLock(root / ".lock"), pytest.raises(CatalogError, match="another process"):
        demo.render(root, 1, progress=False)


def test_a_damaged_split_table_is_named(rendered, tmp_path):
    for name in ("annotations_final.csv", "clip_info_final.csv"):
        (tmp_path / name).write_bytes((rendered / name).read_bytes())
    with pytest.raises(CatalogError, match=r"splits\.csv is missing"):
        demo.read(tmp_path)
    table = (rendered / "splits.csv").read_text()
    (tmp_path / "splits.csv").write_text(table.replace('"valid"', '"dev"'))
    with pytest.raises(CatalogError, match="has the part 'dev'"):
        demo.read(tmp_path)
    (tmp_path / "splits.csv").write_text("".join(table.splitlines(keepends=True)[:-1]))
    with pytest.raises(CatalogError, match="does not list the clips"):
        demo.read(tmp_path)


def test_importing_it_imports_no_tensorflow_nor_music21():
    code = "import sys, tagkit.data.demo; sys.exit(bool({'tensorflow', 'keras', 'music21'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(demo.__file__).parents[3]).returncode == 0


def test_so_many_clips_of_each_part_are_the_first_ones_of_the_demo(rendered, tmp_path, scores_folder):
    (tmp_path / build.SCORES).write_bytes((scores_folder / build.SCORES).read_bytes())
    catalog = demo.render(tmp_path, {"train": 1, "test": 2}, jobs=1, progress=False, nested=(5, 20))
    assert catalog.split_sizes() == {"train": 1, "valid": 0, "test": 2}
    there, here = waveforms(rendered), waveforms(tmp_path)
    assert len(here) == 3 and here.items() & there.items() == {(p, there[p]) for p in here.keys() & there.keys()}
    assert len(here.keys() & there.keys()) >= 2, "the demo's first clips are among them"
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.name != ".lock"}
    demo.render(tmp_path, {"train": 1, "test": 2}, jobs=1, progress=False, nested=(5, 20))
    assert before == {path: path.stat().st_mtime_ns for path in before}, "nothing is rendered or written twice"


def test_a_part_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(CatalogError, match="There is no part 'tarin' to render; parts are train, valid, test"):
        demo.render(tmp_path, {"tarin": 3}, progress=False)


def test_smaller_training_sets_are_nested_by_piece(scores_folder):
    pool = build.load_scores(scores_folder)
    clips = list(build.first_clips(*pool, {"train": 300, "valid": 20, "test": 60}))
    sets = build.smaller_sets(*pool, 0, (20, 64))
    train = {clip.piece for clip in clips if clip.part == "train"}
    assert [len(sets[n]) for n in (20, 64)] == [20, 64] and sets[20] < sets[64]
    assert not sets[64] & {clip.piece for clip in clips if clip.part != "train"}, "no piece is in two parts"
    assert len(train - sets[64]) > 50, "the whole set has more pieces"
    with pytest.raises(CatalogError, match="1000 training pieces were asked for, but the corpus has 191"):
        build.smaller_sets(*pool, 0, (1000,))


def test_splits_of_fewer_pieces_leave_valid_and_test_as_they_are(rendered, tmp_path):
    table = (rendered / build.SPLITS).read_text().splitlines()
    parts = [line.split("\t")[2] for line in table[1:]]
    fewer = ['""' if part == '"train"' else part for part in parts]
    shutil.copytree(rendered, tmp_path / "demo")
    lines = [f'{table[0]}\t"piece_1"', *(f"{line}\t{part}" for line, part in zip(table[1:], fewer, strict=True))]
    (tmp_path / "demo" / build.SPLITS).write_text("\n".join(lines) + "\n")
    catalog = demo.read(tmp_path / "demo")
    assert catalog.split_sizes("piece_1") == demo.read(rendered).split_sizes() | {"train": 0}
    (tmp_path / "demo" / build.SPLITS).write_text("\n".join(lines).replace('""', '"dev"') + "\n")
    with pytest.raises(CatalogError, match="has the part 'dev'"):
        demo.read(tmp_path / "demo")
