"""Tags in files' own metadata: nothing else changes."""

import mutagen
import numpy as np
import pytest
import soundfile
from mutagen import id3

from tagkit import audio
from tagkit.audio import metadata

FORMATS = ("song.mp3", "song.flac", "song.ogg", "song.wav", "song.aiff")


def song(path):
    y = 0.3 * np.sin(np.arange(20_000) / 7) + 0.01 * np.random.default_rng(0).standard_normal(20_000)
    soundfile.write(path, y, 16_000)
    return path


def described(path):
    """Give a file a title, a genre and a comment of its owner's."""
    opened = mutagen.File(path)
    if opened.tags is None:
        opened.add_tags()
    if isinstance(opened.tags, id3.ID3):
        opened.tags.add(id3.TIT2(encoding=3, text=["Für Elise"]))
        opened.tags.add(id3.TCON(encoding=3, text=["Classical"]))
        opened.tags.add(id3.COMM(encoding=3, lang="deu", desc="", text=["mine"]))
    else:
        opened["title"], opened["genre"], opened["comment"] = "Für Elise", "Classical", "mine"
    opened.save()
    return path


def kept(path):
    """All that a file's metadata holds apart from genre and tagkit's comment, as text."""
    tags = mutagen.File(path).tags
    if isinstance(tags, id3.ID3):
        return {key: str(tags[key]) for key in tags if key not in ("TCON", "COMM:tagkit:eng")}
    return {
        key: [v for v in values if not v.startswith("tagkit: ")]
        for key, values in tags.as_dict().items()
        if key != "genre"
    }


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("field", metadata.FIELDS)
def test_the_sound_and_all_other_fields_stay(name, field, tmp_path):
    path = described(song(tmp_path / name))
    sound, fields, content = audio.load(path, sr=16_000), kept(path), path.read_bytes()
    dry = metadata.write(path, ["rock", "guitar"], field, dry_run=True)
    assert path.read_bytes() == content
    change = metadata.write(path, ["rock", "guitar"], field)
    assert dry == change
    assert change.before == (("Classical",) if field == "genre" else ("mine",))
    assert change.after == (("rock", "guitar") if field == "genre" else ("mine", "tagkit: rock, guitar"))
    np.testing.assert_array_equal(audio.load(path, sr=16_000), sound)
    assert kept(path) == fields
    again = metadata.write(path, ["harp"], field)
    assert again.before == change.after
    assert again.after == (("harp",) if field == "genre" else ("mine", "tagkit: harp"))
    assert metadata.write(path, ["harp"], field).before == again.after
    assert metadata.write(path, [], field).after == again.after
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_files_without_metadata_get_some(tmp_path):
    for name in FORMATS:
        assert metadata.write(song(tmp_path / name), ["rock"]).before == ()
        assert metadata.write(tmp_path / name, ["rock"]).before == ("rock",)


def test_what_cannot_hold_tags_is_named(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("no music")
    with pytest.raises(audio.AudioError, match=r"notes.txt is of a format without metadata"):
        metadata.write(path, ["rock"])
    path = song(tmp_path / "song.flac")
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(audio.AudioError, match=r"song.flac has no metadata that can be read"):
        metadata.write(path, ["rock"])
    assert len(path.read_bytes()) == 30
    with pytest.raises(ValueError, match="cannot be written into 'title'"):
        metadata.write(path, ["rock"], "title")
