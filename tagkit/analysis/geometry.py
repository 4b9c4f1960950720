"""Geometry of a network's stages: what each frame sees of the waveform, and when it happens."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np

from tagkit import graph
from tagkit.analysis.timing import GeometryError, Span, join, step

__all__ = ["GeometryError", "Stage", "stages", "tensors", "walk"]


@dataclass(frozen=True)
class Stage:
    """One stage of a network with a time axis.

    Attributes
    ----------
    name : str
    channels : int
        Of its feature map as tagkit stores it, ``(frames, channels)``: a map with a frequency axis is averaged over
        that axis, and one without channels keeps its bands as channels.
    frames : int
        For the length that the network was built for.
    stride : int
        Samples of the waveform from one frame to the next.
    receptive_field : int
        Samples of the waveform that one frame sees. Where `exact` is False, that of the convolutional trunk.
    offset : float
        Centre of frame 0, samples from the start of the waveform.
    exact : bool
        False where a frame sees more than its receptive field: the whole window behind squeeze-excitation, attention
        or a bidirectional recurrence, all of it up to the frame behind a causal one. Stride and offset are then the
        trunk's nominal timing.
    sr : int
        Sampling rate of the waveform, Hz.
    axis : int
        The time axis of the stage's tensor, counting the batch axis.
    """

    name: str
    channels: int
    frames: int
    stride: int
    receptive_field: int
    offset: float
    exact: bool
    sr: int
    axis: int = 1

    def time(self, n: np.ndarray | int) -> np.ndarray | float:
        """Centre of frame `n`, seconds."""
        return (n * self.stride + self.offset) / self.sr

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.sr / self.stride

    @property
    def nyquist_hz(self) -> float:
        """Highest frequency that the map's frames can carry without aliasing, Hz."""
        return self.sr / (2 * self.stride)


def tensors(model: keras.Model) -> dict[str, keras.KerasTensor]:
    """The output of every stage, in order: the last layer whose name starts with ``{stage}_``.

    Parameters
    ----------
    model : keras.Model
        Functional; its layers are named ``{stage}_{operation}``.

    Raises
    ------
    GeometryError
        The input is not one waveform (batch, samples, 1), or a layer is a network.
    """
    shape = model.inputs[0].shape
    if len(shape) != 3 or shape[-1] != 1:
        raise GeometryError(
            f"{model.name} takes {shape}, not one waveform (batch, samples, 1); analyse the network of one window: "
            "build its row with zoo.build and copy the weights of the layers that have the same names."
        )
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            raise GeometryError(
                f"{model.name} holds the network {layer.name} as a layer; analyse that one: "
                f"model.get_layer({layer.name!r})."
            )
    return graph.stages(model)


def walk(model: keras.Model) -> Callable[[keras.KerasTensor], Span]:
    """A function from any tensor of the graph to its Span, those without a time axis included."""
    known: dict[int, Span] = {id(tensor): Span() for tensor in model.inputs}

    def span_of(tensor: keras.KerasTensor) -> Span:
        if id(tensor) not in known:
            op, node_index, _ = tensor._keras_history  # the only road from a tensor to its producer in Keras 3
            sources = op._inbound_nodes[node_index].input_tensors
            spans = [span_of(source) for source in sources]
            single = len(spans) == 1
            known[id(tensor)] = step(op, spans[0], sources[0].shape, tensor.shape) if single else join(op, spans)
        return known[id(tensor)]

    return span_of


def _channels(shape: tuple, axis: int) -> int:
    others = [size for i, size in enumerate(shape) if i not in (0, axis)]
    return others[-1] if others[-1] != 1 else math.prod(others)


def stages(model: keras.Model) -> tuple[Stage, ...]:
    """Every stage of a network that has a time axis, in order.

    Parameters
    ----------
    model : keras.Model
        Functional, with a waveform ``(batch, samples, 1)`` as input and layers named ``{stage}_{operation}``.

    Returns
    -------
    tuple of Stage
        Dense stages behind the time axis are left out.

    Raises
    ------
    GeometryError
        Branches with different strides meet, or a layer's timing is unknown; the message names the layer.
    ValueError
        The network does not say its sampling rate (`graph.sampling_rate`).

    Notes
    -----
    A custom layer says how it frames its input by a method ``frame_geometry() -> (kernel, stride, left
    padding)``, or by Keras' own attributes (`pool_size`, `kernel_size`, `strides`, `padding`, `dilation_rate`).
    """
    span_of, found = walk(model), []
    for name, tensor in tensors(model).items():
        span, shape = span_of(tensor), tensor.shape
        if span.axis is None:
            continue
        found.append(
            Stage(
                name=name,
                channels=_channels(shape, span.axis),
                frames=shape[span.axis],
                stride=span.stride,
                receptive_field=span.last - span.first + 1,
                offset=(span.first + span.last) / 2,
                exact=span.exact,
                sr=graph.sampling_rate(model),
                axis=span.axis,
            )
        )
    return tuple(found)
