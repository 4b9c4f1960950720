"""The demo dataset on disk: rendered in parallel and read as a Catalog; an interrupted rendering resumes."""

import csv
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
import pandas as pd

from tagkit.data import layout
from tagkit.data.catalog import SPLIT_PARTS, Catalog, CatalogError
from tagkit.data.demo import pieces, scores, synthesis
from tagkit.data.demo.arrange import SECONDS, TAGS, Arrangement, Plan, arrange
from tagkit.data.demo.plan import plans
from tagkit.data.demo.scores import Score
from tagkit.system import files, processes
from tagkit.system.progress import progress_bar

ABOUT = (
    "Rendered music: scores in the public domain from music21's corpus, re-orchestrated, played by a General MIDI "
    "soundfont. The tags are exact, as they come from the score; the sound is that of one synthesiser. It has no real "
    "singers, no rooms and no microphones."
)
SETTINGS = "demo.json"
SCORES = "scores.npz"
SPLITS = "splits.csv"
FORMAT = 1  # raise it when the same seed gives other clips

# As MagnaTagATune's folders are split: 0-b train, c valid, d-f test.
_FOLDERS = {"train": "0123456789ab", "valid": "c", "test": "def"}


@dataclass(frozen=True)
class DemoClip:
    """One clip of the demo: where it stands and what is played.

    Attributes
    ----------
    clip_id : str
    part : {"train", "valid", "test"}
    piece : str
        Name of the first score of its piece (see `pieces`); one piece never stands in two parts.
    score : Score
    plan : Plan
    """

    clip_id: str
    part: str
    piece: str
    score: Score
    plan: Plan

    @property
    def title(self) -> str:
        """For example "bwv66.6 for violin, harp and drums"."""
        players = [*self.plan.instruments, *(["drums"] if self.plan.drums else [])]
        listed = " and ".join([", ".join(players[:-1]), players[-1]] if len(players) > 1 else players)
        work = self.score.name.split("/", 1)[1].rsplit(".", 1)[0].replace("/", " ").replace("_", " ")
        return f"{work} for {listed}"

    @property
    def path(self) -> str:
        """Relative to the root, named as in MagnaTagATune: folder/artist-album-track-title-start-end."""
        folders = _FOLDERS[self.part]
        parts = (self.score.composer, "demo", self.clip_id.zfill(4), self.title, "0", "29")
        return f"{folders[int(self.clip_id) % len(folders)]}/{'-'.join(_slug(part) for part in parts)}.flac"

    def arrange(self) -> Arrangement:
        """The notes of this clip."""
        return arrange(self.plan, self.score)


def render(
    root: str | Path,
    n_clips: int | Mapping[str, int] = 300,
    seed: int = 0,
    jobs: int | None = None,
    progress: bool = True,
    nested: Sequence[int] = (),
) -> Catalog:
    """Render the demo dataset below `root`, in MagnaTagATune's layout; existing clips are kept.

    Each clip is 465,984 samples at 16 kHz, mono, 16-bit FLAC: a passage of a score of music21's corpus, given to one
    to three instruments and perhaps drums. The same seed gives the same waveforms, with any number of jobs, and the
    first clips of each part do not depend on `n_clips`. Call it again to resume after an interruption.

    Parameters
    ----------
    n_clips : int, or mapping of str -> int
        Of each 20 clips 13 are train, 2 valid and 5 test; 300 take 75 to 110 seconds on 2 cores. Or so many of each
        part: ``{"train": 3000, "valid": 200, "test": 600}``.
    jobs : int, optional
        Processes (default: one for each core).
    progress : bool
        Show a bar with clips per second.
    nested : sequence of int
        Further splits with less to learn from: ``piece_20`` leaves only the clips of 20 training pieces in train, and
        has the same valid and test parts. The pieces of a smaller set are also in all larger ones.

    Returns
    -------
    Catalog

    Raises
    ------
    CatalogError
        `root` holds something else (another seed, say), another process renders there, a worker process was
        killed, `nested` asks for more pieces than train has, a clip's peaks keep it from being as loud as its tags
        say, or the packages of the extra `demo` are missing.
    """
    root = Path(root)
    sizes = n_clips if isinstance(n_clips, Mapping) else _dealt(n_clips)
    if unknown := sizes.keys() - set(SPLIT_PARTS):
        raise CatalogError(f"There is no part {min(unknown)!r} to render; parts are {', '.join(SPLIT_PARTS)}.")
    if sum(sizes.values()) < 1 or min(sizes.values()) < 0:
        raise CatalogError(f"{n_clips} clips cannot be rendered; ask for at least one.")
    if seed < 0:
        raise CatalogError(f"A seed of {seed} cannot be used; give a whole number from 0 up.")
    root.mkdir(parents=True, exist_ok=True)
    busy = CatalogError(f"{root} is being rendered by another process; wait for it.")
    try:
        with files.exclusive(root / ".lock", busy):
            _claim(root, seed, sizes)
            if not _is_complete(root, sizes, nested):
                _render_missing(root, sizes, seed, jobs or joblib.cpu_count(), progress, nested)
    except BrokenProcessPool as error:
        raise CatalogError(processes.KILLED) from error
    return read(root)


def _dealt(n_clips: int) -> dict[str, int]:
    """How many of the first clips are in each part."""
    return dict(Counter(pieces.DEAL[number % len(pieces.DEAL)] for number in range(n_clips)))


def _render_missing(
    root: Path, sizes: Mapping[str, int], seed: int, jobs: int, progress: bool, nested: Sequence[int]
) -> None:
    for folder in (root, *root.glob("?/")):
        files.sweep(folder)
    pool, piece = load_scores(root, jobs, progress)
    smaller = smaller_sets(pool, piece, seed, nested)
    clips = list(first_clips(pool, piece, sizes, seed))
    missing = [clip for clip in clips if not (root / clip.path).is_file()]
    # A list of arrangements of thousands of clips would be large: they are made as the processes take them.
    work = (joblib.delayed(_render_clip)(clip.arrange(), root / clip.path, os.getpid()) for clip in missing)
    parallel = joblib.Parallel(n_jobs=jobs, batch_size=1, return_as="generator_unordered")
    done = len(clips) - len(missing)
    with progress_bar(total=len(clips), initial=done, desc="render", unit="clip", disable=not progress) as bar:
        for _ in parallel(work):
            bar.update()
    _write_tables(root, clips, smaller)


def read(root: str | Path) -> Catalog:
    """The rendered demo as a Catalog; songs are pieces, and the split "piece" keeps every piece in one part.

    Raises
    ------
    CatalogError
        A table is missing or damaged (see `layout.read_layout`).
    """
    root = Path(root)
    clips, labels = layout.read_layout(root)
    path = root / SPLITS
    if not path.is_file():
        raise CatalogError(f"{path} is missing; render the demo there again, which keeps the clips that are finished.")
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    if list(table.columns[:3]) != ["clip_id", "piece", "part"] or set(table["clip_id"]) != set(clips.index):
        raise CatalogError(f"{path} does not list the clips of {layout.ANNOTATIONS}; remove it and render again.")
    table = table.set_index("clip_id").loc[clips.index]
    splits = table.drop(columns="piece").rename(columns={"part": "piece"})
    unknown = sorted(set(splits.to_numpy().ravel()) - {*SPLIT_PARTS, ""})
    if unknown:
        raise CatalogError(f"{path} has the part {unknown[0]!r}; parts are {', '.join(SPLIT_PARTS)}.")
    return Catalog(
        name="demo",
        root=root.absolute(),
        clips=clips.assign(song=table["piece"]),
        labels=labels,
        splits=splits,
        vocabularies={"all": tuple(labels.columns)},
        default_split="piece",
        default_vocabulary="all",
        cluster_by="song",
    )


def load_scores(root: Path | None = None, jobs: int = 1, progress: bool = False) -> tuple[list[Score], np.ndarray]:
    """All scores that are used, and the number of the piece of each (scores,); kept in `root` for the next time."""
    cache = root / SCORES if root else None
    if cache and cache.is_file():
        with np.load(cache) as table:
            notes = np.split(table["notes"], np.cumsum(table["lengths"])[:-1])
            named = zip(table["names"].tolist(), table["composers"].tolist(), notes, strict=True)
            return [Score(*each) for each in named], table["piece"]
    names = scores.names()
    parallel = joblib.Parallel(n_jobs=jobs, return_as="generator")
    read_all = parallel(joblib.delayed(_read_score)(name, os.getpid()) for name in names)
    bar = progress_bar(read_all, desc="read scores", total=len(names), unit="score", disable=not progress, leave=False)
    pool = [score for score in bar if score is not None]
    piece = pieces.find(pool)
    if cache:
        with files.atomic(cache) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file,
                names=[score.name for score in pool],
                composers=[score.composer for score in pool],
                lengths=[len(score.notes) for score in pool],
                notes=np.concatenate([score.notes for score in pool]),
                piece=piece,
            )
    return pool, piece


def demo_clips(pool: list[Score], piece: np.ndarray, seed: int = 0) -> Iterator[DemoClip]:
    """Endless clips of the demo with this seed; nothing is rendered."""
    names = _piece_names(pool, piece)
    for number, (part, plan) in enumerate(plans(pool, piece, seed), start=1):
        yield DemoClip(str(number), part, names[int(piece[plan.score])], pool[plan.score], plan)


def first_clips(pool: list[Score], piece: np.ndarray, sizes: Mapping[str, int], seed: int = 0) -> Iterator[DemoClip]:
    """The first so many clips of each part, in the order of `demo_clips`, whose numbers they keep."""
    left = Counter(sizes)
    for clip in demo_clips(pool, piece, seed):
        if not left.total():
            return
        if left[clip.part]:
            left[clip.part] -= 1
            yield clip


def _piece_names(pool: list[Score], piece: np.ndarray) -> dict[int, str]:
    """Each piece is called by its first score."""
    names: dict[int, str] = {}
    for score, number in zip(pool, piece, strict=True):
        names.setdefault(int(number), score.name.rsplit(".", 1)[0])
    return names


def smaller_sets(pool: list[Score], piece: np.ndarray, seed: int, sizes: Sequence[int]) -> dict[int, set[str]]:
    """Names of the training pieces of each nested set: the first ones of all, in an order drawn by the seed."""
    names = _piece_names(pool, piece)
    train = [names[number] for number, part in pieces.split(pool, piece).items() if part == "train"]
    if sizes and max(sizes) > len(train):
        raise CatalogError(f"{max(sizes)} training pieces were asked for, but the corpus has {len(train)}.")
    order = np.random.default_rng(seed).permutation(sorted(train)).tolist()
    return {size: set(order[:size]) for size in sizes}


def _claim(root: Path, seed: int, sizes: Mapping[str, int]) -> None:
    """Note in `root` what is rendered there, or refuse where that is something else."""
    path = root / SETTINGS
    wanted = {"format": FORMAT, "seed": seed, **synthesis.versions()}
    if not path.is_file():
        if (root / layout.ANNOTATIONS).exists():
            raise CatalogError(f"{root} holds a dataset that is not the demo; render into another folder.")
        files.write_json(path, wanted)
        return
    there = files.read_json(path)
    differing = [name for name in wanted if there.get(name) != wanted[name]]
    if "seed" in differing or (differing and not _is_complete(root, sizes, ())):
        name = "seed" if "seed" in differing else differing[0]
        raise CatalogError(
            f"{root} holds a demo with {name} {there.get(name)}, not {wanted[name]}; "
            "remove that folder or render into another one."
        )


def _is_complete(root: Path, sizes: Mapping[str, int], nested: Sequence[int]) -> bool:
    if not all((root / name).is_file() for name in (layout.ANNOTATIONS, layout.CLIP_INFO, SPLITS)):
        return False
    catalog = read(root)
    there = catalog.split_sizes() == {part: sizes.get(part, 0) for part in SPLIT_PARTS}
    there = there and {_split_name(size) for size in nested} <= set(catalog.splits)
    return there and all((root / path).is_file() for path in catalog.clips["path"])


def _split_name(size: int) -> str:
    return f"piece_{size}"


def _read_score(name: str, parent: int) -> Score | None:
    processes.follow(parent)
    return scores.read(name)


def _render_clip(arrangement: Arrangement, path: Path, parent: int) -> None:
    processes.follow(parent)
    y = synthesis.play(arrangement)
    with files.atomic(path) as temporary:
        synthesis.write(temporary, y)


def _write_tables(root: Path, clips: list[DemoClip], smaller: Mapping[int, set[str]]) -> None:
    tags = [set(clip.arrange().tags) for clip in clips]
    _write_table(
        root / layout.CLIP_INFO,
        layout.CLIP_INFO_COLUMNS,
        (
            (c.clip_id, c.clip_id, c.title, c.score.composer, "demo", "", "0", f"{SECONDS:.0f}", c.score.name, c.path)
            for c in clips
        ),
    )
    _write_table(
        root / SPLITS,
        ("clip_id", "piece", "part", *map(_split_name, smaller)),
        ((c.clip_id, c.piece, c.part, *(_part_among(c, few) for few in smaller.values())) for c in clips),
    )
    _write_table(  # last: with this file the dataset is complete
        root / layout.ANNOTATIONS,
        ("clip_id", *TAGS, "mp3_path"),
        (
            (clip.clip_id, *(str(int(tag in true)) for tag in TAGS), clip.path)
            for clip, true in zip(clips, tags, strict=True)
        ),
    )


def _part_among(clip: DemoClip, few: set[str]) -> str:
    """The part of a clip in a split with these training pieces only."""
    return clip.part if clip.part != "train" or clip.piece in few else ""


def _write_table(path: Path, header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    with files.atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _slug(text: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "._" else "_" for letter in text.lower())
