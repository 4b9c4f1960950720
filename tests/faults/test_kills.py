"""Every long job, killed with SIGKILL at random moments and started again, ends with what it ends with undisturbed."""

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import forked
import jobs
import numpy as np
import pytest

from tagkit.data.download import Download

sys.path.append(str(Path(__file__).parents[1] / "data"))
from faulty_server import serve

KILLS, KILLS_A_LIFE = 20, 4  # in all, and at most before a job may come to its end


def run_to_end(job: Callable, root: Path, arguments: tuple, log: Path) -> None:
    process = forked.start(log.with_suffix(".log"), jobs.run, job, root, arguments, log)
    with forked.ended([process]):
        process.join(300)
    assert process.exitcode == 0, log.with_suffix(".log").read_text()


def kill(job: Callable, root: Path, arguments: tuple, log: Path, moment: int, delay_s: float) -> bool:
    """Run a job up to a moment; whether it was killed there, or had come to its end before."""
    process = forked.start(log.with_suffix(".log"), jobs.run, job, root, arguments, log, moment, delay_s)
    with forked.ended([process]):
        process.join(300)
    assert process.exitcode in (0, -9), log.with_suffix(".log").read_text()
    return process.exitcode == -9


def survive(job, folder: Path, arguments: tuple, content: Callable, kills: int = KILLS):
    """Kill a job again and again; returns kills, work done again in each, all work, and what differs."""
    folder.mkdir(exist_ok=True)
    whole = folder / "whole"
    run_to_end(job, whole, arguments, folder / "whole.work")
    work, moments = (folder / "whole.work").stat().st_size, int((folder / "whole.moments").read_text())
    rng = np.random.default_rng(0)
    killed = life = again = differing = 0
    while killed < kills:
        life += 1
        root, log, last = folder / f"life{life}", folder / f"life{life}.work", min(killed + KILLS_A_LIFE, kills)
        while killed < last:
            # Right there, or a little later, so that the job may be in the middle of something.
            moment, delay_s = int(rng.integers(1, moments + 1)), float(rng.choice([0, rng.uniform(0, 0.02)]))
            if not kill(job, root, arguments, log, moment, delay_s):
                break
            killed += 1
        run_to_end(job, root, arguments, log)
        again += log.stat().st_size - work
        expected, found = content(whole), content(root)
        differing += len({*expected.items()} ^ {*found.items()})
    return killed, again / killed, work, differing


def file_digests(root: Path) -> dict[str, str]:
    """sha256 of every file."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def downloaded(root: Path) -> dict[str, str]:
    """sha256 of every file but the notes, which hold times."""
    return {name: digest for name, digest in file_digests(root).items() if name != ".download.json"}


def trained(root: Path) -> dict[str, str]:
    """The history and each array of the best weights; files of events hold times."""
    from tagkit.training.runs import Run

    run = Run.open(root)
    arrays = enumerate(run.model().get_weights())
    return {f"array {i}": hashlib.sha256(a.tobytes()).hexdigest() for i, a in arrays} | {
        "history": json.dumps(run.record["history"]),
        "files": str(sorted(path.name for path in root.iterdir() if path.name != ".lock")),
    }


def evaluated(root: Path) -> dict[str, str]:
    """The report, but for the commit of the code, which somebody may make in between; and the names of all files."""
    report = json.loads((root / "test.json").read_text())
    del report["code"]["commit"]
    return {"report": json.dumps(report), "files": str(sorted(path.name for path in root.iterdir()))}


def check(report, name: str, unit: str, outcome: tuple) -> None:
    killed, again, work, differing = outcome
    identical = "yes" if not differing else "NO"
    report(f"kill -9 of {name}", killed, f"{again:.1f} of {work} {unit} a kill", differing, identical)
    assert killed == KILLS
    assert not differing


@pytest.mark.faults
def test_prepare(tone_catalog, tmp_path, report):
    outcome = survive(jobs.prepare, tmp_path, (tone_catalog,), file_digests)
    check(report, "prepare", "clips", outcome)
    assert outcome[1] <= 2, "at most the shard that was being written"


@pytest.mark.faults
def test_render(scores_folder, tmp_path, report):
    outcome = survive(jobs.render, tmp_path, (scores_folder / "scores.npz",), file_digests)
    check(report, "render", "clips", outcome)
    assert outcome[1] <= 1, "at most the clip that was being played"


@pytest.mark.faults
def test_download(tmp_path, report):
    dataset, content = archive_of_songs()
    with serve(content) as (url, _):
        outcome = survive(jobs.download, tmp_path, (dataset, url), downloaded)
    check(report, "download", "chunks", outcome)
    assert outcome[1] <= 2, "at most the chunk that was on its way, and one more"


@pytest.mark.faults
def test_train(tone_records, tmp_path, report):
    outcome = survive(jobs.train, tmp_path, (tone_records.root,), trained)
    check(report, "train", "steps", outcome)
    assert outcome[1] <= jobs.TRAINING.eval_every, "at most the steps since the last checkpoint"


@pytest.mark.faults
def test_evaluate(tone_records, tmp_path, report):
    run_to_end(jobs.train, tmp_path / "run", (tone_records.root,), tmp_path / "run.work")
    outcome = survive(jobs.evaluate, tmp_path, (tmp_path / "run",), evaluated)
    check(report, "evaluate", "windows", outcome)


def test_prepare_and_download_survive_a_few(tone_catalog, tmp_path):
    """A small core of the above for every day."""
    killed, _, _, differing = survive(jobs.prepare, tmp_path / "prepare", (tone_catalog,), file_digests, 4)
    assert (killed, differing) == (4, 0)
    dataset, content = archive_of_songs()
    with serve(content) as (url, _):
        killed, _, _, differing = survive(jobs.download, tmp_path / "download", (dataset, url), downloaded, 4)
    assert (killed, differing) == (4, 0)


def archive_of_songs() -> tuple[Download, dict[str, bytes]]:
    """A dataset of a table and a zip archive in two parts, and what a server has to hold for it."""
    import io
    import zipfile

    rng = np.random.default_rng(1)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for k in range(4):
            archive.writestr(f"songs/{k}.mp3", rng.bytes(60_000))
    data = packed.getvalue()
    content = {"table.csv": rng.bytes(50_000), "songs.zip.001": data[:100_000], "songs.zip.002": data[100_000:]}
    checksums = {name: "sha256:" + hashlib.sha256(value).hexdigest() for name, value in content.items()}
    return Download("", checksums, ("songs.zip.001", "songs.zip.002"), ".", "songs"), content
