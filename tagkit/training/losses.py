"""Losses from (labels, logits) to one number per example, on `keras.ops`."""

from collections.abc import Callable
from functools import partial

import numpy as np
from keras import KerasTensor, ops

from tagkit.system import code
from tagkit.system.code import CodeError


def sigmoid_cross_entropy(labels: KerasTensor, logits: KerasTensor) -> KerasTensor:
    """Sigmoid cross entropy, the mean over tags.

    Parameters
    ----------
    labels
        (batch, tags), 0 or 1 (or between).
    logits
        (batch, tags).

    Returns
    -------
    tensor (batch,)
        Nats.
    """
    labels, logits = _floats(labels, logits)
    return ops.mean(ops.relu(logits) - logits * labels + _log_term(logits), axis=-1)


def softmax_cross_entropy(labels: KerasTensor, logits: KerasTensor) -> KerasTensor:
    """Softmax cross entropy, for exclusive classes.

    Parameters
    ----------
    labels
        (batch, classes), 1 for the class of the example, or shares that sum to 1.
    logits
        (batch, classes).

    Returns
    -------
    tensor (batch,)
        Nats.
    """
    labels, logits = _floats(labels, logits)
    return -ops.sum(labels * ops.log_softmax(logits, axis=-1), axis=-1)


def predecessor_weighted(
    labels: KerasTensor, logits: KerasTensor, positive_factor: float = 1.0, tag_balance: float = 0.0
) -> KerasTensor:
    """The predecessor's weighted cross entropy, whose log term is not weighted, the mean over tags.

    With ``w = max(1, TPF z)`` it is ``w (max(x, 0) - x z) + log1p(e^-|x|)``, times the tag's weight ``1 + TB ln(i)``.
    So a missed tag costs more (the slope at very negative logits is TPF) while one that is found keeps its cost.

    Parameters
    ----------
    labels, logits
        (batch, tags), tags in the order of their frequency, the most frequent first (i = 1).
    positive_factor
        TPF, the factor of true positives; 1 changes nothing.
    tag_balance
        TB, the growth of the weight towards rare tags; 0 changes nothing.

    Returns
    -------
    tensor (batch,)
    """
    labels, logits = _floats(labels, logits)
    weight = ops.maximum(1.0, positive_factor * labels)
    loss = weight * (ops.relu(logits) - logits * labels) + _log_term(logits)
    return ops.mean(loss * tag_weights(labels.shape[-1], tag_balance), axis=-1)


def weighted_cross_entropy(
    labels: KerasTensor, logits: KerasTensor, positive_factor: float = 1.0, tag_balance: float = 0.0
) -> KerasTensor:
    """True weighted cross entropy: the whole loss of a positive counts `positive_factor` times, the mean over tags.

    That is ``(1 - z) x + (1 + (TPF - 1) z) (log1p(e^-|x|) + max(-x, 0))``, as TensorFlow's
    `weighted_cross_entropy_with_logits`, times the tag's weight ``1 + TB ln(i)``. Parameters as in
    `predecessor_weighted`.

    Returns
    -------
    tensor (batch,)
    """
    labels, logits = _floats(labels, logits)
    weight = 1.0 + (positive_factor - 1.0) * labels
    loss = (1.0 - labels) * logits + weight * (_log_term(logits) + ops.relu(-logits))
    return ops.mean(loss * tag_weights(labels.shape[-1], tag_balance), axis=-1)


def focal(labels: KerasTensor, logits: KerasTensor, gamma: float = 2.0, alpha: float | None = None) -> KerasTensor:
    """Focal loss: cross entropy times (1 - p_t)^gamma, p_t the probability given to the truth; the mean over tags.

    Parameters
    ----------
    labels, logits
        (batch, tags).
    gamma
        How little easy examples count; 0 is sigmoid cross entropy.
    alpha
        Weight of positives, 1 - alpha that of negatives; None leaves both at 1.

    Returns
    -------
    tensor (batch,)

    References
    ----------
    Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017.
    """
    labels, logits = _floats(labels, logits)
    loss = ops.relu(logits) - logits * labels + _log_term(logits)
    # log(1 - p_t), whose exponential has a gradient at any gamma and any logit
    log_missing = -(ops.relu(logits) - logits * (1.0 - labels) + _log_term(logits))
    loss = loss * ops.exp(gamma * log_missing)
    if alpha is not None:
        loss = loss * (alpha * labels + (1.0 - alpha) * (1.0 - labels))
    return ops.mean(loss, axis=-1)


LOSSES = {
    "sigmoid_cross_entropy": sigmoid_cross_entropy,
    "softmax_cross_entropy": softmax_cross_entropy,
    "predecessor_weighted": predecessor_weighted,
    "weighted_cross_entropy": weighted_cross_entropy,
    "focal": focal,
}


def named(name: str, **options: float) -> Callable:
    """Look a loss up by name and fix its options: a function of (labels, logits).

    Raises
    ------
    ValueError
        If there is no such loss.
    """
    if name not in LOSSES:
        raise ValueError(f"There is no loss {name!r}: take one of {', '.join(LOSSES)}.")
    return partial(LOSSES[name], **options)


def own(reference: str, n_tags: int) -> Callable:
    """A loss from a user's file, ``FILE.py:NAME``: a function of (labels, logits), or a class of which one is made.

    Raises
    ------
    CodeError
        The file or name is missing, or the loss fails, is not finite or has another shape than (batch,) on an example.
    """
    function = code.callable_of(code.load(reference).value)
    labels, logits = np.zeros((2, n_tags), np.float32), np.zeros((2, n_tags), np.float32)
    labels[:, 0] = 1
    try:
        value = ops.convert_to_numpy(function(ops.convert_to_tensor(labels), ops.convert_to_tensor(logits)))
    except Exception as error:
        raise CodeError(f"{reference} fails on labels and logits (2, {n_tags}): {error}") from error
    if value.shape != (2,) or not np.isfinite(value).all():
        raise CodeError(
            f"{reference} gives {value.tolist()} for two examples; a loss has one finite number for each, (batch,)."
        )
    return function


def tag_weights(n_tags: int, tag_balance: float) -> np.ndarray:
    """Weights 1 + TB ln(i) of tags in the order of their frequency, i from 1: (n_tags,) float32."""
    return (1.0 + tag_balance * np.log(np.arange(1, n_tags + 1))).astype(np.float32)


def _floats(labels: KerasTensor, logits: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
    return ops.cast(labels, "float32"), ops.cast(logits, "float32")


def _log_term(logits: KerasTensor) -> KerasTensor:
    """log(1 + e^-|x|), which overflows nowhere."""
    return ops.log1p(ops.exp(-ops.abs(logits)))
