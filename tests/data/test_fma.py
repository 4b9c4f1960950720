import csv

import pytest

from tagkit.data import datasets, fma, splits
from tagkit.data.catalog import CatalogError

GENRES = [
    (12, 0, "Rock"),
    (15, 0, "Electronic"),
    (181, 15, "Techno"),
    (25, 12, "Punk"),
    (21, 0, "Hip-Hop"),
    (90, 12, "Techno"),
]
# id, subset, split, genre_top, genres_all, title, artist, album
TRACKS = [
    (2, "small", "training", "Rock", "[12, 25]", "Song, with a comma", "Ann", "First"),
    (133297, "small", "training", "Electronic", "[15, 181]", "Bad clip", "Bob", "Second"),
    (5, "medium", "validation", "Electronic", "[15]", 'Quote " and\nline', "Cyd", "Third"),
    (1486, "medium", "test", "Rock", "[12]", "Bad, too", "Dee", ""),
    (155066, "large", "test", "", "[12, 15, 90]", "Two tops", "Äsa", "Fifth"),
    (7, "large", "test", "", "[]", "No genre", "Fay", ""),
]
HEAD = [
    ["", "album", "artist", "set", "set", "track", "track", "track"],
    ["", "title", "name", "split", "subset", "genre_top", "genres_all", "title"],
    ["track_id", *[""] * 7],
]


def write(root, tracks=TRACKS, head=HEAD, genres=GENRES, folders=("fma_small",)):
    (root / "fma_metadata").mkdir()
    for folder in folders:
        (root / folder).mkdir()
    with (root / "fma_metadata/tracks.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows(head)
        for track, subset, split, top, listed, title, artist, album in tracks:
            writer.writerow([track, album, artist, split, subset, top, listed, title])
    with (root / "fma_metadata/genres.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["genre_id", "#tracks", "parent", "title", "top_level"])
        writer.writerows([genre, 1, parent, title, parent or genre] for genre, parent, title in genres)
    return root


def test_subsets_hold_one_another(tmp_path):
    write(tmp_path)
    sizes = {subset: len(fma.read(tmp_path, subset)) for subset in fma.SUBSETS}
    assert sizes == {"small": 2, "medium": 4, "large": 6, "full": 6}


@pytest.mark.parametrize("subset", fma.SUBSETS)
def test_model_cards_find_what_is_said_of_every_subset(tmp_path, subset):
    write(tmp_path)
    assert datasets.ABOUT[fma.read(tmp_path, subset).name] == fma.ABOUT


def test_splits_genres_and_bad_clips(tmp_path):
    catalog = fma.read(write(tmp_path), "large")
    assert catalog.split_sizes("all") == {"train": 2, "valid": 1, "test": 3}
    assert catalog.split_sizes() == {"train": 1, "valid": 1, "test": 2}, "133297 and 1486 are known to be bad"
    assert catalog.tags() == ("Rock", "Electronic"), "Hip-Hop does not occur"
    assert catalog.tags("all_genres") == ("Rock", "Electronic", "Punk", "Techno (90)", "Techno (181)")
    assert catalog["155066"].tags == ("Rock", "Electronic", "Techno (90)")
    assert catalog["7"].tags == ()
    assert catalog["5"].title == 'Quote " and\nline'
    assert splits.leakage(catalog).empty


def test_audio_paths_are_sixfold_and_in_the_folder_that_is_there(tmp_path):
    catalog = fma.read(write(tmp_path, folders=("fma_large",)), "medium")
    assert catalog.clips["path"].tolist()[:2] == ["fma_large/000/000002.mp3", "fma_large/133/133297.mp3"]
    (tmp_path / "fma_medium").mkdir()
    assert fma.read(tmp_path, "medium").clips.at["5", "path"] == "fma_medium/000/000005.mp3"


def change(**columns):
    names = ("id", "subset", "split", "top", "genres", "title", "artist", "album")
    row = dict(zip(names, TRACKS[0], strict=True)) | columns
    return [tuple(row.values()), *TRACKS[1:]]


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        ({"tracks": change(id="2x")}, "line 4 has no track id"),
        ({"tracks": change(id=5)}, "has track 5 more than once"),
        ({"tracks": []}, "names no track"),
        ({"tracks": change(subset="tiny")}, "track 2 has the subset 'tiny'"),
        ({"tracks": change(split="dev")}, "track 2 has the split 'dev'"),
        (
            {"tracks": change(genres="[99]")},
            r"track 2 has the genres '\[99\]' and 'Rock', which genres.csv does not know",
        ),
        ({"tracks": change(genres="__import__('os')")}, "genres.csv does not know"),
        ({"tracks": change(top="Polka")}, "and 'Polka', which genres.csv does not know"),
        ({"head": HEAD[:2]}, "does not start with FMA's two rows of column names"),
        ({"head": [HEAD[0], ["", *["title"] * 7], HEAD[2]]}, "has no column set subset, set split"),
        ({"genres": [(12, 99, "Rock")]}, "has genre 12 without its parent"),
        ({"genres": [(12, 0, "Rock"), (12, 0, "Pop")]}, "line 3 is no genre or a repeated one"),
        ({"genres": [("x", 0, "Rock")]}, "line 2 is no genre"),
    ],
)
def test_wrong_metadata_gets_one_clear_sentence(tmp_path, faults, words):
    write(tmp_path, **faults)
    with pytest.raises(CatalogError, match=words) as caught:
        fma.read(tmp_path)
    assert "\n" not in str(caught.value)


def test_missing_metadata_and_unknown_names(tmp_path):
    with pytest.raises(CatalogError, match=r"has no fma_metadata/tracks\.csv; fetch fma_metadata into it"):
        fma.read(tmp_path)
    write(tmp_path)
    with pytest.raises(CatalogError, match="no subset 'huge'; choose one of small"):
        fma.read(tmp_path, "huge")
    with pytest.raises(CatalogError, match=r"no tags 'lastfm' \(give them: lastfm=lastfm\.labels"):
        fma.read(tmp_path, tags="lastfm")
