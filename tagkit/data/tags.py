"""Tags: synonyms and contradictions."""

from collections.abc import Iterable, Mapping

import pandas as pd

NO_VOCALS = ("no vocal", "no vocals", "no voice")
VOCALS = ("vocal", "vocals", "voice", "female vocal", "male vocal", "female voice", "male voice", "singing")

# Spellings and words for one thing among MagnaTagATune's 188 tags, under the name that the merged tag takes.
# fmt: off
SYNONYMS = {
    "beat": ("beat", "beats"),
    "choir": ("choir", "choral", "chorus"),
    "classical": ("classical", "clasical", "classic"),
    "drums": ("drums", "drum"),
    "electronic": ("electronic", "electro", "electronica", "electric"),
    "fast": ("fast", "fast beat", "quick"),
    "female": (
        "female", "female opera", "female singer", "female singing", "female vocal", "female vocals", "female voice",
        "woman", "woman singing", "women", "girl", "lady",
    ),
    "flute": ("flute", "flutes"),
    "guitar": ("guitar", "guitars"),
    "harpsichord": ("harpsichord", "harpsicord"),
    "indian": ("indian", "india"),
    "jazz": ("jazz", "jazzy"),
    "male": (
        "male", "male opera", "male singer", "male vocal", "male vocals", "male voice", "man", "man singing", "men",
    ),
    "no vocals": ("no vocals", "no vocal", "no voice", "no voices", "no singer", "no singing", "instrumental"),
    "quiet": ("quiet", "silence"),
    "space": ("space", "spacey"),
    "strings": ("strings", "string"),
    "synth": ("synth", "synthesizer"),
    "violin": ("violin", "violins"),
    "vocals": ("vocals", "vocal", "voice", "voices", "singer", "singing"),
}
# fmt: on


def merge_synonyms(labels: pd.DataFrame, groups: Mapping[str, Iterable[str]] = SYNONYMS) -> pd.DataFrame:
    """Merge the tags of each group into one: a clip carries it if it carries any of them.

    Scores on merged tags compare with no published score. Tags in no group stay; members that `labels` lacks are
    skipped.

    Parameters
    ----------
    labels : DataFrame (clips, tags) of bool
    groups : mapping of str to tags
        The name of the merged tag, and its members.

    Returns
    -------
    DataFrame (clips, fewer tags) of bool
        A merged tag stands where the first of its members stood.

    Raises
    ------
    ValueError
        A tag is in two groups, or a merged tag takes the name of a tag that is not in its group.
    """
    names = canonical_names(groups)
    columns: dict[str, pd.Series] = {}
    for tag in labels.columns:
        name = names.get(tag, tag)
        if tag in groups and name != tag:
            raise ValueError(f"{tag!r} names a group and belongs to the group {name!r}; put it into one.")
        if tag in groups and tag not in names:
            raise ValueError(f"the group {tag!r} takes the name of a tag that it does not hold; add {tag!r} to it.")
        columns[name] = columns[name] | labels[tag] if name in columns else labels[tag]
    return pd.DataFrame(columns, index=labels.index)


def canonical_names(groups: Mapping[str, Iterable[str]] = SYNONYMS) -> dict[str, str]:
    """The merged name of every member of the groups.

    Raises
    ------
    ValueError
        A tag is in two groups.
    """
    names: dict[str, str] = {}
    for name, members in groups.items():
        for member in members:
            if member in names:
                raise ValueError(f"{member!r} is in the groups {names[member]!r} and {name!r}; keep it in one.")
            names[member] = name
    return names


def contradictions(
    labels: pd.DataFrame, absent: Iterable[str] = NO_VOCALS, present: Iterable[str] = VOCALS
) -> pd.DataFrame:
    """Clips that carry a tag of both kinds, such as "no vocals" together with "singing".

    Parameters
    ----------
    labels : DataFrame (clips, tags) of bool
    absent, present : tags
        Tags that `labels` lacks are skipped.

    Returns
    -------
    DataFrame (contradicting clips,)
        Indexed as `labels`, with the columns `absent` and `present`: the tags of each kind, joined by commas.
    """
    kinds = {
        "absent": [tag for tag in absent if tag in labels.columns],
        "present": [tag for tag in present if tag in labels.columns],
    }
    both = labels[kinds["absent"]].any(axis=1) & labels[kinds["present"]].any(axis=1)
    rows = labels.loc[both]
    return pd.DataFrame(
        {
            kind: [", ".join(tag for tag in tags if row[tag]) for _, row in rows.iterrows()]
            for kind, tags in kinds.items()
        },
        index=rows.index,
    )
