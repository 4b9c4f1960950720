"""Scores of clips: the probabilities of a clip's windows, averaged."""

import keras
import numpy as np
import tensorflow as tf

from tagkit.inputs import evaluation_windows
from tagkit.records import Records

INT16_SCALE = 32_768.0


def to_waveform(x: tf.Tensor) -> tf.Tensor:
    """Windows of int16 samples (batch, window) as the networks take them: float32 in [-1, 1), (batch, window, 1)."""
    return tf.cast(x, tf.float32)[..., None] / INT16_SCALE


class Predictor:
    """Scores clips with one network; the traced graph is kept from call to call.

    Parameters
    ----------
    model : keras.Model
        Waveform (batch, window, 1) -> logits (batch, tags).
    batch_size : int
        Windows scored at a time.
    """

    def __init__(self, model: keras.Model, batch_size: int = 64):
        self.window, self.batch_size = model.input_shape[1], batch_size
        self._window_scores = tf.function(lambda x: tf.sigmoid(model(to_waveform(x), training=False)))

    def __call__(self, records: Records, positions: np.ndarray) -> np.ndarray:
        """Score clips: the mean probability over all windows of each.

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
        dataset, owner = evaluation_windows(records, positions, self.window, self.batch_size)
        scores = np.concatenate([self._window_scores(x).numpy() for (x,) in dataset])[: len(owner)]
        # The windows of a clip stand together, so each clip is one run of rows.
        first = np.flatnonzero(np.diff(owner, prepend=-1))
        return np.add.reduceat(scores, first) / np.diff([*first, len(owner)])[:, None].astype(np.float32)


def predict(model: keras.Model, records: Records, positions: np.ndarray, batch_size: int = 64) -> np.ndarray:
    """Score clips once, (clips, tags) in [0, 1]; see `Predictor`."""
    return Predictor(model, batch_size)(records, positions)
