"""What a training step minimises, and how: losses by the settings of a run, optimizers by its stages."""

from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from tagkit import losses
from tagkit.config import Stage, TrainingConfig


def stages(config: TrainingConfig) -> tuple[Stage, ...]:
    """The stages of a run: those of its settings, or a single one that warms up and decays."""
    single = Stage(config.optimizer, config.learning_rate, config.weight_decay, patience=config.patience)
    return config.stages or (single,)


def build_optimizer(config: TrainingConfig, stage: Stage) -> keras.optimizers.Optimizer:
    """The optimizer of a stage; without stages in the settings, with linear warm-up and cosine decay to 0."""
    rate = stage.learning_rate if config.stages else warmup_cosine(config)
    decay = stage.weight_decay or None
    if stage.optimizer == "sgd":
        return keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=decay)
    kind = {"adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW}[stage.optimizer]
    return kind(rate, weight_decay=decay or 0.0)


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
    counts : ndarray of int (tags,)
        Training clips with each tag: weights that depend on a tag's rank are given in this order.
    """
    if config.loss == "focal":
        return losses.named("focal", gamma=config.focal_gamma)
    if config.loss == "sigmoid_cross_entropy":
        return losses.named(config.loss)
    weighted = losses.named(config.loss, positive_factor=config.positive_factor, tag_balance=config.tag_balance)
    by_frequency = np.argsort(-counts, kind="stable")
    return lambda labels, logits: weighted(
        ops.take(labels, by_frequency, axis=1), ops.take(logits, by_frequency, axis=1)
    )
