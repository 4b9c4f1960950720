"""What people do instead of `tagkit prepare`: jobs that turn MP3 files into training data, one file after the other."""

import os
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tagkit.data.catalog import Catalog
from tagkit.data.prepare import prepare


def tagkit(catalog: Catalog, jobs: int) -> Callable:
    """This project: decode, write shards, side-cars and the manifest, flush them to disk."""

    def job():
        with tempfile.TemporaryDirectory(dir=catalog.root) as out:
            prepare(catalog, out, sr=16_000, jobs=jobs, progress=False)

    return job


def soundfile(paths: Sequence[Path], dtype: str) -> Callable:
    """Bare decoding, nothing kept. libsndfile decodes MP3 to floats: integers cost it another fifth."""
    import soundfile

    def job():
        for path in paths:
            soundfile.read(path, dtype=dtype)

    return job


def librosa(paths: Sequence[Path]) -> Callable:
    """The usual way: librosa.load and numpy.save for each file."""
    import librosa

    def job():
        with tempfile.TemporaryDirectory(dir=paths[0].parent) as out:
            for k, path in enumerate(paths):
                y, _ = librosa.load(path, sr=16_000)
                np.save(Path(out) / f"{k}.npy", y)

    return job


def pydub(paths: Sequence[Path]) -> Callable:
    """The predecessor's way: pydub, an array by way of a list, a tf.train.Example of floats."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydub's own: audioop is deprecated, invalid escapes, ffmpeg not on PATH
        import imageio_ffmpeg
        from pydub import AudioSegment
    AudioSegment.converter = imageio_ffmpeg.get_ffmpeg_exe()

    def job():
        with tempfile.TemporaryDirectory(dir=paths[0].parent) as out:
            for k, path in enumerate(paths):
                segment = AudioSegment.from_file_using_temporary_files(path, "mp3")
                y = np.array(segment.get_array_of_samples(), "f4") / 32_768
                values = tf.train.Feature(float_list=tf.train.FloatList(value=list(y)))
                example = tf.train.Example(features=tf.train.Features(feature={"audio": values}))
                with tf.io.TFRecordWriter(f"{out}/{k}.tfrecord") as writer:
                    writer.write(example.SerializeToString())

    return job


def example_loop(paths: Sequence[Path]) -> Callable:
    """A plain loop of soundfile, tf.train.Example and TFRecordWriter."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import soundfile
    import tensorflow as tf

    def job():
        with tempfile.TemporaryDirectory(dir=paths[0].parent) as out, tf.io.TFRecordWriter(f"{out}/x") as writer:
            for path in paths:
                y, _ = soundfile.read(path, dtype="int16")
                values = tf.train.Feature(bytes_list=tf.train.BytesList(value=[y.tobytes()]))
                example = tf.train.Example(features=tf.train.Features(feature={"audio": values}))
                writer.write(example.SerializeToString())

    return job


def load(paths: Sequence[Path]) -> Callable:
    """`tagkit.audio.load_int16` of files that need resampling."""
    from tagkit import audio

    def job():
        for path in paths:
            audio.load_int16(path, 16_000)

    return job
