"""Layers of the networks, each as plain as its formula."""

from tagkit.system import keras_settings

keras_settings.settle()
