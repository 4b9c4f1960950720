"""The networks, in pure Keras 3: every architecture is a row of `zoo.ROWS`, built by one function."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # tables are read without Keras
    import keras


def stages(model: "keras.Model") -> "dict[str, keras.KerasTensor]":
    """Find the stages of a model by the names of its layers.

    Every layer is named `{stage}_{op}`; a stage's output is that of the last layer, in the graph's order, with its name
    (for ``conv2`` that is after its pooling). Works on built and on reloaded models.

    Parameters
    ----------
    model : keras.Model
        Functional, from `tagkit.graph.zoo.build` or named in the same way.

    Returns
    -------
    dict of str -> KerasTensor
        In order from input to output, without the input: the frontend (``logmel``, ``fbank`` or ``bank``),
        ``conv1`` ..., ``gru1`` ..., ``dense1`` ..., ``logits``.
    """
    outputs = {}
    for layer in model.layers:
        stage = layer.name.split("_")[0]
        if stage != "waveform":
            outputs.pop(stage, None)
            outputs[stage] = layer.output
    return outputs


def sampling_rate(model: "keras.Model") -> int:
    """The sampling rate of the waveforms that a network takes, Hz: its attribute `sr`, which `zoo.build` sets.

    Raises
    ------
    ValueError
        The network was made elsewhere and does not say.
    """
    if not hasattr(model, "sr"):
        raise ValueError(f"{model.name} does not say its sampling rate; set `model.sr` to it, in Hz.")
    return model.sr


def boxes(model: "keras.Model") -> list[tuple[str, int, int]]:
    """What `tagkit.plots.architecture` draws of a model: (stage, frames, channels) of every stage of maps.

    A spectrogram network's map counts its bands as channels.
    """
    shapes = {name: output.shape[1:] for name, output in stages(model).items()}
    return [(name, s[0], s[1] * (s[2] if len(s) == 3 else 1)) for name, s in shapes.items() if len(s) > 1]
