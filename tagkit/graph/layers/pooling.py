"""Stochastic pooling as a Keras layer."""

import itertools
import math

import keras
from keras import KerasTensor, ops


@keras.saving.register_keras_serializable(package="tagkit")
class StochasticPooling(keras.layers.Layer):
    """Draw one activation of each pooling region while training; take the weighted mean at inference.

    An activation a of a region is drawn with probability max(a, 0) / sum(max(a, 0)); at inference the output is the sum
    of these probabilities times the activations. A region without a positive activation gives 0, in both. Regions do
    not overlap, and what does not fill a region at the end is dropped ('valid'). The gradient flows to the drawn
    activation, as in max pooling.

    Parameters
    ----------
    pool_size
        Frames, or (frames, bands) for (batch, frames, bands, channels) maps.
    seed
        Of the drawing; its state is among the layer's variables, as dropout's is.

    References
    ----------
    Zeiler & Fergus, "Stochastic Pooling for Regularization of Deep Convolutional Neural Networks", ICLR 2013.
    """

    def __init__(self, pool_size: int | tuple[int, int], seed: int | None = None, **kwargs: object):
        super().__init__(**kwargs)
        self.pool_size = tuple(pool_size) if isinstance(pool_size, tuple | list) else (int(pool_size),)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    @property
    def strides(self) -> tuple[int, ...]:
        """Step between regions, equal to the pool size."""
        return self.pool_size

    @property
    def padding(self) -> str:
        """Always 'valid'."""
        return "valid"

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Shape of the pooled maps for `input_shape` (batch, frames[, bands], channels)."""
        spatial = [None if n is None else n // k for n, k in zip(input_shape[1:-1], self.pool_size, strict=True)]
        return (input_shape[0], *spatial, input_shape[-1])

    def call(self, x: KerasTensor, training: bool = False) -> KerasTensor:
        """Pool `x`, (batch, frames[, bands], channels)."""
        members = self._members(x)
        weights = [ops.cast(ops.relu(a), "float32") for a in members]
        if training:
            drawn = self._draw([ops.stop_gradient(w) for w in weights])
            return sum(a * ops.cast(d, x.dtype) for a, d in zip(members, drawn, strict=True))
        total = sum(weights)
        mean = sum(ops.square(w) for w in weights) / ops.where(total > 0, total, ops.ones_like(total))
        return ops.cast(mean, x.dtype)

    def _draw(self, weights: list[KerasTensor]) -> list[KerasTensor]:
        """One-hot masks, one for each member: 1 where it is drawn, with probability proportional to its weight."""
        reach = list(itertools.accumulate(weights))
        threshold = reach[-1] * keras.random.uniform(ops.shape(reach[-1]), dtype="float32", seed=self.seed_generator)
        # The first member whose cumulative weight exceeds the threshold is drawn: one of weight 0 never is.
        beyond = [ops.cast(r > threshold, "float32") for r in reach]
        return [beyond[0], *(b - a for a, b in itertools.pairwise(beyond))]

    def _members(self, x: KerasTensor) -> list[KerasTensor]:
        """The first, second, ... activation of every region: a list of (batch, regions[, bands], channels).

        Members stand apart rather than along an axis of their own: with an axis as short as a region, cumulative sums
        and reductions are several times slower on a CPU.
        """
        spatial = [n // k for n, k in zip(ops.shape(x)[1:-1], self.pool_size, strict=True)]
        channels, count = x.shape[-1], math.prod(self.pool_size)
        if len(spatial) == 1:
            x = x[:, : spatial[0] * count]
        else:
            (n, m), (k, b) = spatial, self.pool_size
            x = ops.reshape(x[:, : n * k, : m * b], (-1, n, k, m, b, channels))
            x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        return ops.split(ops.reshape(x, (-1, *spatial, count * channels)), count, axis=-1)

    def get_config(self) -> dict:
        """Return the constructor's arguments."""
        size = self.pool_size if len(self.pool_size) > 1 else self.pool_size[0]
        return {**super().get_config(), "pool_size": size, "seed": self.seed}
