import keras
import numpy as np
import pytest
import tensorflow as tf

from tagkit.training import losses

rng = np.random.default_rng(0)
LABELS = (rng.uniform(size=(6, 50)) < 0.2).astype("float32")
LOGITS = rng.normal(scale=4, size=(6, 50)).astype("float32")


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def test_sigmoid_cross_entropy_is_tensorflows_own():
    expected = tf.nn.sigmoid_cross_entropy_with_logits(LABELS, LOGITS).numpy().mean(axis=1)
    np.testing.assert_allclose(numpy(losses.sigmoid_cross_entropy(LABELS, LOGITS)), expected, rtol=1e-5)


@pytest.mark.parametrize("loss", [losses.predecessor_weighted, losses.weighted_cross_entropy])
def test_without_weights_every_weighted_loss_is_sigmoid_cross_entropy(loss):
    expected = numpy(losses.sigmoid_cross_entropy(LABELS, LOGITS))
    np.testing.assert_allclose(numpy(loss(LABELS, LOGITS)), expected, rtol=1e-5)
    np.testing.assert_allclose(numpy(losses.focal(LABELS, LOGITS, gamma=0.0)), expected, rtol=1e-5)


def test_predecessor_weighted_by_hand():
    # One missed positive as tag 1: w = max(1, 3) = 3, loss 3 (0 - (-2)) + log1p(e^-2); one false alarm as tag 2: w = 1,
    # loss (2 - 0) + log1p(e^-2), times 1 + .5 ln 2.
    log_term = np.log1p(np.exp(-2.0))
    expected = (3 * 2 + log_term + (2 + log_term) * (1 + 0.5 * np.log(2))) / 2
    loss = losses.predecessor_weighted(
        np.array([[1.0, 0.0]]), np.array([[-2.0, 2.0]]), positive_factor=3.0, tag_balance=0.5
    )
    np.testing.assert_allclose(numpy(loss), [expected], rtol=1e-6)


def test_predecessor_weighted_does_not_weight_the_log_term():
    # A positive found with logit 2 costs log1p(e^-2), whatever the factor: the predecessor's peculiarity.
    for factor in (1.0, 7.0):
        loss = losses.predecessor_weighted(np.ones((1, 1)), np.full((1, 1), 2.0), positive_factor=factor)
        np.testing.assert_allclose(numpy(loss), [np.log1p(np.exp(-2.0))], rtol=1e-6)


def test_weighted_cross_entropy_is_tensorflows_own_times_the_tags_weight():
    expected = tf.nn.weighted_cross_entropy_with_logits(LABELS, LOGITS, pos_weight=5.0).numpy()
    expected = (expected * (1 + 0.3 * np.log(np.arange(1, 51)))).mean(axis=1)
    loss = losses.weighted_cross_entropy(LABELS, LOGITS, positive_factor=5.0, tag_balance=0.3)
    np.testing.assert_allclose(numpy(loss), expected, rtol=1e-5)


def test_focal_loss_by_its_definition():
    p = 1 / (1 + np.exp(-LOGITS.astype("float64")))
    p_t = np.where(LABELS == 1, p, 1 - p)
    alpha_t = np.where(LABELS == 1, 0.25, 0.75)
    expected = (-alpha_t * (1 - p_t) ** 2 * np.log(p_t)).mean(axis=1)
    np.testing.assert_allclose(numpy(losses.focal(LABELS, LOGITS, gamma=2.0, alpha=0.25)), expected, rtol=1e-4)


@pytest.mark.parametrize("name", losses.LOSSES)
def test_losses_and_gradients_are_finite_at_extreme_logits(name):
    logits = tf.Variable([[-1e4, 0.0, 1e4, 1e4, 0.0, -1e4]])
    labels = tf.constant([[1.0, 1.0, 1.0, 0.0, 0.0, 0.0]])
    with tf.GradientTape() as tape:
        loss = losses.named(name)(labels, logits)
    assert loss.shape == (1,)
    assert np.isfinite(loss.numpy()).all()
    assert np.isfinite(tape.gradient(loss, logits).numpy()).all()


def test_an_unknown_loss_is_named():
    with pytest.raises(ValueError, match=r"no loss 'hinge': take one of sigmoid_cross_entropy"):
        losses.named("hinge")
