"""Preparing records: every clip decoded once, in parallel, to the same bytes however often it was interrupted."""

import csv
import hashlib
import io
import json
import os
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import filelock
import joblib
import numpy as np
from tqdm.auto import tqdm

from tagkit import audio, files, processes, tfrecord
from tagkit.datasets.catalog import Catalog
from tagkit.records.reading import FORMAT, METADATA, PLACE, Records, RecordsError, digest

FLUSHED_CLIPS = 8


def prepare(
    catalog: Catalog,
    out: str | Path,
    sr: int = 16_000,
    clips_per_shard: int = 32,
    jobs: int = -1,
    progress: bool = True,
) -> Records:
    """Decode all clips of a catalog into records; a clip that cannot be read is quarantined with its reason.

    Finished shards are kept, so an interrupted run resumes, and ends with the same bytes as an uninterrupted one.

    Parameters
    ----------
    catalog : Catalog
    out : path
        The records folder.
    sr : int
        Sampling rate in Hz that every clip is brought to.
    clips_per_shard : int
        32 clips of 29 s are about 30 MB.
    jobs : int
        Worker processes (-1: one for each core). Within `tagkit.processes.on_cluster`, shards are made by a Dask
        cluster's workers instead, which have to see `catalog.root` and `out` under the same names.
    progress : bool

    Raises
    ------
    RecordsError
        `out` holds records of another catalog or with other settings, another process is preparing there, a
        worker process was killed, or no clip at all could be read.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(out / ".lock", blocking=False):
            return _prepare(catalog, out, sr, clips_per_shard, jobs, progress)
    except filelock.Timeout as error:
        raise RecordsError(
            f"{out} is being prepared by another process; wait for it, or choose another folder."
        ) from error
    except BrokenProcessPool as error:
        raise RecordsError(processes.KILLED) from error


def _prepare(catalog: Catalog, out: Path, sr: int, clips_per_shard: int, jobs: int, progress: bool) -> Records:
    settings = {"format": FORMAT, "catalog": catalog.fingerprint(), "sr": sr, "clips_per_shard": clips_per_shard}
    _check_settings(out, settings)
    if (out / "manifest.json").is_file():
        shards = files.read_json(out / "manifest.json")["shards"]
        if all((out / name).is_file() for name in ("clips.jsonl", *(s["name"] for s in shards))):
            return Records.open(out)
    files.sweep(out)

    ids = list(catalog.clips.index)
    chunks = [ids[i : i + clips_per_shard] for i in range(0, len(ids), clips_per_shard)]
    missing = [(k, chunk) for k, chunk in enumerate(chunks) if not _finished(out, k)]
    there = len(ids) - sum(len(chunk) for _, chunk in missing)
    bar = tqdm(total=len(ids), initial=there, desc="prepare", unit="clip", disable=not progress)
    with bar, joblib.Parallel(jobs, return_as="generator_unordered") as parallel:
        rows = {k: [(i, catalog.clips.at[i, "path"]) for i in chunk] for k, chunk in missing}
        for done in parallel(
            joblib.delayed(_write_shard)(out, k, rows[k], catalog.root, sr, os.getpid()) for k, _ in missing
        ):
            bar.update(done)
    return _finish(catalog, out, settings, len(chunks))


def _shard_name(k: int) -> str:
    return f"shard-{k:05d}.tfrecord"


def _sidecar(out: Path, k: int) -> Path:
    return out / f"shard-{k:05d}.json"


def _finished(out: Path, k: int) -> bool:
    """Whether shard k is there with the size that its side-car, written after it, states."""
    if not (_sidecar(out, k).is_file() and (out / _shard_name(k)).is_file()):
        return False
    return files.read_json(_sidecar(out, k))["bytes"] == (out / _shard_name(k)).stat().st_size


def _check_settings(out: Path, settings: dict) -> None:
    path = out / "settings.json"
    if not path.is_file():
        files.write_json(path, settings)
        return
    there = files.read_json(path)
    for key, value in settings.items():
        if there.get(key) != value:
            raise RecordsError(
                f"{out} holds records with {key} {there.get(key)}, not {value}; choose another folder, or remove it."
            )


def _write_shard(out: Path, k: int, rows: list[tuple[str, str]], root: Path, sr: int, parent: int) -> int:
    """Write one shard, then its side-car; returns the number of clips dealt with."""
    processes.follow(parent)
    clips, quarantine, flushed = [], [], []
    with (
        files.atomic(out / _shard_name(k)) as temporary,
        _HashedFile(temporary) as stream,
        ThreadPoolExecutor(1, "flush") as flusher,
    ):
        for clip_id, path in rows:
            try:
                y = _decode(root, path, sr)
            except audio.AudioError as error:
                quarantine.append({"clip_id": clip_id, "path": path, "reason": str(error)})
                continue
            offset = tfrecord.write_clip(stream, clip_id, sr, y.astype("<i2", copy=False).tobytes())
            clips.append({"clip_id": clip_id, "offset": offset, "samples": len(y)})
            if len(clips) % FLUSHED_CLIPS == 0:  # on its way to the disk while the next ones are decoded
                flushed.append(flusher.submit(os.fsync, stream.fileno()))
        for flush in flushed:
            flush.result()
    entry = {"name": _shard_name(k), "bytes": (out / _shard_name(k)).stat().st_size}
    entry |= {"sha256": stream.sha256, "clips": clips, "quarantine": quarantine}
    files.write_json(_sidecar(out, k), entry)
    return len(rows)


class _HashedFile(io.FileIO):
    """A file open for writing from its start to its end, with the sha256 of what was written: no second reading."""

    def __init__(self, path: Path):
        super().__init__(path, "w")
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Write all of `data`."""
        self._hash.update(data)
        rest = memoryview(data)
        while rest:
            rest = rest[super().write(rest) :]
        return len(data)

    @property
    def sha256(self) -> str:
        """Of everything written so far, in hexadecimal digits."""
        return self._hash.hexdigest()


def _decode(root: Path, path: str, sr: int) -> np.ndarray:
    full = (root / path).resolve()
    if not full.is_relative_to(root.resolve()):
        raise audio.AudioError(f"{path} leads out of {root}; copy the file into the folder.")
    return audio.load_int16(full, sr)


def _finish(catalog: Catalog, out: Path, settings: dict, n_shards: int) -> Records:
    """Join the side-cars into clips.jsonl, quarantine.csv and, last, the manifest."""
    entries = [files.read_json(_sidecar(out, k)) for k in range(n_shards)]
    places = {c["clip_id"]: (k, c["offset"], c["samples"]) for k, e in enumerate(entries) for c in e["clips"]}
    quarantine = [row for entry in entries for row in entry["quarantine"]]
    if not places:
        for k in range(n_shards):  # else the same call would only repeat what it found, after the files were mended
            _sidecar(out, k).unlink()
        reason = f" The first: {quarantine[0]['reason']}" if quarantine else ""
        raise RecordsError(f"No clip of {catalog.name} in {catalog.root} could be read.{reason}")

    with files.atomic(out / "quarantine.csv") as temporary, temporary.open("w", newline="", encoding="utf-8") as f:
        writer = csv.DictWriter(f, ["clip_id", "path", "reason"])
        writer.writeheader()
        writer.writerows(quarantine)
    with files.atomic(out / "clips.jsonl") as temporary, temporary.open("w", encoding="utf-8") as f:
        for line in _clip_lines(catalog, places):
            f.write(json.dumps(line, ensure_ascii=False) + "\n")

    shards = [{key: entry[key] for key in ("name", "bytes", "sha256")} for entry in entries]
    clips_sha = digest(out / "clips.jsonl")
    identity = "".join(s["sha256"] for s in shards) + clips_sha
    manifest = settings | {
        "name": catalog.name,
        "clips": len(places),
        "quarantined": len(quarantine),
        "hours": round(sum(samples for *_, samples in places.values()) / settings["sr"] / 3600, 4),
        "fingerprint": hashlib.sha256(identity.encode()).hexdigest()[:16],
        "tags": list(catalog.labels.columns),
        "vocabularies": {name: list(tags) for name, tags in catalog.vocabularies.items()},
        "splits": list(catalog.splits.columns),
        "default_split": catalog.default_split,
        "default_vocabulary": catalog.default_vocabulary,
        "cluster_by": catalog.cluster_by,
        "clips_sha256": clips_sha,
        "shards": shards,
    }
    files.write_json(out / "manifest.json", manifest)
    return Records.open(out)


def _clip_lines(catalog: Catalog, places: dict[str, tuple[int, int, int]]):
    """Yield one dict for each prepared clip, in catalog order."""
    tags = np.array(catalog.labels.columns)
    labels = catalog.labels.to_numpy(bool)
    for row, clip_id in enumerate(catalog.clips.index):
        if clip_id not in places:
            continue
        line = {"clip_id": clip_id} | {c: catalog.clips.at[clip_id, c] for c in METADATA}
        line |= dict(zip(PLACE, places[clip_id], strict=True))
        line["tags"] = tags[labels[row]].tolist()
        line["splits"] = {s: part for s, part in catalog.splits.iloc[row].items() if part}
        yield line
