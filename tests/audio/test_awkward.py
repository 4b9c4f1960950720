"""Files of kinds that users meet, each beside what ffmpeg makes of it: read to their end, or refused with a reason."""

import re
import struct
import subprocess

import numpy as np
import pytest
import soundfile

from tagkit import audio
from tagkit.audio import formats, mpeg

SR = 16_000


def music(seconds, sr=SR, seed=0):
    """A tone with bursts of noise, which makes encoders vary their bit rate: loud first."""
    t = np.arange(round(seconds * sr)) / sr
    noise = np.random.default_rng(seed).standard_normal(len(t)) * (t % 4 < 1)
    return (0.2 * np.sin(2 * np.pi * 440 * t) + 0.1 * noise).astype(np.float32)


def ffmpeg(*arguments):
    command = [formats.find_ffmpeg(), "-nostdin", "-y", "-v", "error", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=True).stdout


def ffmpegs_samples(path):
    """How many samples ffmpeg decodes, at the file's own rate."""
    return len(ffmpeg("-i", path, "-map", "0:a:0", "-ac", "1", "-f", "s16le", "-")) // 2


def encode(path, *options, sr=44_100, seconds=8):
    soundfile.write(path.with_suffix(".source.wav"), music(seconds, sr), sr)
    ffmpeg("-i", path.with_suffix(".source.wav"), *options, path)
    return path.read_bytes()


VBR = ("-q:a", "4", "-write_xing", "0", "-id3v2_version", "0")


@pytest.mark.parametrize("sr", [44_100, 16_000, 11_025])
def test_vbr_without_a_header_is_read_to_its_end(tmp_path, sr):
    encode(tmp_path / "a.mp3", *VBR, sr=sr)
    guessed = soundfile.info(tmp_path / "a.mp3").frames
    y = audio.load_int16(tmp_path / "a.mp3", sr)
    assert abs(guessed - 8 * sr) > 0.1 * sr, "libsndfile's guess is right, or this test shows nothing"
    assert abs(len(y) - ffmpegs_samples(tmp_path / "a.mp3")) <= 1152
    assert len(y) >= 8 * sr
    assert mpeg.count((tmp_path / "a.mp3").read_bytes()).seconds == pytest.approx(len(y) / sr, abs=1152 / sr)


@pytest.mark.real_data
def test_twenty_five_recordings_from_an_encoder_that_writes_to_a_pipe(real_data, tmp_path):
    clips = [path for path in sorted((real_data / "mini-mtat/mp3").glob("*/*.mp3"))[::19] if path.stat().st_size][:25]
    for clip in clips:
        vbr = ffmpeg("-t", "10", "-i", clip, "-ar", "44100", *VBR, "-f", "mp3", "-")
        (tmp_path / "a.mp3").write_bytes(vbr)
        y = audio.load_int16(tmp_path / "a.mp3", 44_100)
        assert abs(len(y) - ffmpegs_samples(tmp_path / "a.mp3")) <= 1152, clip
    assert len(clips) == 25


@pytest.mark.parametrize(
    "rates", [(44_100, 44_100), (16_000, 44_100), (44_100, 16_000, 44_100), (16_000, 11_025, 16_000, 11_025)]
)
def test_joined_mp3_files_are_read_to_the_end(tmp_path, rates):
    (tmp_path / "a.mp3").write_bytes(b"".join(encode(tmp_path / f"{sr}.mp3", "-q:a", "4", sr=sr) for sr in rates))
    assert len(audio.load_int16(tmp_path / "a.mp3", SR)) == pytest.approx(
        8 * len(rates) * SR, abs=0.15 * len(rates) * SR
    )


@pytest.mark.parametrize("suffix", ["ogg", "opus", "flac", "aac"])
def test_other_joined_streams_are_read_to_the_end(tmp_path, suffix):
    audio.save(tmp_path / f"a.{suffix}", music(3, 48_000), 48_000)
    once = audio.load_int16(tmp_path / f"a.{suffix}", SR)
    (tmp_path / f"b.{suffix}").write_bytes(2 * (tmp_path / f"a.{suffix}").read_bytes())
    assert len(audio.load_int16(tmp_path / f"b.{suffix}", SR)) == pytest.approx(2 * len(once), abs=0.02 * SR)


def test_streams_that_cannot_be_read_as_one_are_refused(tmp_path):
    for sr in (44_100, 16_000):
        audio.save(tmp_path / f"{sr}.ogg", music(3, sr), sr)
    (tmp_path / "a.ogg").write_bytes((tmp_path / "44100.ogg").read_bytes() + (tmp_path / "16000.ogg").read_bytes())
    with pytest.raises(audio.AudioError, match="several streams in one file"):
        audio.load_int16(tmp_path / "a.ogg", SR)


def test_a_cut_page_does_not_hide_the_stream_behind_it(tmp_path):
    for k in (1, 2):
        audio.save(tmp_path / f"{k}.ogg", music(3, 44_100, seed=k), 44_100)
    first, second = ((tmp_path / f"{k}.ogg").read_bytes() for k in (1, 2))
    (tmp_path / "a.ogg").write_bytes(first[: first.rfind(b"OggS") + 60] + second)
    with pytest.raises(audio.AudioError, match="several streams in one file"):
        audio.load_int16(tmp_path / "a.ogg", SR)


@pytest.mark.parametrize("suffix", ["wav", "aiff", "m4a"])
def test_a_second_file_that_no_decoder_reads_is_named(tmp_path, suffix):
    audio.save(tmp_path / f"a.{suffix}", music(3), SR)
    data = (tmp_path / f"a.{suffix}").read_bytes()
    (tmp_path / f"b.{suffix}").write_bytes(2 * data)
    with pytest.raises(audio.AudioError, match=f"holds a second file from byte {len(data)} on"):
        audio.load_int16(tmp_path / f"b.{suffix}", SR)


@pytest.mark.parametrize("seed", range(8))
def test_flac_with_wrong_checksums_is_refused_by_every_decoder(tmp_path, seed):
    """libsndfile stumbles over such a frame; ffmpeg, which is asked next, would play noise unless told to check."""
    audio.save(tmp_path / "a.flac", music(3), SR)
    data, rng = bytearray((tmp_path / "a.flac").read_bytes()), np.random.default_rng(seed)
    for at in rng.integers(200, len(data), size=5):
        data[at] ^= int(rng.integers(1, 256))
    (tmp_path / "flipped.flac").write_bytes(data)
    with pytest.raises(audio.AudioError, match=r"flipped\.flac is damaged"):
        audio.load_int16(tmp_path / "flipped.flac", SR)


def test_flac_of_unknown_length(tmp_path):
    audio.save(tmp_path / "a.flac", music(3), SR)
    whole, data = audio.load_int16(tmp_path / "a.flac", SR), bytearray((tmp_path / "a.flac").read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    (tmp_path / "b.flac").write_bytes(data)
    np.testing.assert_array_equal(audio.load_int16(tmp_path / "b.flac", SR), whole)
    (tmp_path / "cut.flac").write_bytes(data[: len(data) // 2])
    with pytest.raises(audio.AudioError, match=r"cut\.flac is damaged"):
        audio.load_int16(tmp_path / "cut.flac", SR)


def ogg_sum(page):
    value = 0
    for byte in page:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value & 1 << 31 else 0)) & 0xFFFF_FFFF
    return value


def test_ogg_without_an_end_flag(tmp_path):
    audio.save(tmp_path / "a.ogg", music(3), SR)
    whole, data = audio.load_int16(tmp_path / "a.ogg", SR), (tmp_path / "a.ogg").read_bytes()
    last = data.rfind(b"OggS")
    page = bytearray(data[last:])
    assert page[5] & 4
    page[5] &= ~4
    page[22:26] = bytes(4)
    page[22:26] = struct.pack("<I", ogg_sum(page))
    (tmp_path / "b.ogg").write_bytes(data[:last] + page)
    np.testing.assert_array_equal(audio.load_int16(tmp_path / "b.ogg", SR), whole)


@pytest.mark.parametrize("sizes", [(0, 0), (36, 0), (0xFFFF_FFFF, 0), (0, 96_000), (0xFFFF_FFFF, 0xFFFF_FFFF)])
def test_wav_whose_sizes_were_never_filled_in(tmp_path, sizes):
    audio.save(tmp_path / "a.wav", music(3), SR)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    data[4:8], data[40:44] = (struct.pack("<I", size) for size in sizes)
    (tmp_path / "b.wav").write_bytes(data)
    np.testing.assert_array_equal(*(audio.load_int16(tmp_path / name, SR) for name in ("a.wav", "b.wav")))


@pytest.mark.parametrize(
    "picture", [b"\x89PNG\r\n\x1a\n" + bytes(range(200)), b"\xff\xd8\xff\xe0\0\x10JFIF\0" + b"x" * 99, b"?"]
)
@pytest.mark.parametrize("suffix", ["aac", "mp3"])
def test_a_broken_cover_is_no_damage(tmp_path, suffix, picture):
    audio.save(tmp_path / f"a.{suffix}", music(2), SR)
    body = b"\0" + (b"image/jpeg" if b"JFIF" in picture else b"image/png") + b"\0\3\0" + picture
    frame = b"APIC" + struct.pack(">I", len(body)) + b"\0\0" + body
    size = bytes(len(frame) >> shift & 127 for shift in (21, 14, 7, 0))
    (tmp_path / f"b.{suffix}").write_bytes(b"ID3\3\0\0" + size + frame + (tmp_path / f"a.{suffix}").read_bytes())
    found = audio.read(tmp_path / f"b.{suffix}", SR)
    assert len(found.y) == len(audio.load_int16(tmp_path / f"a.{suffix}", SR)) and not found.remarks


@pytest.mark.parametrize("kept", [0.8, 0.3])
def test_bytes_that_are_no_frames_are_said(tmp_path, kept):
    """An interrupted download leaves zeros in the place of what did not come."""
    data = encode(tmp_path / "a.mp3", *VBR)
    at = round(kept * len(data))
    (tmp_path / "b.mp3").write_bytes(data[:at] + bytes(len(data) - at))
    (remark,) = audio.read(tmp_path / "b.mp3", SR).remarks
    missing = re.search(r"about ([\d.]+) s may be missing", remark)
    assert (
        float(missing[1]) == pytest.approx(8 * (1 - kept), rel=0.3) if kept > 0.5 else "sound may be missing" in remark
    )


def test_tags_around_the_frames_are_no_stray_bytes(tmp_path):
    data = encode(tmp_path / "a.mp3", *VBR, seconds=2)
    picture = np.random.default_rng(0).bytes(200_000)
    ape = b"APETAGEX" + struct.pack("<IIII", 2000, len(picture) + 32, 1, 0xA000_0000) + bytes(8)
    id3 = b"ID3\3\0\0\0\0\x10\0" + bytes(2048)
    found = mpeg.count(id3 + bytes(5000) + data + ape + picture + b"TAG" + bytes(125))
    assert found.stray == 0 and found.seconds == pytest.approx(mpeg.count(data).seconds)
    assert mpeg.count(data[:8000] + bytes(3000) + data[8000:]).stray == pytest.approx(3000, abs=1500)


def test_a_wrong_count_of_frames_is_no_damage(tmp_path):
    data = bytearray(encode(tmp_path / "a.mp3", "-q:a", "4", sr=SR))
    count = re.search(b"Info|Xing", data).start() + 8
    data[count : count + 4] = (int.from_bytes(data[count : count + 4], "big") // 2).to_bytes(4, "big")
    (tmp_path / "b.mp3").write_bytes(data)
    assert len(audio.load_int16(tmp_path / "b.mp3", SR)) == pytest.approx(8 * SR, abs=0.1 * SR)


def test_channels_that_cancel_are_heard(tmp_path):
    y = music(3)
    soundfile.write(tmp_path / "a.wav", np.stack([0.5 * y, -0.5 * y], axis=1), SR)
    found = audio.read(tmp_path / "a.wav", SR)
    np.testing.assert_allclose(audio.to_float(found.y), 0.5 * y, atol=1e-3)
    assert len(found.remarks) == 1 and "channels that cancel each other" in found.remarks[0]
    soundfile.write(tmp_path / "b.wav", np.stack([0.5 * y, -0.3 * y], axis=1), SR)  # 14 dB: a wide mix
    assert not audio.read(tmp_path / "b.wav", SR).remarks


@pytest.mark.parametrize(("y", "silent"), [(np.zeros(SR), True), (np.full(SR, 3), True), (np.eye(1, SR)[0] * 4, False)])
def test_silence_is_said_to_be_silence(tmp_path, y, silent):
    soundfile.write(tmp_path / "a.wav", y.astype(np.int16), SR)
    found = audio.read(tmp_path / "a.wav", SR)
    assert audio.is_silent(found.y) == silent == any("is silent" in remark for remark in found.remarks)


def test_damage_is_called_damage_and_no_line_is_nameless(tmp_path, capfd):
    data = bytearray(encode(tmp_path / "a.mp3", "-b:a", "64k", sr=SR))
    rng = np.random.default_rng(0)
    refused = remarks = 0
    for number in range(12):
        broken = data.copy()
        for at in rng.integers(2000, len(data), 40):
            broken[at] ^= 1 << rng.integers(8)
        (tmp_path / f"{number}.mp3").write_bytes(broken)
        try:
            remarks += len(audio.read(tmp_path / f"{number}.mp3", SR).remarks)
        except audio.AudioError as error:
            refused += 1
            assert "scale it" not in str(error) and str(tmp_path / f"{number}.mp3") in str(error)
    assert refused + remarks > 0, "no damage was seen, or this test shows nothing"
    assert capfd.readouterr().err == ""


@pytest.mark.real_data
def test_the_awkward_files(real_data):
    folder = real_data / "awkward"
    for name in ("a03_flac_pipe.flac", "a04_chained_vorbis.ogg", "a06_cat_same_rate.mp3", "b6_chapter_track_gone.m4b"):
        y = audio.load_int16(folder / name, 44_100)
        assert len(y) == pytest.approx(ffmpegs_samples(folder / name), abs=1152) and len(y) >= 20 * 44_100
    assert len(audio.load_int16(folder / "a07b_vbr_noxing_loud_first.mp3", 44_100)) / 44_100 == pytest.approx(
        20.04, abs=0.01
    )
    centre, channels = (
        audio.load_int16(folder / "a13b_5.1_centre_only.flac", 44_100),
        soundfile.read(folder / "a13b_5.1_centre_only.flac")[0],
    )
    level = 20 * np.log10(audio.to_float(centre).std() / channels[:, 2].std())
    assert level == pytest.approx(-3.01, abs=0.01)
    for name in ("a17_silence.wav", "a18_1sample16k.wav"):
        assert any("is silent" in remark for remark in audio.read(folder / name, SR).remarks)
    with pytest.raises(audio.AudioError, match="is damaged"):
        audio.load_int16(folder / "a25b_bit_errors.mp3", SR)
