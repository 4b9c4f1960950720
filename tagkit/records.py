"""Waveform records: every clip of a Catalog as int16 samples in TFRecord shards, with a manifest.

A records folder holds::

    shard-00000.tfrecord ...   one tf.train.Example a clip (clip_id, sr, waveform)
    clips.jsonl                one line a clip: metadata, tags, splits, shard, byte offset, length
    manifest.json              settings, counts, sha256 of each file, the fingerprint of the whole
    quarantine.csv             the clips that could not be read, each with its reason

Whole clips are stored once, whatever the windows, the split or the vocabulary: those are chosen when reading. Each
shard's byte offsets are known, so a window is read without reading its clip (`Records.read`).
"""

import csv
import hashlib
import io
import json
import os
import sys
from array import array
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

import filelock
import joblib
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from tagkit import audio, files, processes, tfrecord
from tagkit.datasets.catalog import Catalog

FORMAT = 1
FLUSHED_CLIPS = 8
OPEN_SHARDS = 64
_METADATA = ("path", "artist", "song", "title")
_PLACE = ("shard", "offset", "samples")


class RecordsError(ValueError):
    """A records folder is missing, unfinished, damaged, or made from something else."""


@dataclass(frozen=True)
class Records:
    """Prepared clips, open for reading.

    Attributes
    ----------
    root : Path
    catalog : Catalog
        The prepared clips; `catalog.clips` has the further columns `shard`, `offset` (bytes) and `samples`.
    manifest : dict
        As in manifest.json.
    """

    root: Path
    catalog: Catalog
    manifest: dict = field(repr=False)

    @classmethod
    def open(cls, root: str | Path) -> "Records":
        """Open a records folder that `prepare` has finished; RecordsError says what to do otherwise."""
        root = Path(root)
        if not (root / "manifest.json").is_file():
            raise RecordsError(f"{root} holds no finished records (no manifest.json); run `tagkit prepare` first.")
        manifest = files.read_json(root / "manifest.json")
        if manifest["format"] != FORMAT:
            raise RecordsError(f"{root} has record format {manifest['format']}, not {FORMAT}; prepare it again.")
        return cls(root, _read_clips(root, manifest), manifest)

    @property
    def sr(self) -> int:
        """Sampling rate in Hz of all clips."""
        return self.manifest["sr"]

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change with any sample, tag or split."""
        return self.manifest["fingerprint"]

    @property
    def quarantine(self) -> pd.DataFrame:
        """Clips left out while preparing: clip_id, path, reason."""
        return pd.read_csv(self.root / "quarantine.csv", dtype=str, keep_default_na=False)

    @cached_property
    def _places(self) -> np.ndarray:
        return self.catalog.clips[list(_PLACE)].to_numpy(np.int64)

    @cached_property
    def _shards(self) -> list[str]:
        return [str(self.root / shard["name"]) for shard in self.manifest["shards"]]

    @cached_property
    def positions(self) -> dict[str, int]:
        """Position of each clip id in the catalog."""
        return {clip_id: i for i, clip_id in enumerate(self.catalog.clips.index)}

    @cached_property
    def lengths(self) -> np.ndarray:
        """Length of each clip in samples, (clips,)."""
        return self._places[:, 2]

    def read(self, position: int, start: int = 0, length: int | None = None) -> np.ndarray:
        """Samples of the clip at `position` of the catalog, from `start`, as int16 (length,), read-only.

        Samples past the clip's end are zeros. Without `length`, the clip to its end. RecordsError where its shard is
        cut short.
        """
        shard, offset, samples = self._places[position].tolist()
        start = min(start, samples)
        length = samples - start if length is None else length
        there = min(length, samples - start)
        file = self._open_shard(shard)
        data = os.pread(file.descriptor, 2 * there, offset + 2 * start)
        if len(data) < 2 * there:
            raise RecordsError(f"{file.path} is cut short; remove it and prepare again.")
        y = np.frombuffer(data, "<i2")
        return y if there == length else np.pad(y, (0, length - there))

    @cached_property
    def _open_shard(self) -> Callable[[int], "_OpenShard"]:
        """Shards that were read last stay open: to open one takes as long as to read a window.

        Not all of them, and no memory maps: each is an open file, and large datasets have more than a system allows.
        """
        return lru_cache(OPEN_SHARDS)(lambda shard: _OpenShard(self._shards[shard]))

    def waveform(self, clip_id: str) -> np.ndarray:
        """The whole clip as float32 in [-1, 1), (samples,)."""
        return audio.to_float(self.read(self.positions[clip_id]))

    def levels_dbfs(self, positions: Sequence[int] | None = None) -> np.ndarray:
        """Root mean square level of some clips (default: all), (clips,), in dB relative to full scale.

        A sine at full scale has -3 dBFS; digital silence is given as -120.
        """
        chosen = range(len(self.catalog)) if positions is None else positions
        power = [np.square(self.read(p), dtype=np.float64).mean() / 32_768**2 for p in chosen]
        return 10 * np.log10(np.maximum(power, 1e-12))

    def verify(self, progress: bool = False) -> None:
        """Compare every file with its sha256; RecordsError names the first that differs.

        A file that was found right is not read again by this process while its size and its time stay the same.
        """
        clips = {"name": "clips.jsonl", "sha256": self.manifest["clips_sha256"]}
        for entry in tqdm([clips, *self.manifest["shards"]], "verify", unit="file", delay=2, disable=not progress):
            path = self.root / entry["name"]
            if not path.is_file():
                raise RecordsError(f"{path} is missing; run `tagkit prepare` again.")
            seen = (path.resolve(), entry["sha256"], path.stat().st_size, path.stat().st_mtime_ns)
            if seen in _found_right:
                continue
            if _sha256(path) != entry["sha256"]:
                raise RecordsError(f"{path} does not match its sha256: damaged; remove it and prepare again.")
            _found_right.add(seen)


class _OpenShard:
    """A shard open for reading; it closes once nobody holds it: a thread may still read what another one displaced."""

    def __init__(self, path: str):
        self.path, self.descriptor = path, os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self):
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)


_found_right: set[tuple] = set()


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
    clips_sha = _sha256(out / "clips.jsonl")
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
        line = {"clip_id": clip_id} | {c: catalog.clips.at[clip_id, c] for c in _METADATA}
        line |= dict(zip(_PLACE, places[clip_id], strict=True))
        line["tags"] = tags[labels[row]].tolist()
        line["splits"] = {s: part for s, part in catalog.splits.iloc[row].items() if part}
        yield line


def _read_clips(root: Path, manifest: dict) -> Catalog:
    """Line by line into columns: to hold all lines at once would take several times the memory of the catalog."""
    ids, columns = [], {name: [] for name in (*_METADATA, *_PLACE)}
    splits = {name: [] for name in manifest["splits"]}
    column, tagged = {tag: i for i, tag in enumerate(manifest["tags"])}, (array("q"), array("q"))
    with (root / "clips.jsonl").open(encoding="utf-8") as stream:  # str.splitlines would also cut at U+0085 in a title
        for row, line in enumerate(map(json.loads, stream)):
            ids.append(line["clip_id"])
            for name, values in columns.items():
                values.append(line[name])
            for name, parts in splits.items():
                parts.append(sys.intern(line["splits"].get(name, "")))
            for tag in line["tags"]:
                tagged[0].append(row)
                tagged[1].append(column[tag])
    labels = np.zeros((len(ids), len(column)), bool)
    labels[tagged] = True
    index = pd.Index(ids, name="clip_id", dtype=object)
    return Catalog(
        name=manifest["name"],
        root=root,
        clips=pd.DataFrame(columns, index),
        labels=pd.DataFrame(labels, index, manifest["tags"]),
        splits=pd.DataFrame(splits, index),
        vocabularies={name: tuple(tags) for name, tags in manifest["vocabularies"].items()},
        default_split=manifest["default_split"],
        default_vocabulary=manifest["default_vocabulary"],
        cluster_by=manifest["cluster_by"],
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()
