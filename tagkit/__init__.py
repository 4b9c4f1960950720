"""Automatic music tagging from raw waveforms, and understanding what the networks hear."""

from tagkit.system import keras_settings

keras_settings.claim_backend()  # before anything imports Keras

__version__ = "0.1.0"
