"""Stochastic pooling (Zeiler & Fergus 2013) as a Keras layer, for one- and two-dimensional maps."""

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tagkit")
class StochasticPooling(keras.layers.Layer):
    """Draw one activation of each pooling region while training; take the weighted mean at inference.

    An activation a of a region is drawn with probability max(a, 0) / sum(max(a, 0)); at inference the output is the sum
    of these probabilities times the activations. A region without a positive activation gives 0, in both. Regions do
    not overlap, and what does not fill a region at the end is dropped ('valid'). The gradient flows to the drawn
    activation, as in max pooling.

    Parameters
    ----------
    pool_size : int or (int, int)
        Frames, or (frames, bands) for (batch, frames, bands, channels) maps.
    seed : int, optional
        Of the drawing; its state is among the layer's variables, as dropout's is.

    References
    ----------
    Zeiler & Fergus, "Stochastic Pooling for Regularization of Deep Convolutional Neural Networks", ICLR 2013.
    """

    def __init__(self, pool_size, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.pool_size = tuple(pool_size) if isinstance(pool_size, tuple | list) else (int(pool_size),)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    @property
    def strides(self):
        """Step between regions, equal to the pool size."""
        return self.pool_size

    @property
    def padding(self):
        """Always 'valid'."""
        return "valid"

    def compute_output_shape(self, input_shape):
        """Shape of the pooled maps for `input_shape` (batch, frames[, bands], channels)."""
        spatial = [None if n is None else n // k for n, k in zip(input_shape[1:-1], self.pool_size, strict=True)]
        return (input_shape[0], *spatial, input_shape[-1])

    def call(self, x, training=False):
        """Pool `x`, (batch, frames[, bands], channels)."""
        regions = ops.relu(self._regions(x))  # (..., members, channels)
        if not training:
            total = ops.sum(regions, axis=-2)
            safe = ops.where(total > 0, total, ops.ones_like(total))
            return ops.sum(ops.square(regions), axis=-2) / safe
        reach = ops.stop_gradient(ops.cumsum(regions, axis=-2))
        total = reach[..., -1:, :]
        # The drawn member is the first whose cumulative sum exceeds the threshold: one with activation 0 never is.
        threshold = total * keras.random.uniform(ops.shape(total), dtype=total.dtype, seed=self.seed_generator)
        beyond = ops.cast(reach > threshold, x.dtype)
        before = ops.concatenate([ops.zeros_like(beyond[..., :1, :]), beyond[..., :-1, :]], axis=-2)
        return ops.sum(regions * (beyond - before), axis=-2)

    def _regions(self, x):
        """Cut `x` into regions: (batch, frames, channels) -> (batch, regions, members, channels), same with bands."""
        shape = self.compute_output_shape(tuple(x.shape))
        if len(self.pool_size) == 1:
            (k,), frames = self.pool_size, shape[1]
            if frames is None:
                frames = ops.shape(x)[1] // k
            return ops.reshape(x[:, : frames * k], (-1, frames, k, shape[-1]))
        (k, b), (frames, bands) = self.pool_size, shape[1:3]
        if frames is None:
            frames = ops.shape(x)[1] // k
        x = ops.reshape(x[:, : frames * k, : bands * b], (-1, frames, k, bands, b, shape[-1]))
        return ops.reshape(
            ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, frames, bands, math.prod(self.pool_size), shape[-1])
        )

    def get_config(self):
        """Return the constructor's arguments."""
        size = self.pool_size if len(self.pool_size) > 1 else self.pool_size[0]
        return {**super().get_config(), "pool_size": size, "seed": self.seed}
