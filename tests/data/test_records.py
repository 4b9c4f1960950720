import gc
import hashlib
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import tensorflow as tf

from tagkit import audio, cli
from tagkit.data.catalog import Catalog
from tagkit.data.prepare import prepare
from tagkit.data.records import Records, RecordsError


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir()) if p.name != ".lock"}


def test_records_hold_the_samples_of_every_file(tone_catalog, tone_records):
    for position, clip_id in enumerate(tone_records.catalog.clips.index):
        samples, _ = soundfile.read(tone_catalog[clip_id].path, dtype="int16")
        np.testing.assert_array_equal(tone_records.read(position), samples)
    assert tone_records.waveform("3").dtype == np.float32
    assert np.abs(tone_records.waveform("3")).max() < 1


def test_windows_are_cut_and_repeat_what_is_there(tone_records):
    whole = tone_records.read(2)
    np.testing.assert_array_equal(tone_records.read(2, 1000, 50), whole[1000:1050])
    past = tone_records.read(2, len(whole) - 10, 30)
    np.testing.assert_array_equal(past, np.tile(whole[-10:], 3))
    assert not tone_records.read(2, len(whole) + 5, 30).any()


def test_levels_are_those_of_the_waveforms(tone_records):
    y = tone_records.waveform("3").astype(float)
    assert tone_records.levels_db([3])[0] == pytest.approx(20 * np.log10(np.sqrt((y**2).mean())), abs=1e-6)
    assert len(tone_records.levels_db()) == 35


def test_metadata_labels_and_splits_survive(tone_catalog, tone_records):
    kept = tone_catalog.clips.index != "7"
    read = tone_records.catalog
    assert list(read.clips.index) == list(tone_catalog.clips.index[kept])
    assert (read.labels.to_numpy() == tone_catalog.labels[kept].to_numpy()).all()
    assert (read.splits["order"] == tone_catalog.splits["order"][kept]).all()
    assert read.tags("two") == ("high", "low")
    assert read.split_sizes() == {"train": 23, "valid": 6, "test": 6}


def test_an_empty_file_is_quarantined_with_its_reason(tone_records):
    (row,) = tone_records.quarantine.itertuples()
    assert row.clip_id == "7"
    assert "clip 7.wav" in row.reason and "empty" in row.reason


def test_shards_are_plain_tfrecords(tone_records):
    """TensorFlow's own reader checks every CRC and parses every Example."""
    paths = [str(tone_records.root / shard["name"]) for shard in tone_records.manifest["shards"]]
    spec = {
        "clip_id": tf.io.FixedLenFeature([], tf.string),
        "sr": tf.io.FixedLenFeature([], tf.int64),
        "waveform": tf.io.FixedLenFeature([], tf.string),
    }
    read = [tf.io.parse_single_example(r, spec) for r in tf.data.TFRecordDataset(paths, buffer_size=1 << 20)]
    assert [r["clip_id"].numpy().decode() for r in read] == list(tone_records.catalog.clips.index)
    for position, r in enumerate(read):
        assert r["sr"].numpy() == 16_000
        np.testing.assert_array_equal(tf.io.decode_raw(r["waveform"], tf.int16), tone_records.read(position))


def test_prepare_twice_does_nothing_and_other_settings_are_refused(tone_catalog, tone_records):
    before = {p.name: p.stat().st_mtime_ns for p in tone_records.root.glob("shard*")}
    again = prepare(tone_catalog, tone_records.root, sr=16_000, clips_per_shard=5, progress=False)
    assert again.fingerprint == tone_records.fingerprint
    assert before == {p.name: p.stat().st_mtime_ns for p in tone_records.root.glob("shard*")}
    with pytest.raises(RecordsError, match="clips_per_shard 5, not 6"):
        prepare(tone_catalog, tone_records.root, sr=16_000, clips_per_shard=6, progress=False)


def test_a_flipped_bit_is_named(tone_catalog, tmp_path):
    records = prepare(tone_catalog, tmp_path, sr=16_000, clips_per_shard=20, jobs=1, progress=False)
    records.verify()
    shard = tmp_path / "shard-00001.tfrecord"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 4
    shard.write_bytes(data)
    with pytest.raises(RecordsError, match=r"shard-00001.tfrecord does not match its sha256"):
        records.verify()


def test_what_was_verified_is_not_read_again(tone_catalog, tmp_path, monkeypatch):
    records = prepare(tone_catalog, tmp_path, sr=16_000, clips_per_shard=20, jobs=1, progress=False)
    records.verify()
    monkeypatch.setattr("tagkit.data.records.digest", lambda path: pytest.fail(f"{path} was read"))
    records.verify()


@pytest.mark.skipif(sys.platform != "linux", reason="open files are counted in /proc")
def test_few_shards_stay_open_and_none_without_its_records(tone_records, tmp_path, monkeypatch):
    root = shutil.copytree(tone_records.root, tmp_path / "records")

    def open_shards() -> int:
        links = (link.resolve() for link in Path("/proc/self/fd").iterdir())
        return sum(link.parent == root.resolve() for link in links)

    monkeypatch.setattr("tagkit.data.records.OPEN_SHARDS", 2)
    records = Records.open(root)
    for position in np.random.default_rng(0).integers(0, len(records.lengths), 60).tolist():
        assert records.read(position, 100, 50).tolist() == tone_records.read(position)[100:150].tolist()
    assert open_shards() == 2
    del records
    gc.collect()
    assert open_shards() == 0


def test_a_link_out_of_the_root_is_quarantined(tone_catalog, tmp_path):
    root = tmp_path / "root"
    for row in tone_catalog.clips["path"]:
        (root / row).parent.mkdir(parents=True, exist_ok=True)
        (root / row).symlink_to(tone_catalog.root / row)
    linked = type(tone_catalog)(**{**vars(tone_catalog), "root": root})
    with pytest.raises(RecordsError, match="leads out of"):
        prepare(linked, tmp_path / "records", sr=16_000, jobs=1, progress=False)


def test_opening_nothing_says_what_to_do(tmp_path):
    with pytest.raises(RecordsError, match="run `tagkit prepare` first"):
        Records.open(tmp_path)


def test_a_killed_run_resumes_to_the_same_bytes(tone_catalog, tmp_path):
    """Real SIGKILLs of a real process, at several moments, the last run left to finish."""
    whole = tmp_path / "whole"
    prepare(tone_catalog, whole, sr=16_000, clips_per_shard=2, jobs=1, progress=False)
    catalog_file = tmp_path / "catalog.pickle"
    catalog_file.write_bytes(pickle.dumps(tone_catalog))
    out = tmp_path / "killed"
    code = (
        "import pickle, pathlib, sys, time; from tagkit import audio; from tagkit.data.prepare import prepare;"
        "decode = audio.read;"
        "audio.read = lambda *a: (time.sleep(.02), decode(*a))[1];"  # slow enough to be hit in the middle
        "catalog = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes());"
        "prepare(catalog, sys.argv[2], sr=16_000, clips_per_shard=2, jobs=1, progress=False)"
    )
    command = [sys.executable, "-c", code, str(catalog_file), str(out)]
    kills = 0
    for target in (1, 4, 9):
        process = subprocess.Popen(command, start_new_session=True)
        while process.poll() is None and len(list(out.glob("shard-*.json"))) < target:
            time.sleep(0.005)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
        assert not (out / "manifest.json").exists()
    assert kills == 3
    assert subprocess.run(command, check=True).returncode == 0
    assert digests(out) == digests(whole)


@pytest.fixture(scope="module")
def twenty_files(tmp_path_factory) -> Catalog:
    """Twenty files of whole numbers, the same bytes on every machine: half of them stereo."""
    root = tmp_path_factory.mktemp("twenty")
    clips = pd.DataFrame(
        [(f"{k}.wav", f"artist {k % 5}", f"song {k % 10}", f"title {k}") for k in range(20)],
        pd.Index([str(k) for k in range(20)], name="clip_id"),
        columns=["path", "artist", "song", "title"],
    )
    for k, path in enumerate(clips["path"]):
        with wave.open(str(root / path), "wb") as file:
            file.setparams((1 + k % 2, 2, 16_000, 0, "NONE", ""))
            file.writeframes((np.arange(2_000 + 2 * k) * (2 * k + 1) * 257).astype("<i2").tobytes())
    labels = pd.DataFrame({"even": [k % 2 == 0 for k in range(20)], "late": [k > 9 for k in range(20)]}, clips.index)
    splits = pd.DataFrame({"order": ["train"] * 10 + ["valid"] * 5 + ["test"] * 5}, clips.index)
    return Catalog("twenty", root, clips, labels, splits, {"all": ("even", "late")}, "order", "all")


def test_the_fingerprint_names_the_data_and_another_one_its_bytes(twenty_files, tmp_path, monkeypatch):
    """These two are known: they change only with the rules by which they are made, or with the decoder."""
    made = prepare(twenty_files, tmp_path / "a", 16_000, clips_per_shard=8, jobs=1, progress=False)
    assert (made.fingerprint, made.bytes_fingerprint) == ("f2cf6e76a8a550d3", "af9711bf4a0ab14f")
    assert made.decoding == audio.DECODING and made.holds("f2cf6e76a8a550d3") and made.holds("af9711bf4a0ab14f")

    other_shards = prepare(twenty_files, tmp_path / "b", 16_000, clips_per_shard=20, jobs=1, progress=False)
    assert other_shards.fingerprint == made.fingerprint and other_shards.bytes_fingerprint != made.bytes_fingerprint

    relabelled = replace(twenty_files, labels=twenty_files.labels.assign(late=False))
    assert prepare(relabelled, tmp_path / "c", 16_000, jobs=1, progress=False).fingerprint != made.fingerprint

    decode = audio.read
    monkeypatch.setattr(audio, "read", lambda *a: audio.Decoded(decode(*a).y // 2, ()))
    decoded = prepare(twenty_files, tmp_path / "d", 16_000, clips_per_shard=8, jobs=1, progress=False)
    assert decoded.fingerprint == made.fingerprint and decoded.bytes_fingerprint != made.bytes_fingerprint


def test_shards_of_two_decoders_do_not_meet(twenty_files, tmp_path, monkeypatch):
    prepare(twenty_files, tmp_path, 16_000, clips_per_shard=8, jobs=1, progress=False)
    (tmp_path / "shard-00001.tfrecord").unlink()
    monkeypatch.setattr(audio, "DECODING", audio.DECODING + 1)
    with pytest.raises(RecordsError, match="another version of the decoder"):
        prepare(twenty_files, tmp_path, 16_000, clips_per_shard=8, jobs=1, progress=False)
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(RecordsError, match="decoding"):
        prepare(twenty_files, tmp_path, 16_000, clips_per_shard=8, jobs=1, progress=False)


def test_what_is_unusual_is_listed(tmp_path, capsys):
    """A folder with silence, a click and channels that cancel: all are prepared, and none without a word."""
    y = 0.1 * np.random.default_rng(0).standard_normal(32_000)
    sounds = {"good": y, "silence": 0 * y, "short": y[:4_000], "cancelled": np.stack([y, -y], axis=1)}
    for name, sound in sounds.items():
        (tmp_path / "music" / "noise").mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / "music" / "noise" / f"{name}.wav", sound, 16_000)
    assert cli.main(["prepare", "folder", "--root", f"{tmp_path / 'music'}", "--out", f"{tmp_path / 'records'}"]) == 0
    said = capsys.readouterr().out
    assert "4 clips prepared" in said and "noise/silence.wav is silent" in said
    remarks = Records.open(tmp_path / "records").remarks.set_index("path")["remark"]
    assert set(remarks.index) == {"noise/silence.wav", "noise/short.wav", "noise/cancelled.wav"}
    assert "lasts 0.25 s" in remarks["noise/short.wav"] and "cancel each other" in remarks["noise/cancelled.wav"]
