"""Mutated audio files and tables: each is read rightly or refused with one clear error, and nothing crashes or hangs.

Run with ``python -m tests.data.fuzz --audio 1000 --streams 1000 --arrays 1000 --tables 1000 --seed 0``; it prints
counts, and exits with 1 on a finding.
"""

import argparse
import csv
import io
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import soundfile

from tagkit import audio
from tagkit.data import fma, folder, magnatagatune
from tagkit.data.catalog import Catalog, CatalogError
from tagkit.data.layout import CLIP_INFO_COLUMNS
from tests.data.fuzz_streams import fuzz_arrays, fuzz_streams
from tests.data.mutations import SR, FoundError, blank, flip, load_in_time, mutate_audio, swap, time_limit

# Files that declare their length: a shorter one must be refused.
DECLARED = ("wav", "float.wav", "24.wav", "flac", "aiff", "m4a")
LOSSLESS = ("wav", "24.wav", "flac", "aiff")


# Audio


def audio_originals(work):
    """Name -> (bytes, decoded samples) of small files in many formats."""
    rng = np.random.default_rng(0)
    y = 0.3 * np.sin(2 * np.pi * 440 * np.arange(SR) / SR) + 0.05 * rng.standard_normal(SR)
    for suffix in ("wav", "flac", "aiff", "mp3", "ogg", "opus", "m4a", "wma"):
        audio.save(work / f"a.{suffix}", y, SR)
    soundfile.write(work / "a.float.wav", np.stack([y, y], axis=1), SR, subtype="FLOAT")
    soundfile.write(work / "a.24.wav", y, 44_100, subtype="PCM_24")
    paths = sorted(work.glob("a.*"))
    return {path.name[2:]: (path.read_bytes(), audio.load_int16(path, SR)) for path in paths}


def check_audio(name, kind, y, right, same_head, unchanged):
    """What an accepted file must be."""
    if y.dtype != np.int16 or y.ndim != 1 or not len(y):
        raise FoundError(f"gave {y.dtype} {y.shape}")
    if kind == "junk":
        raise FoundError("junk was accepted")
    if (kind == "rename" or unchanged) and not np.array_equal(y, right):
        raise FoundError("another name gave other samples")
    if name == "flac" and same_head and kind in ("flip", "blank", "swap") and not np.array_equal(y, right):
        raise FoundError("damage that FLAC's checksums show was accepted")
    if kind == "cut" and name in DECLARED and len(y) < len(right) - SR // 100:
        raise FoundError(f"{len(y)} of {len(right)} samples were accepted")
    if kind == "cut" and name in LOSSLESS and not np.array_equal(y, right[: len(y)]):
        raise FoundError("a cut file gave other samples")
    if kind == "cut" and len(y) > len(right) + SR // 10:
        raise FoundError(f"a cut file of {len(right)} samples gave {len(y)}")
    if kind == "append" and not len(right) <= len(y) <= len(right) + SR:
        raise FoundError(f"{len(y)} samples of a file of {len(right)}")


def fuzz_audio(count, seed=0):
    """Counts of (kind, refused or accepted); a FoundError names the file's number, format and mutation."""
    rng = np.random.default_rng(seed)
    kinds = ("flip", "flip head", "cut", "append", "junk", "blank", "swap", "rename")
    outcomes = Counter()
    with tempfile.TemporaryDirectory() as folder_name:
        work = Path(folder_name)
        originals = audio_originals(work)
        names = [name for name in originals for _ in range(1 if name in ("m4a", "wma") else 4)]
        for number in range(count):
            name, kind = str(rng.choice(names)), str(rng.choice(kinds))
            data, right = originals[name]
            mutated = mutate_audio(kind, data, rng)
            suffix = str(rng.choice(("mp3", "wav", "xyz", "au", "Ü 音.flac"))) if kind == "rename" else name
            path = work / f"mutated.{suffix}"
            path.write_bytes(mutated)
            what = f"audio {number} (seed {seed}): {kind} of {name}"
            outcomes[
                kind, _read_audio(path, what, name, kind, right, mutated[:200] == data[:200], mutated == data)
            ] += 1
            path.unlink()
    return outcomes


def _read_audio(path, what, name, kind, right, same_head, unchanged):
    try:
        y = load_in_time(path, what).y
        check_audio(name, kind, y, right, same_head, unchanged)
    except audio.AudioError as error:
        if kind == "rename" or unchanged or "\n" in str(error) or str(path) not in str(error):
            raise FoundError(f"{what}: {error}") from error
        return "refused"
    except FoundError as error:
        raise FoundError(f"{what}: {error}") from error
    return "accepted"


# Tables


def table(rows, delimiter):
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return text.getvalue()


def table_originals():
    """Dataset -> ({file: text}, the file that is mutated, its delimiter, the reader)."""
    top = magnatagatune.TOP50
    paths = [f"{'0123456789abcdef'[k % 16]}/a{k // 4}-song {k}-0-29.mp3" for k in range(24)]
    annotations = [["clip_id", *top, "mp3_path"]]
    annotations += [[k, *[int((k * 7 + t) % 5 == 0) for t in range(50)], path] for k, path in enumerate(paths)]
    info = [list(CLIP_INFO_COLUMNS)]
    info += [[k, 1, f"t{k}", f"a{k // 4}", "al", "u", 0, 29, "o", path] for k, path in enumerate(paths)]
    mtat = {"annotations_final.csv": table(annotations, "\t"), "clip_info_final.csv": table(info, "\t")}
    head = [
        ["", "album", "artist", "set", "set", "track", "track", "track"],
        ["", "title", "name", "split", "subset", "genre_top", "genres_all", "title"],
        ["track_id", *[""] * 7],
    ]
    parts = ("training", "validation", "test")
    rows = [[k + 2, f"al{k}", f"a{k}", parts[k % 3], "small", "Rock", "[12, 25]", f"t, {k}"] for k in range(24)]
    genres = [["genre_id", "#tracks", "parent", "title", "top_level"], [12, 9, 0, "Rock", 12], [25, 9, 12, "Punk", 12]]
    own = [["path", "artist", "split", "rock", "sad song"]]
    own += [[f"x/ü {k}.wav", f"a{k // 2}", ("train", "valid", "test")[k % 3], k % 2, 1 - k % 2] for k in range(24)]
    free = {"tracks.csv": table([*head, *rows], ","), "genres.csv": table(genres, ",")}
    return {
        "mtat": (mtat, "annotations_final.csv", "\t", magnatagatune.read),
        "mtat info": (mtat, "clip_info_final.csv", "\t", magnatagatune.read),
        "fma": (free, "tracks.csv", ",", fma.read),
        "fma genres": (free, "genres.csv", ",", fma.read),
        "folder": ({"t.csv": table(own, ",")}, "t.csv", ",", lambda root: folder.read(root, root / "t.csv")),
    }


def mutate_table(kind, text, delimiter, rng):
    """The mutated bytes, and what must come of it: "equal", "refused" or "either"."""
    data = text.encode()
    lines = text.splitlines(keepends=True)
    last = int(rng.integers(len(lines) - 2, len(lines)))
    rows = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    if kind == "bom and windows":
        return b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(), "equal"
    if kind == "repeat a row":
        return (text + lines[last]).encode(), "refused"
    if kind == "delimiter":
        return text.replace(delimiter, "^").encode(), "refused"
    if kind == "short row":
        return (text + delimiter.join(rows[last][:-1]) + "\n").encode(), "refused"
    if kind == "empty":
        return b"\n" * int(rng.integers(3)), "refused"
    if kind == "latin-1":
        return text.replace("a", "ä", 3).encode("latin-1"), "refused"
    if kind == "flip":
        return flip(data, rng), "either"
    if kind == "cut":
        return data[: int(rng.integers(len(data)))], "either"
    if kind == "blank":
        return blank(data, rng), "either"
    if kind == "swap":
        return swap(data, rng), "either"
    return rng.bytes(int(rng.integers(1, 5000))), "refused"


def mutate_cell(name, text, delimiter, rng):
    """A value that is wrong where it stands."""
    rows = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    row = rows[int(rng.integers(len(rows) - 2, len(rows)))]
    evil = str(rng.choice(("../x.mp3", "/etc/passwd", "a/../../b.mp3", "")))
    strange = str(rng.choice(("2", "-1", "0.5", "x", "NaN", "1e0", "\uff11")))
    if name in ("mtat", "folder") and rng.random() < 0.5:
        row[3 if name == "mtat" else 4] = strange
    elif name in ("mtat", "mtat info"):
        row[-1] = evil
    elif name == "folder":
        row[0] = evil
    elif name == "fma":
        column = int(rng.choice((0, 3, 4, 6)))
        row[column] = "x" if column < 6 else str(rng.choice(("[99]", "[1", "exit()", "12")))
    else:
        row[int(rng.choice((0, 2)))] = str(rng.choice(("x", "-3", "1.5", "")))
    return table(rows, delimiter).encode(), "refused"


def fuzz_tables(count, seed=0):
    """Counts of (kind, refused or accepted); a FoundError names the table's number, dataset and mutation."""
    rng = np.random.default_rng(seed)
    kinds = ("bom and windows", "repeat a row", "delimiter", "short row", "empty", "latin-1", "bytes")
    kinds += ("flip", "flip", "cut", "blank", "swap", "cell", "cell")
    outcomes = Counter()
    originals = table_originals()
    with tempfile.TemporaryDirectory() as folder_name:
        root = Path(folder_name)
        right = {}
        for name, (contents, _, _, read) in originals.items():
            _write(root, contents)
            right[name] = read(root).fingerprint()
        for number in range(count):
            name, kind = str(rng.choice(list(originals))), str(rng.choice(kinds))
            contents, target, delimiter, read = originals[name]
            text = contents[target]
            if kind == "cell":
                mutated, wanted = mutate_cell(name, text, delimiter, rng)
            else:
                mutated, wanted = mutate_table(kind, text, delimiter, rng)
            _write(root, contents)
            (root / target).write_bytes(mutated)
            what = f"table {number} (seed {seed}): {kind} of {name}"
            outcomes[kind, _read_table(root, read, what, wanted, right[name])] += 1
    return outcomes


def _write(root, contents):
    for name, text in contents.items():
        (root / name).write_text(text, encoding="utf-8", newline="")


def _read_table(root, read, what, wanted, right):
    try:
        with time_limit(what):
            catalog = read(root)
    except CatalogError as error:
        if wanted == "equal" or "\n" in str(error) or str(root) not in str(error):
            raise FoundError(f"{what}: {error}") from error
        return "refused"
    if wanted == "refused":
        raise FoundError(f"{what} was accepted")
    if wanted == "equal" and catalog.fingerprint() != right:
        raise FoundError(f"{what} gave another catalog")
    if (
        not isinstance(catalog, Catalog)
        or not all(kind.kind == "b" for kind in catalog.labels.dtypes)
        or not len(catalog)
    ):
        raise FoundError(f"{what} gave no catalog")
    return "accepted"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--audio", type=int, default=1000, help="number of mutated audio files")
    parser.add_argument("--streams", type=int, default=1000, help="number of streams of unknown length, mutated or not")
    parser.add_argument("--arrays", type=int, default=1000, help="number of arrays of all types")
    parser.add_argument("--tables", type=int, default=1000, help="number of mutated tables")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    for fuzz in (fuzz_audio, fuzz_streams, fuzz_arrays, fuzz_tables):
        name = fuzz.__name__.removeprefix("fuzz_")
        outcomes = fuzz(getattr(chosen, name), chosen.seed)
        print(f"{name}: {outcomes.total()} inputs, no crash, no hang, no wrong acceptance")
        for (kind, outcome), number in sorted(outcomes.items()):
            print(f"  {kind:26} {outcome:24} {number}")


if __name__ == "__main__":
    try:
        main()
    except FoundError as finding:
        sys.exit(f"FOUND: {finding}")
