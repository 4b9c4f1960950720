"""Batch norm as a Keras layer that trains on TensorFlow's fused kernel."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="tagkit")
class BatchNormalization(layers.BatchNormalization):
    """Keras' batch norm, with the same numbers up to rounding, computed by one kernel.

    Keras 3 composes batch norm of elementary operations, which costs about a sixth of dm16's training step on a CPU.
    TensorFlow has one kernel for it, to which a waveform's maps (batch, frames, channels) are images of one row.
    Wherever that kernel does not apply (another backend, inference, statistics over several replicas) this is the base
    class.

    It keeps its base's name, by which Keras files the weights: those saved of either load into the other.
    """

    def call(self, inputs, training=None, mask=None):
        """Normalised maps; while training, the moving statistics take a step towards the batch's."""
        if not (training and self.trainable and mask is None and self._fusible(inputs)):
            return super().call(inputs, training=training, mask=mask)
        from tensorflow import raw_ops  # the network itself needs no TensorFlow

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

    def _fusible(self, inputs):
        return (
            keras.backend.backend() == "tensorflow"
            and len(inputs.shape) in (3, 4)
            and self.axis in (-1, len(inputs.shape) - 1)
            and self.compute_dtype == "float32"
            and not (self.synchronized or getattr(self, "renorm", False))
        )

    def _move(self, average, value):
        average.assign(average * self.momentum + value * (1 - self.momentum))
