"""A network as the live page runs it: a graph in JSON and a block of weights, from one walk over the Keras model."""

from dataclasses import dataclass, field

import keras
import numpy as np

from tagkit import graph
from tagkit.analysis import geometry
from tagkit.listening.live.layers import describe

PRECISIONS = ("float16", "float32")
FOLDS = ("conv", "dense")  # operations that take in a scale and an offset which follow them


@dataclass(frozen=True)
class Packed:
    """A network for the page.

    Attributes
    ----------
    graph : dict
        Ready for JSON. ``nodes`` in the order of computation: operation, settings, ``inputs`` (numbers of nodes) and
        ``weights`` (where they lie in the block); node 0 is the waveform. ``stages`` name nodes, ``output`` is that of
        the logits.
    weights : bytes
        Little-endian; each array starts at a multiple of four bytes.
    """

    graph: dict
    weights: bytes = field(repr=False)


class _Weights:
    """Arrays one after the other; those of one axis are few and stay float32."""

    def __init__(self, precision: str):
        self.precision, self.blocks, self.size = precision, [], 0

    def add(self, name: str, value: np.ndarray) -> dict:
        if not np.isfinite(value).all():
            raise ValueError(f"The weights of {name} hold NaN or infinity: the network diverged; train it again.")
        kind = self.precision if value.ndim > 1 else "float32"
        if np.abs(value).max(initial=0) > np.finfo(kind).max:
            raise ValueError(f"The weights of {name} reach beyond float16; write the page with --weights float32.")
        block = np.ascontiguousarray(value, np.dtype(kind).newbyteorder("<")).tobytes()
        block += bytes(-len(block) % 4)
        place = {"at": self.size, "shape": list(value.shape), "type": kind}
        self.blocks.append(block)
        self.size += len(block)
        return place


def pack(model: keras.Model, precision: str = "float16") -> Packed:
    """The graph and the weights of a network.

    Parameters
    ----------
    model : keras.Model
        Functional, from a waveform (batch, samples, 1) to logits (batch, tags), its layers named
        ``{stage}_{operation}``.
    precision : {"float16", "float32"}
        Of the weights in the page; the browser computes in float64 and stores maps in float32 either way.

    Raises
    ------
    UnknownLayerError
        The page cannot compute a layer; the message names it.
    GeometryError
        The network does not take one waveform.
    ValueError
        It takes waveforms of any length, or its weights are not finite or too large for `precision`.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"Weights are written in {' or '.join(PRECISIONS)}, not {precision!r}.")
    stages = geometry.tensors(model)
    if model.input_shape[1] is None:
        raise ValueError(f"{model.name} takes waveforms of any length; build it for one length of window.")
    outputs = [*stages.values(), model.outputs[0]]
    nodes, numbers = _walk(model, outputs)
    store = _Weights(precision)
    written = [
        node | {"weights": {key: store.add(node["name"], value) for key, value in weights.items()}}
        for node, weights in nodes
    ]
    timed = {
        stage.name: {
            "axis": stage.axis - 1,  # the page has no batch axis
            "frames": stage.frames,
            "stride": stage.stride,
            "offset": stage.offset,
            "exact": stage.exact,
        }
        for stage in geometry.stages(model)
    }
    described = {
        "sr": graph.sampling_rate(model),
        "window": model.input_shape[1],
        "nodes": written,
        "output": numbers[id(model.outputs[0])],
        "stages": [
            {"name": name, "node": numbers[id(tensor)]} | timed.get(name, {}) for name, tensor in stages.items()
        ],
    }
    return Packed(described, b"".join(store.blocks))


def _walk(model: keras.Model, outputs: list[keras.KerasTensor]) -> tuple[list[tuple[dict, dict]], dict[int, int]]:
    """Nodes with their weights, in the order of computation, and the number of the node of each tensor, by its id."""
    nodes: list[tuple[dict, dict]] = [({"op": "input", "name": "waveform", "inputs": []}, {})]
    numbers = {id(model.inputs[0]): 0}
    span_of, readers = geometry.walk(model), _readers(model)

    def visit(tensor: keras.KerasTensor) -> int:
        if id(tensor) in numbers:
            return numbers[id(tensor)]
        layer, index, _ = tensor._keras_history
        sources = layer._inbound_nodes[index].input_tensors
        inputs = [visit(source) for source in sources]
        operation, settings, weights = describe(layer)
        if operation == "reshape" and (axis := span_of(tensor).axis) is not None:
            settings["shape"][axis - 1] = -1  # so that it takes music of any length
        if operation == "same":
            number = inputs[0]
        elif operation == "scale" and _takes_in(*nodes[inputs[0]]) and readers[id(sources[0])] == 1:
            number = inputs[0]
            nodes[number][1].update(weights)
        else:
            nodes.append(({"op": operation, "name": layer.name, "inputs": inputs, **settings}, weights))
            number = len(nodes) - 1
        numbers[id(tensor)] = number
        return number

    for output in outputs:
        visit(output)
    return nodes, numbers


def _takes_in(node: dict, weights: dict) -> bool:
    """Whether an operation can scale its own result, so that a norm behind it needs none of its own."""
    return node["op"] in FOLDS and node["activation"] == "linear" and "scale" not in weights


def _readers(model: keras.Model) -> dict[int, int]:
    """How many layers read each tensor of the network, by its id; the network's output has one reader more."""
    counts = {id(model.outputs[0]): 1}
    for layer in model.layers:
        for node in layer._inbound_nodes:
            for source in node.input_tensors:
                counts[id(source)] = counts.get(id(source), 0) + 1
    return counts
