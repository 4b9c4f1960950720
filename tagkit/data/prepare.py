"""Prepare records: decode every clip once, in parallel, to the same bytes however often the run is interrupted."""

import csv
import hashlib
import io
import json
import math
import os
from array import array
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import joblib
import numpy as np

from tagkit import audio
from tagkit.data import tfrecord
from tagkit.data.catalog import Catalog
from tagkit.data.records import FORMAT, METADATA, PLACE, Records, RecordsError, digest
from tagkit.system import files, processes
from tagkit.system.progress import progress_bar

FLUSHED_CLIPS = 8
SHORT_S = 1.0


def prepare(
    catalog: Catalog,
    out: str | Path,
    sr: int,
    clips_per_shard: int = 32,
    jobs: int = -1,
    progress: bool = True,
    seconds: float | None = None,
) -> Records:
    """Decode all clips of a catalog into records; a clip that cannot be read is quarantined with its reason.

    What is unusual about the others (silence, cancelled channels, less than a second) is listed in `Records.remarks`.

    Finished shards are kept, so an interrupted run resumes, and ends with the same bytes as an uninterrupted one.

    Parameters
    ----------
    out : path
        The records folder.
    sr : int
        Sampling rate in Hz that every clip is brought to.
    clips_per_shard : int
        32 clips of 29 s are about 30 MB.
    jobs : int
        Worker processes (-1: one for each core). Within `tagkit.system.processes.on_cluster`, shards are made by a Dask
        cluster's workers instead, which have to see `catalog.root` and `out` under the same names.
    seconds : float, optional
        Keep so much from the middle of each clip. Default: clips are kept whole.

    Raises
    ------
    RecordsError
        `out` holds records of another catalog or with other settings, another process is preparing there, a
        worker process was killed, or no clip at all could be read.

    Examples
    --------
    >>> from tagkit.data import folder
    >>> records = prepare(folder.read("music"), "records", sr=16_000, jobs=1, progress=False)
    >>> len(records.catalog), len(records.quarantine)
    (10, 0)
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    busy = RecordsError(f"{out} is being prepared by another process; wait for it, or choose another folder.")
    try:
        with files.exclusive(out / ".lock", busy):
            return _prepare(catalog, out, sr, clips_per_shard, jobs, progress, seconds)
    except BrokenProcessPool as error:
        raise RecordsError(processes.KILLED) from error


def _prepare(
    catalog: Catalog, out: Path, sr: int, clips_per_shard: int, jobs: int, progress: bool, seconds: float | None
) -> Records:
    if seconds is not None and not 0 < seconds < math.inf:
        raise RecordsError(f"{seconds} seconds of a clip cannot be kept; give a number above 0.")
    settings = {"format": FORMAT, "catalog": catalog.fingerprint(), "sr": sr, "clips_per_shard": clips_per_shard}
    settings["tasks"] = catalog.tasks
    settings["seconds"] = seconds
    if (out / "manifest.json").is_file():
        _check_settings(out, settings)
        manifest = files.read_json(out / "manifest.json")
        if all((out / name).is_file() for name in ("clips.jsonl", *(s["name"] for s in manifest["shards"]))):
            return Records.open(out)
        _check_decoding(out, manifest.get("decoding"))
    settings["decoding"] = audio.DECODING  # shards of two decoders must not meet in one folder
    _check_settings(out, settings)
    files.sweep(out)

    paths = [catalog.clips["path"].iloc[i : i + clips_per_shard] for i in range(0, len(catalog), clips_per_shard)]
    missing = [k for k in range(len(paths)) if not _finished(out, k)]
    there = len(catalog) - sum(len(paths[k]) for k in missing)
    bar = progress_bar(total=len(catalog), initial=there, desc="prepare", unit="clip", disable=not progress)
    with bar, joblib.Parallel(jobs, return_as="generator_unordered") as parallel:
        jobs_to_do = ((out, k, list(paths[k].items()), catalog.root, sr, os.getpid(), seconds) for k in missing)
        for done in parallel(joblib.delayed(_write_shard)(*job) for job in jobs_to_do):
            bar.update(done)
    return _finish(catalog, out, settings, len(paths))


def _shard_name(k: int) -> str:
    return f"shard-{k:05d}.tfrecord"


def _sidecar(out: Path, k: int) -> Path:
    return out / f"shard-{k:05d}.json"


def _finished(out: Path, k: int) -> bool:
    """Whether shard k is there with the size that its side-car, written after it, states.

    A shard without a clip is made again: somebody may have mended the files.
    """
    if not (_sidecar(out, k).is_file() and (out / _shard_name(k)).is_file()):
        return False
    entry = files.read_json(_sidecar(out, k))
    return bool(entry["clips"]) and entry["bytes"] == (out / _shard_name(k)).stat().st_size


def _check_settings(out: Path, settings: dict) -> None:
    path = out / "settings.json"
    if not path.is_file():
        files.write_json(path, settings)
        return
    there = {"tasks": {}} | files.read_json(path)
    for key, value in settings.items():
        if there.get(key) != value:
            raise RecordsError(
                f"{out} holds records with {key} {there.get(key)}, not {value}; choose another folder, or remove it."
            )


def _check_decoding(out: Path, decoding: int | None) -> None:
    if decoding != audio.DECODING:
        raise RecordsError(
            f"{out} lacks shards, and the others were decoded by another version of the decoder ({decoding}, now "
            f"{audio.DECODING}); remove the folder and prepare again."
        )


def _write_shard(
    out: Path, k: int, rows: list[tuple[str, str]], root: Path, sr: int, parent: int, seconds: float | None
) -> int:
    """Write one shard, then its side-car; returns the number of clips dealt with."""
    processes.follow(parent)
    clips, quarantine, remarks, flushed = [], [], [], []
    with (
        files.atomic(out / _shard_name(k)) as temporary,
        _HashedFile(temporary) as stream,
        ThreadPoolExecutor(1, "flush") as flusher,
    ):
        for clip_id, path in rows:
            try:
                clip, said = _append(stream, clip_id, root, path, sr, seconds)
            except audio.AudioError as error:
                quarantine.append({"clip_id": clip_id, "path": path, "reason": str(error)})
                continue
            clips.append(clip)
            remarks += [{"clip_id": clip_id, "path": path, "remark": remark} for remark in said]
            if len(clips) % FLUSHED_CLIPS == 0:  # on its way to the disk while the next ones are decoded
                flushed.append(flusher.submit(os.fsync, stream.fileno()))
        for flush in flushed:
            flush.result()
    entry = {"name": _shard_name(k), "bytes": (out / _shard_name(k)).stat().st_size}
    entry |= {"sha256": stream.sha256, "clips": clips, "quarantine": quarantine, "remarks": remarks}
    files.write_json(_sidecar(out, k), entry)
    return len(rows)


class _HashedFile(io.FileIO):
    """A file that is written from start to end and computes its sha256 meanwhile, so that nothing is read again."""

    def __init__(self, path: Path):
        super().__init__(path, "w")
        self._hash = hashlib.sha256()

    def write(self, data: bytes | np.ndarray) -> int:
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


def _append(
    stream: io.FileIO, clip_id: str, root: Path, path: str, sr: int, seconds: float | None
) -> tuple[dict, list[str]]:
    """Decode a clip and append its record; what the side-car says of it. AudioError, and nothing written, if it fails.

    Nothing of one clip is kept while the next is decoded: the same memory serves both.
    """
    full, top = (root / path).resolve(), root / Path(path).parts[0]
    # What the user linked in the folder itself may lie elsewhere.
    if not any(full.is_relative_to(each.resolve()) for each in (root, top) if each == root or each.is_dir()):
        raise audio.AudioError(f"{path} leads out of {root}; link its folder in {root} itself, or copy it there.")
    sound = audio.read(full, sr)
    y, remarks = sound.y, list(sound.remarks)
    if seconds is not None:
        start = max(len(y) - round(seconds * sr), 0) // 2
        y = y[start : start + round(seconds * sr)]
    if len(y) < SHORT_S * sr:
        remarks.append(f"lasts {len(y) / sr:.2f} s, much less than the window of a network: it is repeated to fill one")
    source = digest(full)
    waveform = y.astype("<i2", copy=False).view(np.uint8)
    waveform.flags.writeable = False  # google_crc32c takes no other
    offset = tfrecord.write_clip(stream, clip_id, sr, waveform)
    return {"clip_id": clip_id, "offset": offset, "samples": len(y), "sha256": source}, remarks


def _finish(catalog: Catalog, out: Path, settings: dict, n_shards: int) -> Records:
    """Join the side-cars, one after the other, into clips.jsonl, two tables and, last, the manifest."""
    shards, quarantine, remarks, lengths, data = [], [], [], array("q"), hashlib.sha256()
    if settings["seconds"] is not None:
        data.update(f"the middle {settings['seconds']} s".encode())
    with files.atomic(out / "clips.jsonl") as temporary, temporary.open("w", encoding="utf-8") as f:
        for k in range(n_shards):
            entry = files.read_json(_sidecar(out, k))
            shards.append({key: entry[key] for key in ("name", "bytes", "sha256")})
            quarantine += entry["quarantine"]
            remarks += entry["remarks"]
            for line in _clip_lines(catalog, k, settings["clips_per_shard"], entry["clips"]):
                lengths.append(line["samples"])
                source = {"sha256": line.pop("sha256")}
                content = source | {key: value for key, value in line.items() if key not in ("path", *PLACE)}
                data.update(json.dumps(content, sort_keys=True).encode())
                f.write(json.dumps(line, ensure_ascii=False) + "\n")
        if not lengths:
            reason = f" The first: {quarantine[0]['reason']}" if quarantine else ""
            raise RecordsError(f"No clip of {catalog.name} in {catalog.root} could be read.{reason}")
    _write_csv(out / "quarantine.csv", ["clip_id", "path", "reason"], quarantine)
    _write_csv(out / "remarks.csv", ["clip_id", "path", "remark"], remarks)

    clips_sha = digest(out / "clips.jsonl")
    identity = "".join(s["sha256"] for s in shards) + clips_sha
    manifest = settings | {
        "name": catalog.name,
        "clips": len(lengths),
        "quarantined": len(quarantine),
        "remarked": len(remarks),
        "hours": round(sum(lengths) / settings["sr"] / 3600, 4),
        "fingerprint": data.hexdigest()[:16],
        "bytes_fingerprint": hashlib.sha256(identity.encode()).hexdigest()[:16],
        "tags": list(catalog.labels.columns),
        "vocabularies": {name: list(tags) for name, tags in catalog.vocabularies.items()},
        "splits": list(catalog.splits.columns),
        "default_split": catalog.default_split,
        "default_vocabulary": catalog.default_vocabulary,
        "cluster_by": catalog.cluster_by,
        "tasks": {name: catalog.task(name) for name in catalog.vocabularies},
        "clips_sha256": clips_sha,
        "shards": shards,
    }
    files.write_json(out / "manifest.json", manifest)
    return Records.open(out)


def _write_csv(path: Path, columns: list[str], rows: list[dict]) -> None:
    with files.atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as f:
        writer = csv.DictWriter(f, columns)
        writer.writeheader()
        writer.writerows(rows)


def _clip_lines(catalog: Catalog, k: int, clips_per_shard: int, clips: list[dict]) -> Iterator[dict]:
    """One dict for each clip that shard k holds, in catalog order."""
    places = {clip["clip_id"]: {"shard": k} | clip for clip in clips}
    rows = slice(k * clips_per_shard, (k + 1) * clips_per_shard)
    about = catalog.clips.iloc[rows][list(METADATA)]
    labels = catalog.labels.iloc[rows].to_numpy(bool)
    tags = np.array(catalog.labels.columns)
    parts = catalog.splits.iloc[rows].to_dict("records")
    for clip_id, metadata, flags, of in zip(about.index, about.to_dict("records"), labels, parts, strict=True):
        if clip_id in places:
            line = {"clip_id": clip_id} | metadata | places[clip_id]
            line["tags"] = tags[flags].tolist()
            line["splits"] = {split: part for split, part in of.items() if part}
            yield line
