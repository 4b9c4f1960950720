"""What a training step minimises, and how: losses by the settings of a run, optimizers by its phases."""

from collections.abc import Callable

import keras
import numpy as np
from keras import KerasTensor, ops

from tagkit.graph import fast
from tagkit.system import code
from tagkit.training import losses
from tagkit.training.config import OF_TASK, Phase, TrainingConfig


def build_optimizer(config: TrainingConfig, phase: Phase) -> keras.optimizers.Optimizer:
    """The optimizer of a phase; without phases in the settings, with linear warm-up and cosine decay to 0."""
    rate = phase.learning_rate if config.phases else warmup_cosine(config)
    name = "optimizer"  # begins the paths of its variables, which checkpoints keep
    if phase.optimizer == "sgd":
        return L2SGD(rate, momentum=0.9, nesterov=True, l2=phase.weight_decay, name=name)
    if phase.optimizer == "adam":
        return L2Adam(rate, l2=phase.weight_decay, name=name)
    return AdamW(rate, weight_decay=phase.weight_decay, name=name)


class _OneKernel(keras.optimizers.Adam):
    """Adam, with the trick `one_kernel_adam`: Keras' own passes over each variable a dozen times."""

    def update_step(self, gradient: KerasTensor, variable: keras.Variable, learning_rate: KerasTensor) -> None:
        """Take one variable's step."""
        if not fast.uses("one_kernel_adam") or keras.backend.backend() != "tensorflow" or self.amsgrad:
            super().update_step(gradient, variable, learning_rate)
            return
        from tensorflow import raw_ops

        def number(x):
            return ops.cast(x, variable.dtype)

        index = self._get_variable_index(variable)
        beta1, beta2, step = number(self.beta_1), number(self.beta_2), number(self.iterations + 1)
        raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=ops.power(beta1, step),
            beta2_power=ops.power(beta2, step),
            lr=number(learning_rate),
            beta1=beta1,
            beta2=beta2,
            epsilon=number(self.epsilon),
            grad=number(gradient),
        )


class AdamW(_OneKernel):
    """Adam whose weight decay stays apart from the gradient.

    Keras' own works the learning rate out again for every variable that it decays, which takes half of the time of
    tracing a step.
    """

    def __init__(self, *args: object, weight_decay: float, **kwargs: object):
        super().__init__(*args, **kwargs)
        self.decay = weight_decay

    def update_step(self, gradient: KerasTensor, variable: keras.Variable, learning_rate: KerasTensor) -> None:
        """Take one variable's step."""
        rate = ops.cast(learning_rate, variable.dtype)
        self.assign_sub(variable, ops.multiply(ops.multiply(variable, self.decay), rate))
        super().update_step(gradient, variable, learning_rate)


class _L2(keras.optimizers.Optimizer):
    """Weight decay as part of the gradient, as PyTorch has it; Keras' own `weight_decay` stays apart from it."""

    def __init__(self, *args, l2: float, **kwargs):
        super().__init__(*args, **kwargs)
        self.l2 = l2

    def update_step(self, gradient: KerasTensor, variable: keras.Variable, learning_rate: KerasTensor) -> None:
        """Take one variable's step."""
        if self.l2:
            gradient = ops.add(gradient, ops.multiply(variable, self.l2))
        super().update_step(gradient, variable, learning_rate)


class L2SGD(_L2, keras.optimizers.SGD):
    """SGD with that decay."""


class L2Adam(_L2, _OneKernel):
    """Adam with that decay."""


def warmup_cosine(config: TrainingConfig) -> keras.optimizers.schedules.LearningRateSchedule:
    """Linear warm-up over a share of the steps, then half a cosine down to 0."""
    warmup = round(config.warmup * config.steps)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else config.learning_rate,
        decay_steps=config.steps - warmup,
        warmup_target=config.learning_rate if warmup else None,
        warmup_steps=warmup,
    )


def build_loss(config: TrainingConfig, counts: np.ndarray) -> Callable:
    """The loss of a run: a function of labels and logits (batch, tags) to one number per example (batch,).

    Parameters
    ----------
    config : TrainingConfig
        Settled, so that it names a loss.
    counts : ndarray of int (tags,)
        Training clips with each tag: weights that depend on a tag's rank are given in this order.
    """
    if code.is_reference(config.loss):
        return losses.own(config.loss, len(counts))
    if config.loss == "focal":
        return losses.named("focal", gamma=config.focal_gamma)
    if config.loss in OF_TASK.values():
        return losses.named(config.loss)
    weighted = losses.named(config.loss, positive_factor=config.positive_factor, tag_balance=config.tag_balance)
    by_frequency = np.argsort(-counts, kind="stable")
    return lambda labels, logits: weighted(
        ops.take(labels, by_frequency, axis=1), ops.take(logits, by_frequency, axis=1)
    )
