"""Scoring clips: the probabilities of a clip's windows, averaged."""

import keras
import numpy as np
import tensorflow as tf

from tagkit.data.batches import evaluation_clips, evaluation_windows
from tagkit.data.records import Records

INT16_SCALE = 32_768.0
MOST_SAMPLES = 64 * 59_049  # in a batch, which bounds memory for any window


def to_waveform(x: tf.Tensor) -> tf.Tensor:
    """Windows of int16 samples (batch, window) as the networks take them: float32 in [-1, 1), (batch, window, 1)."""
    return tf.cast(x, tf.float32)[..., None] / INT16_SCALE


class Scorer:
    """Scores windows and whole clips with one network, whose graph is traced once.

    Parameters
    ----------
    model : keras.Model
        Maps waveforms (batch, window, 1), or all windows of clips (batch, windows, window, 1), to logits (batch, tags).
    batch_size : int, optional
        Windows scored at a time. Default: 64, or fewer if they are longer than a few seconds.
    exclusive : bool
        Whether the tags are classes, whose probabilities sum to 1 (softmax), or independent of each other (sigmoid).
    output : keras.KerasTensor, optional
        Another tensor of the network, such as the input of its last layer, returned in place of the probabilities.
    """

    def __init__(
        self,
        model: keras.Model,
        batch_size: int | None = None,
        exclusive: bool = False,
        output: keras.KerasTensor | None = None,
    ):
        *_, self.window, _ = model.input_shape
        self.batch_size = batch_size or min(64, max(1, MOST_SAMPLES // self.window))
        self.merges_windows = len(model.input_shape) == 4
        self.clip_windows = model.input_shape[1] if self.merges_windows else None
        network = model if output is None else keras.Model(model.inputs[0], output)
        probabilities = tf.nn.softmax if exclusive else tf.sigmoid
        last = probabilities if output is None else tf.identity
        shape = (None, self.clip_windows, self.window) if self.merges_windows else (self.batch_size, self.window)
        self._traced = tf.function(
            lambda x: tf.cast(last(network(to_waveform(x), training=False)), tf.float32),
            input_signature=[tf.TensorSpec(shape, tf.int16)],
            autograph=False,
        )

    def windows(self, x: np.ndarray) -> np.ndarray:
        """Score one batch.

        Parameters
        ----------
        x : ndarray of int16 (batch_size, window)
            For a network that merges windows, (clips, windows, window) instead.

        Returns
        -------
        ndarray of float32 (batch_size, tags)
            In [0, 1]; the units of `output` if one was chosen.
        """
        return self._traced(x).numpy()

    def __call__(self, records: Records, indices: np.ndarray) -> np.ndarray:
        """Score clips: the mean over all windows of each, or what the network makes of them together.

        Parameters
        ----------
        records : Records
        indices : ndarray of int (clips,)

        Returns
        -------
        ndarray of float32 (clips, tags)
            In [0, 1].
        """
        if self.merges_windows:
            dataset = evaluation_clips(records, indices, self.window, self.clip_windows, self.batch_size)
            return np.concatenate([self.windows(x) for (x,) in dataset])
        dataset, owner = evaluation_windows(records, indices, self.window, self.batch_size)
        scores = np.concatenate([self.windows(x) for (x,) in dataset])[: len(owner)]
        # A clip's windows are consecutive rows.
        first = np.flatnonzero(np.diff(owner, prepend=-1))
        return np.add.reduceat(scores, first) / np.diff([*first, len(owner)])[:, None].astype(np.float32)
