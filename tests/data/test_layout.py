"""MagnaTagATune's layout: what is read, and how each kind of damage is named."""

import gzip

import pytest

from tagkit.data.catalog import CatalogError
from tagkit.data.layout import CLIP_INFO_COLUMNS, read_layout

ANNOTATIONS = [
    ["clip_id", "guitar", "no vocals", "mp3_path"],
    ["2", "1", "0", "f/a-song-0-29.mp3"],
    ["10", "0", "1", "0/b-song-0-29.mp3"],
]
CLIP_INFO = [
    list(CLIP_INFO_COLUMNS),
    ["10", "3", "Song", "B", "Album", "", "0", "29", "", "0/b-song-0-29.mp3"],
    ["2", "1", "Song", "A", "Album", "", "0", "29", "", "f/a-song-0-29.mp3"],
    ["77", "1", "Never annotated", "C", "Album", "", "0", "29", "", "0/c.mp3"],
]


def text(rows, tab="\t", end="\n"):
    return "".join(tab.join(f'"{field}"' for field in row) + end for row in rows)


def changed(rows, row, column, value):
    rows = [list(each) for each in rows]
    rows[row][column] = value
    return rows


@pytest.fixture
def root(tmp_path):
    (tmp_path / "annotations_final.csv").write_text(text(ANNOTATIONS))
    (tmp_path / "clip_info_final.csv").write_text(text(CLIP_INFO))
    return tmp_path


def test_rows_in_the_order_of_the_annotations(root):
    clips, labels = read_layout(root)
    assert list(clips.index) == list(labels.index) == ["2", "10"]
    assert list(clips["path"]) == ["f/a-song-0-29.mp3", "0/b-song-0-29.mp3"]
    assert list(clips["artist"]) == ["A", "B"]
    assert list(clips["song"]) == ["A / Album / 1 / Song", "B / Album / 3 / Song"]
    assert list(labels.columns) == ["guitar", "no vocals"]
    assert labels.to_numpy().tolist() == [[True, False], [False, True]]


def test_audio_below_mp3_where_that_folder_exists(root):
    (root / "mp3").mkdir()
    assert read_layout(root)[0].at["2", "path"] == "mp3/f/a-song-0-29.mp3"


def test_gzipped_byte_order_mark_and_windows_line_ends_read_the_same(root):
    plain_clips, plain_labels = read_layout(root)
    windows = ("\ufeff" + text(ANNOTATIONS, end="\r\n")).encode()
    (root / "annotations_final.csv").unlink()
    (root / "annotations_final.csv.gz").write_bytes(gzip.compress(windows))
    clips, labels = read_layout(root)
    assert clips.equals(plain_clips)
    assert labels.equals(plain_labels)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (changed(ANNOTATIONS, 1, 1, "2"), "clip 2 has the value '2' for tag 'guitar'"),
        (changed(ANNOTATIONS, 1, 1, ""), "clip 2 has the value '' for tag 'guitar'"),
        (changed(ANNOTATIONS, 2, 0, "2"), "clip id '2' more than once"),
        (changed(ANNOTATIONS, 0, 2, "guitar"), "repeated tag column .'guitar'"),
        (changed(ANNOTATIONS, 1, 3, "../a.mp3"), "leads out of"),
        (changed(ANNOTATIONS, 1, 3, "/a.mp3"), "leads out of"),
        (changed(ANNOTATIONS, 1, 3, "0\\..\\..\\a.mp3"), "leads out of"),
        (changed(ANNOTATIONS, 1, 3, "0/other.mp3"), "different versions"),
        (changed(ANNOTATIONS, 1, 0, "3"), "clip 3 of annotations_final.csv has no row"),
        (changed(ANNOTATIONS, 0, 3, "path"), "ends with 'path'"),
        ([*ANNOTATIONS[:2], ANNOTATIONS[2][:-1]], "line 3 has 3 columns and the header has 4"),
        ([], "is empty"),
    ],
)
def test_damaged_annotations_are_refused(root, rows, message):
    (root / "annotations_final.csv").write_text(text(rows))
    with pytest.raises(CatalogError, match=message):
        read_layout(root)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (text(ANNOTATIONS, tab=","), "stray quotation mark"),
        (text(ANNOTATIONS, tab=",").replace('"', ""), "TAB"),
        ('"clip_id"\t"guitar"\t"mp3_path"\n"2\t"1"\n', "stray quotation mark"),
        ("\udcff", "not UTF-8"),
    ],
)
def test_another_format_is_refused(root, content, message):
    (root / "annotations_final.csv").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(CatalogError, match=message):
        read_layout(root)


def test_truncated_gzip_is_refused(root):
    (root / "annotations_final.csv").unlink()
    (root / "annotations_final.csv.gz").write_bytes(gzip.compress(text(ANNOTATIONS).encode())[:-12])
    with pytest.raises(CatalogError, match="cannot be read"):
        read_layout(root)


def test_missing_files_and_columns_are_named(root):
    (root / "clip_info_final.csv").write_text(text([row[:3] for row in CLIP_INFO]))
    with pytest.raises(CatalogError, match="has no column artist, album"):
        read_layout(root)
    (root / "clip_info_final.csv").unlink()
    with pytest.raises(CatalogError, match="has no clip_info_final"):
        read_layout(root)
    with pytest.raises(CatalogError, match="is not a folder"):
        read_layout(root / "nowhere")


@pytest.mark.real_data
def test_all_of_magnatagatune(real_data):
    clips, labels = read_layout(real_data / "mtat-metadata")
    assert labels.shape == (25_863, 188)
    assert clips["song"].nunique() == 5_405
    assert clips["artist"].nunique() == 230
    assert labels["guitar"].sum() == 4_852
