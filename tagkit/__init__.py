"""Automatic music tagging from raw waveforms, and understanding what the networks hear."""

__version__ = "0.1.0"
