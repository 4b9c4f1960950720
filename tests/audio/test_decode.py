import os
import struct
import tracemalloc

import numpy as np
import pytest
import soundfile

from tagkit import audio
from tagkit.audio import decode, ffmpeg, formats

SR = 16_000


def tone(seconds=2.0, sr=SR, hz=440.0, level=0.5):
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * sr)) / sr)).astype(np.float32)


def assert_tone(y, hz=440.0, level=0.5, sr=SR, tolerance=0.02):
    """The middle of `y` is a tone at this frequency and peak level, and little else."""
    middle = audio.to_float(y)[len(y) // 4 : -len(y) // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)))) / len(middle) * 4
    peak = spectrum.argmax() * sr / len(middle)
    assert abs(peak - hz) < 2 * sr / len(middle)
    assert np.sqrt(2) * middle.std() == pytest.approx(level, rel=tolerance)


FORMATS = ("wav", "flac", "aiff", "aif", "caf", "ogg", "opus", "mp3", "m4a", "mp4", "aac", "wma", "ac3", "mka")


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_tone_survives_every_format(tmp_path, suffix):
    path = tmp_path / f"Ton mit Ümläut 音 {suffix}.{suffix}"
    audio.save(path, tone(), SR)
    y = audio.load_int16(path, SR)
    assert y.dtype == np.int16
    assert len(y) == pytest.approx(2 * SR, abs=0.15 * SR)
    assert_tone(y)
    assert audio.duration(path) == pytest.approx(len(y) / SR, abs=1e-3)


@pytest.mark.parametrize("sr", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_every_rate_is_resampled(tmp_path, sr):
    soundfile.write(tmp_path / "a.wav", tone(sr=sr), sr)
    y = audio.load_int16(tmp_path / "a.wav", SR)
    assert abs(len(y) - 2 * SR) <= 1
    assert_tone(y, tolerance=1e-3)


def test_nothing_above_the_new_rate_folds_back(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(sr=44_100, hz=12_000), 44_100)
    assert np.abs(audio.load(tmp_path / "a.wav", SR)[1000:-1000]).max() < 1e-3


@pytest.mark.parametrize(
    ("gains", "level"),
    [
        ((1, 0), 0.5),
        ((0, 0, 1), 0.7071),
        ((0, 0, 1, 0, 0, 0), 0.7071),  # 5.1: the centre, as loud as in the two channels that it is mixed to
        ((1, 0, 0, 0, 0, 0), 0.5),
        ((0, 0, 0, 0, 1, 0), 0.3536),
        ((0.2, 0, 0, 1, 0, 0), 0.1),  # without the channel for bass
        ((1, 0, 1, 0, 1, 0, 1, 0, 0), 4 / 9),
    ],
)
def test_channels_are_mixed_as_the_standard_says(tmp_path, gains, level):
    soundfile.write(tmp_path / "a.wav", np.stack([tone() * gain for gain in gains], axis=1), SR)
    y = audio.load_int16(tmp_path / "a.wav", SR)
    assert_tone(y, level=0.5 * level, tolerance=1e-3)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "MS_ADPCM"])
def test_every_sample_type_has_its_level(tmp_path, subtype):
    soundfile.write(tmp_path / "a.wav", tone(), SR, subtype=subtype)
    assert_tone(audio.load_int16(tmp_path / "a.wav", SR), tolerance=0.02)


def test_int16_comes_back_bit_for_bit(tmp_path):
    y = np.random.default_rng(0).integers(-32768, 32768, SR).astype(np.int16)
    y[SR // 2 :] = -1 - y[: SR // 2]  # so that their mean is none
    for name in ("a.wav", "a.flac"):
        audio.save(tmp_path / name, y, SR)
        assert np.array_equal(audio.load_int16(tmp_path / name, SR), y)
    assert np.array_equal(audio.to_int16(audio.to_float(y)), y)
    assert audio.load(tmp_path / "a.wav", SR).dtype == np.float32
    assert np.array_equal(audio.load(tmp_path / "a.wav", SR), audio.to_float(y))


def test_loud_mp3_clips_and_does_not_wrap(tmp_path):
    audio.save(tmp_path / "a.mp3", np.sign(tone(level=1)) * 0.999, SR)
    raw, _ = soundfile.read(tmp_path / "a.mp3", dtype="float32")
    assert np.abs(raw).max() > 1, "the decoder overshoots, or this test shows nothing"
    assert np.abs(audio.load(tmp_path / "a.mp3", SR) - np.clip(raw, -1, 1)).max() < 1e-3


def test_stereo_is_written(tmp_path):
    audio.save(tmp_path / "a.flac", np.stack([tone(), -0.5 * tone()], axis=1), SR)
    assert soundfile.info(tmp_path / "a.flac").channels == 2
    assert_tone(audio.load_int16(tmp_path / "a.flac", SR), level=0.125)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
def test_stereo_channels_stay_apart(tmp_path, suffix):
    """A loud left and a soft right channel: libsndfile's MP3 writer once swapped part of one into the other."""
    left, right = 0.6 * tone(), 0.1 * tone()
    audio.save(tmp_path / f"a{suffix}", np.stack([left, right], axis=1), SR)
    read, _ = soundfile.read(tmp_path / f"a{suffix}")
    levels = np.sqrt((read**2).mean(axis=0))
    np.testing.assert_allclose(levels, [np.sqrt((c**2).mean()) for c in (left, right)], rtol=0.05)


def test_one_sample(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.array([0.0005], np.float32), SR)
    assert audio.load_int16(tmp_path / "a.wav", SR).tolist() == [16]
    soundfile.write(tmp_path / "b.wav", np.array([0.5], np.float32), 44_100)
    with pytest.raises(audio.AudioError, match=r"b\.wav holds no audio \(1 samples at 44100 Hz\)"):
        audio.load_int16(tmp_path / "b.wav", SR)


def test_an_hour_needs_little_memory(tmp_path):
    with soundfile.SoundFile(tmp_path / "a.wav", "w", 8_000, 2, "PCM_U8") as sound:
        for _ in range(60):
            sound.write(np.zeros((60 * 8_000, 2), np.float32))
    tracemalloc.start()
    y = audio.load_int16(tmp_path / "a.wav", sr=4_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(y) == 3600 * 4_000
    assert peak < 2 * y.nbytes + 40e6, "3600 s at 8 kHz in stereo floats are 230 MB"


def wav_with(path, change):
    soundfile.write(path, tone(), SR)
    data = bytearray(path.read_bytes())
    path.write_bytes(bytes(change(data) or data))


def test_streams_of_unknown_length_are_read_whole(tmp_path):
    for size in (0xFFFF_FFFF, 0x8000_0000 - 1 + 0x8000_0000, 0x7FFF_FFFF):
        wav_with(tmp_path / "a.wav", lambda data, size=size: data.__setitem__(slice(40, 44), struct.pack("<I", size)))
        assert_tone(audio.load_int16(tmp_path / "a.wav", SR))


def broken_files(folder):
    """(name, words that the error has) for every kind of broken file, written into `folder`."""
    (folder / "empty.mp3").write_bytes(b"")
    yield "empty.mp3", r"is empty \(0 bytes\)"
    for name in ("text.mp3", "text.wav", "text.au", "text.vox", "text.raw", "text.m4a", "text"):
        (folder / name).write_text("Dies ist ein Brief.\n" * 2000)
        yield name, "no audio file that can be decoded"
    (folder / "playlist.m3u8").write_text("#EXTM3U\n#EXTINF:2,\na.wav\n#EXT-X-ENDLIST\n")
    yield "playlist.m3u8", "no audio file that can be decoded"
    (folder / "noise.mp3").write_bytes(np.random.default_rng(0).bytes(200_000))
    yield "noise.mp3", "no audio file that can be decoded"
    for suffix in ("wav", "aiff", "flac", "ogg", "mp3", "m4a", "wma", "ac3"):
        audio.save(folder / f"whole.{suffix}", tone(4.0), SR)
        data = (folder / f"whole.{suffix}").read_bytes()
        (folder / f"cut.{suffix}").write_bytes(data[: len(data) // 2 + 13])
        yield f"cut.{suffix}", "truncated|damaged|no audio file that can be decoded"
    wav_with(folder / "promises_more.wav", lambda data: data.__setitem__(slice(40, 44), struct.pack("<I", 10**6)))
    yield "promises_more.wav", "its header declares 1000000 bytes of audio and 64000 are there"
    wav_with(folder / "promises_less.wav", lambda data: data.__setitem__(slice(40, 44), struct.pack("<I", 1000)))
    yield "promises_less.wav", "its audio ends at byte 1044 by its header and unknown bytes follow"
    wav_with(folder / "header_only.wav", lambda data: data.__delitem__(slice(44, None)))
    yield "header_only.wav", "truncated|holds no audio"
    wav_with(folder / "one_hertz.wav", lambda data: data.__setitem__(slice(24, 28), struct.pack("<I", 1)))
    yield "one_hertz.wav", "declares a sampling rate of 1 Hz"
    for name, value in (("nan.wav", np.nan), ("inf.wav", np.inf)):
        y = tone()
        y[SR] = value
        soundfile.write(folder / name, y, SR, subtype="FLOAT")
        yield name, "holds NaN or infinity"
    soundfile.write(folder / "integers_as_floats.wav", tone(level=20_000.0), SR, subtype="FLOAT")
    yield "integers_as_floats.wav", r"float samples up to 2e\+04 where full scale is 1"
    (folder / "folder.wav").mkdir()
    yield "folder.wav", "is not a file"
    yield "nowhere.wav", "does not exist"


def test_every_broken_file_gets_one_clear_sentence(tmp_path):
    for name, words in broken_files(tmp_path):
        with pytest.raises(audio.AudioError, match=words) as caught:
            audio.load_int16(tmp_path / name, SR)
        message = str(caught.value)
        assert str(tmp_path / name) in message
        assert "\n" not in message
        assert message.endswith(".")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_unreadable_file_as_a_user(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(), SR)
    (tmp_path / "a.wav").chmod(0)
    with pytest.raises(audio.AudioError, match="cannot be read"):
        audio.load_int16(tmp_path / "a.wav", SR)


def test_unreadable_file(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.wav", tone(), SR)

    def refuse(*_args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(audio.AudioError, match=r"cannot be read \(Permission denied\); check its permissions"):
        audio.load_int16(tmp_path / "a.wav", SR)


def test_a_wrong_suffix_does_not_matter(tmp_path):
    audio.save(tmp_path / "a.flac", tone(), SR)
    (tmp_path / "a.flac").rename(tmp_path / "a.mp3")
    assert_tone(audio.load_int16(tmp_path / "a.mp3", SR))


def test_without_ffmpeg_the_error_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "text.m4a").write_text("no sound")
    monkeypatch.setattr(ffmpeg, "find_ffmpeg", lambda: None)
    with pytest.raises(audio.AudioError, match=r"pip install -e '.\[formats\]'"):
        audio.load_int16(tmp_path / "text.m4a", SR)


def test_the_wheels_ffmpeg_takes_over(tmp_path, monkeypatch):
    audio.save(tmp_path / "a.m4a", tone(), SR)
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert formats.find_ffmpeg() is not None
    assert_tone(audio.load_int16(tmp_path / "a.m4a", SR))


@pytest.mark.parametrize(
    ("name", "y", "words"),
    [
        ("a.wav", np.zeros(0), "cannot write an array of shape"),
        ("a.wav", np.array([0.0, np.nan]), "NaN or infinity"),
        ("a.xyz", tone(), "cannot write .xyz; choose one of .wav"),
        ("a.mp3", np.zeros((100, 5)), "cannot hold 5 channels"),
    ],
)
def test_what_cannot_be_written_leaves_nothing_behind(tmp_path, name, y, words):
    with pytest.raises(audio.AudioError, match=words):
        audio.save(tmp_path / name, y, SR)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.real_data
def test_real_recordings(real_data):
    paths = sorted((real_data / "mini-mtat/mp3").glob("*/*.mp3"))
    empty = [path for path in paths if path.stat().st_size == 0]
    assert len(empty) == 3
    for path in empty:
        with pytest.raises(audio.AudioError, match="is empty"):
            audio.load_int16(path, SR)
    for path in [path for path in paths if path not in empty][::25]:
        y = audio.load_int16(path, SR)
        assert len(y) in (467_136, 465_984)
        assert y.std() > 10


@pytest.mark.parametrize(("suffix", "sr"), [("wav", 16_000), ("flac", 44_100), ("m4a", 44_100)])
def test_long_files_lie_on_disk_and_are_the_same(tmp_path, monkeypatch, suffix, sr):
    audio.save(tmp_path / f"a.{suffix}", tone(seconds=20, sr=sr) + np.float32(0.1), sr)
    held = audio.load_int16(tmp_path / f"a.{suffix}", SR)
    monkeypatch.setattr(decode, "MOST_SAMPLES_HELD", 100_000)
    spooled = audio.load_int16(tmp_path / f"a.{suffix}", SR)
    assert isinstance(spooled, np.memmap) and not isinstance(held, np.memmap)
    np.testing.assert_array_equal(spooled, held)


def test_more_than_the_caller_takes_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(2.0), SR)
    assert len(audio.load_int16(tmp_path / "a.wav", SR, longest_s=2.0)) == 2 * SR
    with pytest.raises(audio.TooLongError, match=r"a\.wav is longer than 0\.03 minutes"):
        audio.load_int16(tmp_path / "a.wav", SR, longest_s=1.8)


@pytest.mark.parametrize(("offset", "left"), [(0.02, 0), (-0.02, 0), (0.0011, 0), (0.0009, 29), (0.0, 0)])
def test_an_offset_is_taken_out_and_nothing_else_is_touched(tmp_path, offset, left):
    pcm = audio.to_int16(tone()) + np.int16(round(offset * 32_768))
    soundfile.write(tmp_path / "a.wav", pcm, SR)
    y = audio.load_int16(tmp_path / "a.wav", SR)
    np.testing.assert_array_equal(y, audio.to_int16(tone()) + np.int16(left))


def test_what_lies_beyond_full_scale_without_its_offset_is_clipped():
    y = np.array([-32_768] * 3 + [32_767] * 7, np.int16)
    np.testing.assert_array_equal(audio.remove_offset(y), [-32_768] * 3 + [32_767 - 13_106] * 7)
