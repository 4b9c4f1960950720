"""Read records: their catalog, clips and windows, and a check of every byte."""

import hashlib
import json
import os
import sys
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from tagkit import audio
from tagkit.data.catalog import Catalog
from tagkit.system import files
from tagkit.system.progress import progress_bar

FORMAT = 1
METADATA = ("path", "artist", "song", "title")
PLACE = ("shard", "offset", "samples")
OPEN_SHARDS = 64


class RecordsError(ValueError):
    """A records folder is missing, unfinished, damaged, or made from something else."""


@dataclass(frozen=True)
class Records:
    """Prepared clips, open for reading.

    Attributes
    ----------
    root : Path
    manifest : dict
        As in manifest.json.

    Examples
    --------
    >>> records = Records.open("records")  # made by `tagkit prepare`
    >>> records.sr, records.lengths[:3].tolist()
    (16000, [16000, 16000, 16000])
    >>> records.waveform("high/0.flac").shape
    (16000,)
    >>> records.read(0, start=8_000, length=4_000).dtype  # the first clip, from 0.5 s to 0.75 s
    dtype('int16')
    """

    root: Path
    manifest: dict = field(repr=False)

    @classmethod
    def open(cls, root: str | Path) -> "Records":
        """Open a records folder that `prepare` has finished; RecordsError says what to do otherwise.

        The table of clips is read when `catalog` is first asked for.
        """
        root = Path(root)
        if not (root / "manifest.json").is_file():
            raise RecordsError(f"{root} holds no finished records (no manifest.json); run `tagkit prepare` first.")
        manifest = files.read_json(root / "manifest.json")
        if manifest["format"] != FORMAT:
            raise RecordsError(f"{root} has record format {manifest['format']}, not {FORMAT}; prepare it again.")
        return cls(root, manifest)

    @cached_property
    def catalog(self) -> Catalog:
        """The prepared clips; `catalog.clips` has the further columns `shard`, `offset` (bytes) and `samples`."""
        return _read_clips(self.root, self.manifest)

    @property
    def sr(self) -> int:
        """Sampling rate in Hz of all clips."""
        return self.manifest["sr"]

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits that name the data: each clip's file by its content, its tags, artist, song and splits."""
        return self.manifest["fingerprint"]

    @property
    def bytes_fingerprint(self) -> str:
        """Sixteen hex digits that name these records: they also change with the decoder and the shards' layout."""
        return self.manifest.get("bytes_fingerprint", self.fingerprint)

    @property
    def decoding(self) -> int | None:
        """Version of the decoder that made the records (`tagkit.audio.DECODING`); None if it was not recorded."""
        return self.manifest.get("decoding")

    def holds(self, fingerprint: str) -> bool:
        """Whether these records hold the data with this fingerprint.

        Records made before the two fingerprints were told apart had that of their bytes alone, and so have the runs
        trained on them.
        """
        return fingerprint in (self.fingerprint, self.bytes_fingerprint)

    @property
    def quarantine(self) -> pd.DataFrame:
        """Clips left out while preparing: clip_id, path, reason."""
        return pd.read_csv(self.root / "quarantine.csv", dtype=str, keep_default_na=False)

    @property
    def remarks(self) -> pd.DataFrame:
        """Prepared clips that are unusual, such as silence: clip_id, path, remark. Older records know of none."""
        path = self.root / "remarks.csv"
        if not path.is_file():
            return pd.DataFrame(columns=["clip_id", "path", "remark"])
        return pd.read_csv(path, dtype=str, keep_default_na=False)

    @cached_property
    def _places(self) -> np.ndarray:
        return self.catalog.clips[list(PLACE)].to_numpy(np.int64)

    @cached_property
    def _shards(self) -> list[str]:
        return [str(self.root / shard["name"]) for shard in self.manifest["shards"]]

    @cached_property
    def index_of(self) -> dict[str, int]:
        """Index of each clip in the catalog, by clip id."""
        return {clip_id: i for i, clip_id in enumerate(self.catalog.clips.index)}

    def part(self, name: str, split: str | None = None) -> np.ndarray:
        """Indices of the clips of one part of a split (default: the records' own), (clips,).

        RecordsError if there are none.
        """
        ids = self.catalog.ids(name, split)
        if not len(ids):
            split = split or self.catalog.default_split
            others = [other for other in self.catalog.splits if other != split and len(self.catalog.ids(name, other))]
            advice = (
                f"choose the split {' or '.join(others)} (--split)" if others else "no other split has; prepare more"
            )
            raise RecordsError(f"{self.root} has no {name} clips in its split {split!r}; {advice}.")
        return np.array([self.index_of[i] for i in ids])

    def labels(self, indices: np.ndarray, tags: Sequence[str]) -> np.ndarray:
        """Which clips have which tags: bool (clips, tags), with the tags in this order."""
        return self.catalog.labels[list(tags)].to_numpy(bool)[indices]

    @cached_property
    def lengths(self) -> np.ndarray:
        """Length of each clip in samples, (clips,)."""
        return self._places[:, 2]

    def clusters(self, indices: np.ndarray, by: str | None = None) -> np.ndarray:
        """The artist or song of each clip, (clips,); a clip without one is a cluster of its own.

        Parameters
        ----------
        indices : ndarray of int (clips,)
        by : {"artist", "song"}, optional
            Default: as the catalog says.
        """
        clips = self.catalog.clips.iloc[indices]
        names = clips[by or self.catalog.cluster_by]
        return np.where(names == "", "clip " + clips.index.astype(str), names)

    def read(self, index: int, start: int = 0, length: int | None = None) -> np.ndarray:
        """Samples of one clip from `start`, as int16 (length,), read-only.

        What is there is repeated to fill `length` (`tagkit.audio.filled`). Without `length`, the clip to its
        end. RecordsError where its shard is cut short.
        """
        shard, offset, samples = self._places[index].tolist()
        start = min(start, samples)
        length = samples - start if length is None else length
        there = min(length, samples - start)
        file = self._open_shard(shard)
        data = os.pread(file.descriptor, 2 * there, offset + 2 * start)
        if len(data) < 2 * there:
            raise RecordsError(f"{file.path} is cut short; remove it and prepare again.")
        y = np.frombuffer(data, "<i2")
        return y if there == length else audio.filled(y, length)

    @cached_property
    def _open_shard(self) -> Callable[[int], "_OpenShard"]:
        """Shards that were read last stay open: opening one takes as long as reading a window.

        Not all of them, and no memory maps: each is an open file, and large datasets have more than a system allows.
        """
        return lru_cache(OPEN_SHARDS)(lambda shard: _OpenShard(self._shards[shard]))

    def waveform(self, clip_id: str) -> np.ndarray:
        """The whole clip as float32 in [-1, 1), (samples,)."""
        return audio.to_float(self.read(self.index_of[clip_id]))

    def levels_db(self, indices: Sequence[int] | None = None) -> np.ndarray:
        """Root mean square level of some clips (default: all), (clips,), in dB relative to full scale.

        A full-scale square wave has 0, a full-scale sine -3; digital silence is given as -120.
        """
        chosen = range(len(self.catalog)) if indices is None else indices
        return np.array([audio.level_db(self.read(i)) for i in chosen])

    def verify(self, progress: bool = False) -> None:
        """Compare every file with its sha256; RecordsError names the first that differs.

        This process does not reread a file that was right while its size and time stay the same.
        """
        clips = {"name": "clips.jsonl", "sha256": self.manifest["clips_sha256"]}
        for entry in progress_bar(
            [clips, *self.manifest["shards"]], "verify", unit="file", delay=2, disable=not progress
        ):
            path = self.root / entry["name"]
            if not path.is_file():
                raise RecordsError(f"{path} is missing; run `tagkit prepare` again.")
            seen = (path.resolve(), entry["sha256"], path.stat().st_size, path.stat().st_mtime_ns)
            if seen in _found_right:
                continue
            if digest(path) != entry["sha256"]:
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


def _read_clips(root: Path, manifest: dict) -> Catalog:
    """Line by line into columns: to hold all lines at once would take several times the memory of the catalog."""
    ids, columns = [], {name: [] for name in (*METADATA, *PLACE)}
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
        tasks=manifest.get("tasks", {}),
    )


def digest(path: Path) -> str:
    """sha256 of a file, in hexadecimal digits."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()
