"""Keras' batch norm, on TensorFlow's fused kernel.

Keras 3 composes it of elementary operations, which costs a sixth of dm16's training step on a CPU. TensorFlow has one
kernel, to which a waveform's maps are images of one row. It applies on TensorFlow while training in float32, over the
last axis and one replica's batch.
"""

import keras
from keras import KerasTensor, layers, ops

from tagkit.graph import fast


@keras.saving.register_keras_serializable(package="tagkit")
class BatchNormalization(layers.BatchNormalization):
    """Keras' batch norm, with `fused_norm`; either loads the weights of the other."""

    def call(self, inputs: KerasTensor, training: bool | None = None, mask: KerasTensor | None = None) -> KerasTensor:
        """Normalise `inputs`, (batch, frames[, bands], channels); moving statistics follow the batch in training."""
        if not (training and self.trainable and mask is None and self._fusible(inputs)):
            return super().call(inputs, training=training, mask=mask)
        from tensorflow import raw_ops  # networks run without TensorFlow, too

        width = inputs.shape[-1]
        y, mean, variance, *_ = raw_ops.FusedBatchNormV3(
            x=ops.expand_dims(inputs, 1) if len(inputs.shape) == 3 else inputs,
            scale=ops.convert_to_tensor(self.gamma) if self.scale else ops.ones(width),
            offset=ops.convert_to_tensor(self.beta) if self.center else ops.zeros(width),
            mean=[],
            variance=[],
            epsilon=self.epsilon,
            is_training=True,
        )
        # The kernel normalises by the biased variance, as Keras does, but reports the unbiased one.
        n = ops.cast(ops.size(inputs) // width, "float32")
        self._move(self.moving_mean, mean)
        self._move(self.moving_variance, variance * (n - 1) / n)
        return ops.reshape(y, ops.shape(inputs))

    def _fusible(self, inputs: KerasTensor) -> bool:
        return (
            fast.uses("fused_norm")
            and keras.backend.backend() == "tensorflow"
            and len(inputs.shape) in (3, 4)
            and self.axis in (-1, len(inputs.shape) - 1)
            and self.compute_dtype == "float32"
            and not (self.synchronized or getattr(self, "renorm", False))
        )

    def _move(self, average: keras.Variable, value: KerasTensor) -> None:
        average.assign(average * self.momentum + value * (1 - self.momentum))
