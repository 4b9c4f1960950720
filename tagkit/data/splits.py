"""Splits: a split that keeps groups together, a seeded shuffle, how balanced a split is and what leaks across it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tagkit.data.catalog import SPLIT_PARTS, Catalog, CatalogError
from tagkit.data.groups import numbered, tag_counts

# MagnaTagATune's 16 folders, 12:1:3.
FRACTIONS = (0.75, 0.0625, 0.1875)
TEST_GROUPS = 4  # artists in the test part, so that scores can have intervals
FEWEST_GROUPS = 3  # of which intervals are known


def shuffled(clips: pd.Index, fractions: Sequence[float] = (0.7, 0.1, 0.2), seed: int = 0) -> pd.Series:
    """A split that shuffles clips, whatever they have in common.

    Parameters
    ----------
    clips : Index of clip ids
    fractions : three floats
        Shares of train, valid and test; they sum to 1.

    Returns
    -------
    Series (clips,) of str
        train, valid or test.
    """
    order = np.random.default_rng(seed).permutation(len(clips))
    ends = np.rint(np.cumsum(fractions) * len(clips)).astype(int)
    parts = np.empty(len(clips), dtype=object)
    for part, chosen in zip(SPLIT_PARTS, np.split(order, ends[:-1]), strict=True):
        parts[chosen] = part
    return pd.Series(parts, index=clips, dtype="str")


def stratified(labels: pd.DataFrame, fractions: Sequence[float] = (0.7, 0.1, 0.2), seed: int = 0) -> pd.Series:
    """A split of clips that belong to nobody, with every tag spread as evenly as its clips allow.

    Clips are dealt out one by one, those with the rarest tag first, each to the part that still lacks most of that
    tag (iterative stratification: Sechidis, Tsoumakas and Vlahavas 2011).

    Parameters
    ----------
    labels : DataFrame (clips, tags) of bool
    fractions : three floats
        Shares of train, valid and test; they sum to 1.

    Returns
    -------
    Series (clips,) of str
        train, valid or test.
    """
    flags = np.column_stack([labels.to_numpy(bool), np.ones(len(labels), bool)])  # the last "tag": to be a clip
    seats = np.diff(np.rint(np.cumsum([0, *fractions]) * len(labels)))
    enough = flags.sum(axis=0) >= len(SPLIT_PARTS)  # for one in each part
    wanted = np.maximum(np.outer(fractions, flags.sum(axis=0)), enough)
    order = np.random.default_rng(seed).permutation(len(labels))
    parts = np.full(len(labels), -1)
    while len(order):
        counts = flags[order].sum(axis=0)
        rarest = np.where(counts > 0, counts, len(labels) + 1).argmin()
        for clip in order[flags[order, rarest]]:
            part = max(np.flatnonzero(seats), key=lambda part: (wanted[part, rarest], wanted[part, -1]))
            parts[clip] = part
            seats[part] -= 1
            wanted[part] -= flags[clip]
        order = order[parts[order] < 0]
    return pd.Series(np.array(SPLIT_PARTS)[parts], index=labels.index, dtype="str")


def grouped(
    labels: pd.DataFrame,
    groups: pd.Series,
    fractions: Sequence[float] = FRACTIONS,
    seed: int = 0,
    steps: int | None = None,
) -> pd.Series:
    """A split with no group (such as an artist) in two parts, and every tag spread as evenly as can be found.

    Simulated annealing over the part of each group: a step moves one group or swaps two. It minimises the
    largest of two deviations over all parts and tags: a tag's share of the part's clips from its share of all clips,
    and the part's share of the tag's clips from the part's fraction (which also keeps the sizes). The test part gets
    `TEST_GROUPS` groups at least, or half of all groups if that is fewer.

    Parameters
    ----------
    labels : DataFrame (clips, tags) of bool
        The tags to spread.
    groups : Series (clips,) of str
        Indexed as `labels`. Clips without a group ("") are each their own.
    fractions : three floats
        Shares of train, valid and test.
    seed : int
        The same seed gives the same split.
    steps : int, optional
        Default: 200 for each group, 40,000 at most (about a second).

    Returns
    -------
    Series (clips,) of str
        train, valid or test.

    Raises
    ------
    CatalogError
        There are fewer than three groups, or `groups` lacks a clip of `labels`.
    """
    groups = groups.reindex(labels.index)
    known = groups.notna()
    if not known.all():
        raise CatalogError(
            f'clip {known.idxmin()} has no group ({(~known).sum()} in all); give every clip one, or "" for its own.'
        )
    codes, count = numbered(groups)
    if count < len(SPLIT_PARTS):
        raise CatalogError(f"{count} groups cannot be split into train, valid and test; at least 3 are needed.")
    counts = tag_counts(codes, labels.to_numpy(bool))
    steps = min(40_000, 200 * count) if steps is None else steps
    least = min(TEST_GROUPS, count // 2)
    parts = _anneal(counts, np.asarray(fractions), np.random.default_rng(seed), steps, least)
    return pd.Series(np.array(SPLIT_PARTS)[parts[codes]], index=labels.index, dtype="str")


def together(clips: pd.DataFrame, by: Sequence[str]) -> pd.Series:
    """Which clips must not be parted: those that share a value of a column, directly or by way of other clips.

    Parameters
    ----------
    clips : DataFrame (clips,)
        With a column `artist`.
    by : sequence of str
        Columns, such as path, song and artist; "" is no value.

    Returns
    -------
    Series (clips,) of str
        A group for `grouped`: named after one of its artists, or else after its first clip; "" for a clip alone.
    """
    edges, nodes = [], len(clips)
    for column in by:
        codes, names = pd.factorize(clips[column])
        rows = np.flatnonzero(clips[column].to_numpy() != "")
        edges.append((rows, nodes + codes[rows]))
        nodes += len(names)
    ones, others = (np.concatenate(each) for each in zip(*edges, strict=True))
    graph = coo_array((np.ones(len(ones), bool), (ones, others)), shape=(nodes, nodes))
    of = pd.Series(connected_components(graph, directed=False)[1][: len(clips)], index=clips.index)
    artist = clips["artist"].where(clips["artist"] != "").groupby(of).min().fillna("")
    first = pd.Series(clips.index, index=clips.index).groupby(of).first()
    size = of.value_counts()
    names = [artist[k] or (f"clip {first[k]}" if size[k] > 1 else "") for k in of]
    return pd.Series(names, index=clips.index, dtype="str")


def _anneal(counts: np.ndarray, fractions: np.ndarray, rng: np.random.Generator, steps: int, least: int) -> np.ndarray:
    """The part (0, 1, 2) of each group, part 2 with `least` groups or more.

    counts : ndarray (groups, tags + 1); the last column counts clips.
    """
    parts = rng.choice(3, len(counts), p=fractions)
    order = rng.permutation(len(counts))
    parts[order[:3]] = (0, 1, 2)
    elsewhere = [group for group in order[3:] if parts[group] != 2]
    parts[elsewhere[: max(0, least - np.count_nonzero(parts == 2))]] = 2
    held = np.stack([counts[parts == part].sum(axis=0) for part in range(3)])
    cost = _imbalance(held, fractions)
    best, best_cost = parts.copy(), cost
    for step in range(steps):
        one, other = rng.integers(len(counts), size=2)
        swap = rng.random() < 0.5
        source, target = parts[one], parts[other] if swap else rng.integers(3)
        if source == target:
            continue
        change = counts[one] - swap * counts[other]
        moved = held.copy()
        moved[source] -= change
        moved[target] += change
        takes_last = source == 2 and not swap and np.count_nonzero(parts == 2) <= least
        if takes_last or moved[:, -1].min() < 1:
            continue
        moved_cost = _imbalance(moved, fractions)
        temperature = 0.05 * (1 - step / steps)
        if moved_cost < cost or rng.random() < np.exp((cost - moved_cost) / temperature):
            if swap:
                parts[other] = source
            parts[one] = target
            held, cost = moved, moved_cost
            if cost < best_cost:
                best, best_cost = parts.copy(), cost
    return best


def _imbalance(held: np.ndarray, fractions: np.ndarray) -> float:
    """About the largest deviation, in units of 3 percentage points: its 8-norm, which has a slope to follow."""
    whole = held.sum(axis=0)
    of_clips = held[:, :-1] / held[:, -1:] - whole[:-1] / whole[-1]
    of_tag = held / whole - fractions[:, None]
    deviations = np.concatenate([of_clips.ravel(), of_tag.ravel()]) / 0.03
    fourth = np.square(np.square(deviations))
    return float(np.sqrt(np.sqrt(np.sqrt(np.dot(fourth, fourth)))))


def balance(catalog: Catalog, split: str | None = None, vocabulary: str | None = None) -> pd.DataFrame:
    """How evenly a split spreads the tags.

    Parameters
    ----------
    split, vocabulary : str, optional
        Default: the catalog's.

    Returns
    -------
    DataFrame (tags,)
        `whole`: share of all the split's clips that carry the tag. For each part (train, valid, test): `{part}`, the
        share of its clips that carry the tag; `{part}_positives`, how many do; `{part}_of_tag`, its share of the
        tag's clips. `deviation`: the largest distance of a part's share from the whole, in percentage points.

    Raises
    ------
    CatalogError
        The catalog has no such split or vocabulary.
    """
    tags = list(catalog.tags(vocabulary))
    members = {part: catalog.labels.loc[catalog.ids(part, split), tags] for part in SPLIT_PARTS}
    positives = pd.DataFrame({part: rows.sum() for part, rows in members.items()}, index=tags)
    sizes = pd.Series({part: len(rows) for part, rows in members.items()})
    table = pd.DataFrame({"whole": positives.sum(axis=1) / sizes.sum()})
    for part in SPLIT_PARTS:
        table[part] = positives[part] / sizes[part]
        table[f"{part}_positives"] = positives[part]
        table[f"{part}_of_tag"] = positives[part] / positives.sum(axis=1)
    table["deviation"] = 100 * table[list(SPLIT_PARTS)].sub(table["whole"], axis=0).abs().max(axis=1)
    return table


def leakage(catalog: Catalog, split: str | None = None, by: str = "artist") -> pd.DataFrame:
    """The artists (or songs) that appear in more than one part of a split.

    Parameters
    ----------
    split : str, optional
        Default: the catalog's.
    by : {"artist", "song"}
        Clips without one are skipped.

    Returns
    -------
    DataFrame (groups in more than one part,)
        Indexed by the group's name, with the number of its clips in `train`, `valid` and `test`; those with the most
        test clips first.

    Raises
    ------
    CatalogError
        The catalog has no such split.
    """
    clips = pd.DataFrame({"group": catalog.clips[by], "part": catalog.parts(split)})
    clips = clips[(clips["group"] != "") & (clips["part"] != "")]
    table = pd.crosstab(clips["group"], clips["part"]).reindex(columns=SPLIT_PARTS, fill_value=0)
    table = table[(table > 0).sum(axis=1) > 1].rename_axis(index=by, columns=None)
    return table.sort_values(["test", "train", "valid"], ascending=False, kind="stable")


def report(catalog: Catalog) -> list[str]:
    """What to know of a catalog's default split.

    Who is, or may be, in train and test at once; parts of too few artists (or songs) for scores to have intervals; tags
    that a part lacks.
    """
    sentences = []
    for by in ("artist", "song"):
        row = leakage_summary(catalog, by).loc[catalog.default_split]
        if row["test_clips_affected"]:
            sentences.append(
                f"{row['test_clips_affected']} of the {row['test_clips']} test clips share their {by} with clips in "
                f"train ({row['in_train_and_test']} {by}s): scores flatter a network that recognises them."
            )
    test = catalog.clips.loc[catalog.ids("test")]
    nameless = int((test["artist"] == "").sum())
    if nameless:
        sentences.append(
            f"{nameless} of the {len(test)} test clips name no artist: whoever plays them may be in train, too, and "
            "scores may flatter a network that recognises them."
        )
    for part in SPLIT_PARTS[1:]:
        members = catalog.clips.loc[catalog.ids(part), catalog.cluster_by]
        groups = members[members != ""].nunique() + int((members == "").sum())
        if 0 < groups < FEWEST_GROUPS:
            sentences.append(
                f"The {part} part has clips of {groups} {catalog.cluster_by}{'s' * (groups > 1)} only: intervals of "
                f"scores need {FEWEST_GROUPS} and will be unknown; add clips of others, or choose another split."
            )
    tags = list(catalog.tags())
    for part in SPLIT_PARTS:
        rows = catalog.labels.loc[catalog.ids(part), tags]
        lacking = [tag for tag in tags if len(rows) and not rows[tag].any() and catalog.labels[tag].any()]
        if lacking:
            more = f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""
            sentences.append(f"No {part} clip has the tag {', '.join(lacking[:5])}{more}.")
    return sentences


def leakage_summary(catalog: Catalog, by: str = "artist") -> pd.DataFrame:
    """What leaks across each split of a catalog.

    Returns
    -------
    DataFrame (splits,)
        `groups`: artists (or songs) in the split; `in_several_parts` of them; `in_train_and_test` of them;
        `test_clips`; `test_clips_affected`: those whose artist (or song) is in train, too.
    """
    rows = {}
    for split in catalog.splits.columns:
        shared = leakage(catalog, split, by)
        members = catalog.clips.loc[catalog.splits[split] != "", by]
        both = shared[(shared["train"] > 0) & (shared["test"] > 0)]
        rows[split] = {
            "groups": members[members != ""].nunique(),
            "in_several_parts": len(shared),
            "in_train_and_test": len(both),
            "test_clips": catalog.split_sizes(split)["test"],
            "test_clips_affected": int(both["test"].sum()),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("split")
