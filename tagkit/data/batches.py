"""Batches of windows as tf.data, built in the background: the one place in the data where TensorFlow stands."""

from collections.abc import Callable
from functools import partial

import numpy as np
import tensorflow as tf

from tagkit.data.records import Records
from tagkit.data.windows import TrainingWindows, window_starts


def training_batches(
    windows: TrainingWindows, first_step: int, last_step: int, rows: slice = slice(None)
) -> tf.data.Dataset:
    """Batches `first_step` to `last_step` - 1, as `TrainingWindows.batch`; with `rows` only those of each."""
    count = len(range(*rows.indices(windows.batch_size)))
    shapes = (
        (count, *([windows.windows] if windows.windows else []), windows.window),
        (count, windows.labels.shape[1]),
    )
    batch = partial(windows.batch, rows=rows)
    return _read_ahead(batch, range(first_step, last_step), shapes, (tf.int16, tf.float32))


def evaluation_windows(
    records: Records, indices: np.ndarray, window: int, batch_size: int
) -> tuple[tf.data.Dataset, np.ndarray]:
    """All windows of some clips in order, and the clip that each belongs to.

    Parameters
    ----------
    records : Records
    indices : ndarray of int (clips,)
    window : int
        Samples.
    batch_size : int
        The last batch is padded with zeros to this size: one shape, one traced graph.

    Returns
    -------
    dataset : tf.data.Dataset
        One-tuples of a batch (batch_size, window) of int16.
    owner : ndarray of int (windows,)
        Row of `indices` that each window was cut from; the padding has no owner.
    """
    starts = [window_starts(int(records.lengths[p]), window) for p in indices]
    owner = np.repeat(np.arange(len(indices)), [len(s) for s in starts])
    cuts = list(zip(np.asarray(indices)[owner], np.concatenate(starts), strict=True))

    def batch(k: int) -> tuple[np.ndarray]:
        x = np.zeros((batch_size, window), np.int16)
        for row, (index, start) in enumerate(cuts[k * batch_size : (k + 1) * batch_size]):
            x[row] = records.read(index, start, window)
        return (x,)

    batches = _read_ahead(batch, range(-(-len(cuts) // batch_size)), ((batch_size, window),), (tf.int16,))
    return batches, owner


def evaluation_clips(
    records: Records, indices: np.ndarray, window: int, windows: int | None, batch_size: int
) -> tf.data.Dataset:
    """Some clips in order, each as all of its windows, for networks that merge them.

    Parameters
    ----------
    records, indices, window
        As for `evaluation_windows`.
    windows : int or None
        Windows of each clip; None: as many as cover it. Only clips with equally many share a batch.
    batch_size : int
        Most windows in a batch, but at least one clip.

    Returns
    -------
    tf.data.Dataset
        One-tuples of a batch (clips, windows, window) of int16.
    """
    starts = {p: window_starts(int(records.lengths[p]), window, windows) for p in indices}
    batches: list[list[int]] = []
    for p in indices:
        last = batches[-1] if batches else []
        if last and len(starts[last[0]]) == len(starts[p]) and (len(last) + 1) * len(starts[p]) <= batch_size:
            last.append(p)
        else:
            batches.append([p])

    def batch(k: int) -> tuple[np.ndarray]:
        return (np.stack([[records.read(p, start, window) for start in starts[p]] for p in batches[k]]),)

    return _read_ahead(batch, range(len(batches)), ((None, None, window),), (tf.int16,))


def _read_ahead(batch: Callable[[int], tuple], steps: range, shapes: tuple, dtypes: tuple) -> tf.data.Dataset:
    """`batch` of each step in turn, computed in the background.

    Not ``Dataset.from_generator``: its mere use sets malloc's trim threshold to 128 kB for the whole process
    (TensorFlow's generator_dataset_op.cc), and every training step then pays for its memory anew, half its time.
    """

    def load(step):
        arrays = tf.numpy_function(batch, [step], dtypes, stateful=False)
        return tuple(tf.ensure_shape(array, shape) for array, shape in zip(arrays, shapes, strict=True))

    return tf.data.Dataset.range(steps.start, steps.stop).map(load, num_parallel_calls=2).prefetch(4)
