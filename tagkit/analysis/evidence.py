"""Which channels speak for a tag in a piece of music: their activity times the gradient of the tag's logit."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tagkit import audio
from tagkit.analysis import geometry
from tagkit.analysis.feature_maps import select
from tagkit.data.windows import window_starts


def evidence(model: keras.Model, y: np.ndarray, tag: int, stages: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """How much each channel of each stage speaks for a tag, or (below 0) against it.

    Parameters
    ----------
    model : keras.Model
        Waveform (batch, window, 1) -> logits (batch, tags).
    y : ndarray (samples,)
        Float in [-1, 1).
    tag : int
        Position of the tag among the model's outputs.
    stages : sequence of str, optional
        Default: all that have a time axis.

    Returns
    -------
    dict of str -> ndarray (channels,)
        In logits: the sum over a window's frames of activity times gradient, averaged over the windows of `y`. To first
        order it is what the logit would lose if the channel fell silent.

    Notes
    -----
    Gradient times input (Shrikumar et al., "Not just a black box", 2016), taken at a stage rather than at the input. In
    a network that is linear behind the stage the channels add up to the logit less its bias; in others they do so
    roughly. It says what the score hangs on here, not what the channel means elsewhere.
    """
    window = model.input_shape[1]
    chosen = select(geometry.stages(model), stages)
    outputs = geometry.tensors(model)
    taps = keras.Model(model.inputs[0], [*(outputs[stage.name] for stage in chosen), model.outputs[0]])
    starts = window_starts(len(y), window)
    sums = {stage.name: 0.0 for stage in chosen}
    for start in starts:
        cut = np.asarray(y[start : start + window], np.float32)
        x = tf.constant(audio.filled(cut, window)[None, :, None])
        with tf.GradientTape() as tape:
            tape.watch(x)
            *maps, logits = taps(x, training=False)
            logit = logits[0, tag]
        for stage, a, gradient in zip(chosen, maps, tape.gradient(logit, maps), strict=True):
            sums[stage.name] = sums[stage.name] + _by_channel((a * gradient).numpy()[0], stage)
    return {name: total / len(starts) for name, total in sums.items()}


def _by_channel(product: np.ndarray, stage: geometry.Stage) -> np.ndarray:
    """Sum a map without its batch axis over all axes but that of the channels: (channels,)."""
    if product.ndim == 3 and product.shape[-1] == 1 < stage.channels:  # bands are the channels
        product = product[..., 0]
    return product.sum(axis=tuple(range(product.ndim - 1)))
