"""Networks to check the analysis with: the demo's trained dm16, and a small one with random filters."""

import numpy as np

SR = 16_000


def trained():
    """The demo's dm16, trained now if it is not there yet."""
    return trained_run().model()


def trained_run():
    """The demo's run of dm16, trained now if it is not there yet."""
    from tagkit import workspace

    return workspace.run("dm16")


def small(seed: int = 0):
    """Two stages with strides of 16 and 32 samples, eight random band-pass filters, batch norm, ELU and pooling."""
    import keras
    from keras import layers

    rng = np.random.default_rng(seed)
    source = keras.Input((4096, 1), name="waveform")
    x = layers.Conv1D(8, 64, strides=16, padding="same", use_bias=False, name="conv1_conv")(source)
    x = layers.BatchNormalization(name="conv1_norm")(x)
    x = layers.Activation("elu", name="conv1_elu")(x)
    x = layers.Conv1D(6, 4, padding="same", use_bias=False, name="conv2_conv")(x)
    x = layers.MaxPooling1D(2, name="conv2_pool")(x)
    model = keras.Model(source, layers.Activation("elu", name="conv2_elu")(x), name="small")
    model.sr = SR
    time, centres = np.arange(64) / SR, rng.uniform(300, 6000, 8)
    bank = np.hanning(64)[:, None] * np.cos(2 * np.pi * centres * time[:, None] + rng.uniform(0, 6, 8))
    model.get_layer("conv1_conv").set_weights([bank[:, None, :].astype(np.float32)])
    shape = model.get_layer("conv2_conv").get_weights()[0].shape
    model.get_layer("conv2_conv").set_weights([rng.normal(size=shape).astype(np.float32)])
    model.get_layer("conv1_norm").set_weights([np.ones(8), rng.normal(0, 0.2, 8), np.zeros(8), np.full(8, 0.5)])
    return model
