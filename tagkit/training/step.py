"""One training step: gradients on every device, added up, and applied."""

from collections.abc import Callable

import keras
import tensorflow as tf

from tagkit.graph.scorer import to_waveform
from tagkit.training.devices import Devices


def build(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, loss_of: Callable, devices: Devices, batch_size: int
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Trace a step.

    Parameters
    ----------
    loss_of
        From labels and logits, (batch, tags), to one number for each example, (batch,).
    batch_size
        Examples of the whole batch, on all devices.

    Returns
    -------
    callable
        From this process' rows of a batch, int16 (rows[, windows], window), and their labels (rows, tags), to the mean
        loss over the whole batch.
    """

    def replica_step(x, y):
        with tf.GradientTape() as tape:
            logits = model(to_waveform(x), training=True)
            loss = tf.reduce_sum(loss_of(y, logits)) / batch_size
        variables = model.trainable_variables
        # Adds the gradients up over all replicas.
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    @tf.function(reduce_retracing=True, autograph=False)
    def step(x, y):
        return devices.strategy.reduce("SUM", devices.strategy.run(replica_step, (x, y)), axis=None)

    return lambda x, y: step(*devices.deal((x, y), batch_size))
