"""Scores of clips: the probabilities of a clip's windows, averaged."""

import keras
import numpy as np
import tensorflow as tf

from tagkit.data.batches import evaluation_clips, evaluation_windows
from tagkit.data.records import Records

INT16_SCALE = 32_768.0
MOST_SAMPLES = 64 * 59_049  # in a batch, so that memory stays bounded whatever the window


def to_waveform(x: tf.Tensor) -> tf.Tensor:
    """Windows of int16 samples (batch, window) as the networks take them: float32 in [-1, 1), (batch, window, 1)."""
    return tf.cast(x, tf.float32)[..., None] / INT16_SCALE


class Predictor:
    """Scores clips with one network; the traced graph is kept from call to call.

    Parameters
    ----------
    model : keras.Model
        Waveform (batch, window, 1), or all windows of a clip (batch, windows, window, 1), -> logits (batch, tags).
    batch_size : int, optional
        Windows scored at a time. Default: 64, or fewer of those that are longer than a few seconds.
    """

    def __init__(self, model: keras.Model, batch_size: int | None = None):
        *_, self.window, _ = model.input_shape
        self.batch_size = batch_size = batch_size or min(64, max(1, MOST_SAMPLES // self.window))
        self.merges_windows = len(model.input_shape) == 4
        self.windows = model.input_shape[1] if self.merges_windows else None
        shape = (None, self.windows, self.window) if self.merges_windows else (batch_size, self.window)
        self._scores = tf.function(
            lambda x: tf.sigmoid(model(to_waveform(x), training=False)),
            input_signature=[tf.TensorSpec(shape, tf.int16)],
        )

    def __call__(self, records: Records, positions: np.ndarray) -> np.ndarray:
        """Score clips: the mean probability over all windows of each, or what the network makes of them together.

        Parameters
        ----------
        records : Records
        positions : ndarray of int (clips,)
            The clips, as positions in `records`.

        Returns
        -------
        ndarray of float32 (clips, tags)
            In [0, 1].
        """
        if self.merges_windows:
            dataset = evaluation_clips(records, positions, self.window, self.windows, self.batch_size)
            return np.concatenate([self._scores(x).numpy() for (x,) in dataset])
        dataset, owner = evaluation_windows(records, positions, self.window, self.batch_size)
        scores = np.concatenate([self._scores(x).numpy() for (x,) in dataset])[: len(owner)]
        # The windows of a clip stand together, so each clip is one run of rows.
        first = np.flatnonzero(np.diff(owner, prepend=-1))
        return np.add.reduceat(scores, first) / np.diff([*first, len(owner)])[:, None].astype(np.float32)


def predict(model: keras.Model, records: Records, positions: np.ndarray, batch_size: int | None = None) -> np.ndarray:
    """Score clips once, (clips, tags) in [0, 1]; see `Predictor`."""
    return Predictor(model, batch_size)(records, positions)
