"""What one operation of a graph does to the samples that a frame sees: kernels, strides, padding, joins, ends."""

import math
from dataclasses import dataclass, replace

import keras

ELEMENTWISE_LAYERS = {
    "Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Dropout", "SpatialDropout1D", "SpatialDropout2D",
    "GaussianNoise", "GaussianDropout", "Rescaling", "Identity", "Dense", "TimeDistributed", "Masking",
}  # fmt: skip
JOINS = {"Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"}
REDUCTIONS = {"Max", "Min", "Mean", "Sum", "Amax", "Amin", "Squeeze"}
MIXING_OPS = {"Softmax", "LogSoftmax", "Cumsum", "Flip", "Roll", "Sort", "Matmul", "Einsum"}


class GeometryError(ValueError):
    """The graph holds something whose timing cannot be known; the message names the layer and what to do."""


@dataclass(frozen=True)
class Span:
    """The samples that frame 0 of a tensor sees, and the step to the next frame.

    Attributes
    ----------
    first, last : int
        Samples of the input, both included; `first` is negative where padding is seen.
    stride : int
        Samples.
    exact : bool
        False behind anything that sees more than a field of fixed size (recurrence, squeeze-excitation, attention).
    axis : int or None
        The time axis of the tensor; None where time has ended (flatten, global pooling, last state).
    """

    first: int = 0
    last: int = 0
    stride: int = 1
    exact: bool = True
    axis: int | None = 1

    def window(self, kernel: int, stride: int = 1, left: int = 0, dilation: int = 1) -> "Span":
        """The span behind a sliding window of `kernel` frames, `left` frames of padding before the first."""
        first = self.first - left * self.stride
        last = self.last + ((kernel - 1) * dilation - left) * self.stride
        return replace(self, first=first, last=last, stride=self.stride * stride)


def left_padding(padding: str, frames: int | None, kernel: int, stride: int) -> int:
    """Frames of padding before the first one; 'same' depends on the number of frames (None: a multiple of stride)."""
    if padding == "causal":
        return kernel - 1
    if padding != "same":
        return 0
    covered = (math.ceil(frames / stride) - 1) * stride - frames if frames is not None else -stride
    return max(covered + kernel, 0) // 2


def _at(value: int | tuple[int, ...], axis: int) -> int:
    return int(value if isinstance(value, int) else value[axis - 1])


def _sliding(op: keras.Operation, span: Span, frames: int | None) -> Span:
    kernel = _at(getattr(op, "kernel_size", None) or op.pool_size, span.axis)
    stride = _at(getattr(op, "strides", None) or op.pool_size, span.axis)
    dilation = _at(getattr(op, "dilation_rate", 1), span.axis)
    left = left_padding(getattr(op, "padding", "valid"), frames, (kernel - 1) * dilation + 1, stride)
    return span.window(kernel, stride, left, dilation)


def _reshaped_axis(axis: int, before: tuple, after: tuple) -> int | None:
    """Where a row-major reshape leaves the time axis: as many values before it, as many frames along it."""
    ahead = math.prod(before[1:axis])
    for candidate in range(1, len(after)):
        if math.prod(size or 1 for size in after[1:candidate]) == ahead and after[candidate] == before[axis]:
            return candidate
    return None


def join(op: keras.Operation, spans: list[Span]) -> Span:
    """The span behind an operation with several inputs: the union of what its branches see.

    Raises
    ------
    GeometryError
        The branches have different strides or time axes.
    """
    alive = [span for span in spans if span.axis is not None]
    if not alive:
        return replace(spans[0], exact=False)
    if len({span.stride for span in alive}) > 1 or len({span.axis for span in alive}) > 1:
        strides = ", ".join(str(span.stride) for span in alive)
        raise GeometryError(f"{op.name} joins branches with strides of {strides} samples; they have no common frames.")
    mixes = type(op).__name__ not in JOINS or (
        type(op).__name__ == "Concatenate" and getattr(op, "axis", -1) == alive[0].axis
    )
    return replace(
        alive[0],
        first=min(span.first for span in alive),
        last=max(span.last for span in alive),
        exact=all(span.exact for span in alive) and len(alive) == len(spans) and not mixes,
    )


def _resized(op: keras.Operation, span: Span, before: tuple, after: tuple) -> Span | None:
    """Padding, cropping, reshaping and permuting; None for any other operation."""
    name = type(op).__name__
    if name.startswith(("ZeroPadding", "Cropping")):
        amount = op.padding if name.startswith("Zero") else op.cropping
        amount = amount if len(before) == 3 else amount[span.axis - 1]
        start = (-amount[0] if name.startswith("Zero") else amount[0]) * span.stride
        return replace(span, first=span.first + start, last=span.last + start)
    if name in ("Reshape", "ExpandDims"):
        return replace(span, axis=_reshaped_axis(span.axis, before, after))
    if name in ("Permute", "Transpose"):
        order = (0, *op.dims) if name == "Permute" else tuple(op.axes)
        return replace(span, axis=order.index(span.axis))
    return None


def _reduced(op: keras.Operation, span: Span, before: tuple) -> Span:
    axis = op.axis if isinstance(op.axis, (tuple, list)) else [op.axis]
    gone = {size % len(before) for size in axis if size is not None} or set(range(len(before)))
    if span.axis in gone:
        return replace(span, axis=None, exact=False)
    lost = 0 if getattr(op, "keepdims", False) else sum(axis < span.axis for axis in gone)
    return replace(span, axis=span.axis - lost)


def step(op: keras.Operation, span: Span, before: tuple, after: tuple) -> Span:
    """The span behind one operation with one input.

    Parameters
    ----------
    op : keras Operation
        A layer of one's own may define ``frame_geometry() -> (kernel, stride, left_padding)``, in its input frames,
        or have the attributes `frame_length`, `hop_length`, `pad` and `preemphasis`.
    span : Span
        Of the input.
    before, after : tuple
        Shapes of the input and the output, batch axis included.

    Raises
    ------
    GeometryError
        For an unknown operation that changes the number of frames.
    """
    name = type(op).__name__
    if span.axis is None:
        return span
    if hasattr(op, "frame_geometry"):
        kernel, stride, left = op.frame_geometry()
        return span.window(kernel, stride, left)
    if hasattr(op, "hop_length") and hasattr(op, "frame_length"):
        before_frame = 1 if getattr(op, "preemphasis", 0) else 0  # the difference reaches one sample further back
        return span.window(op.frame_length + before_frame, op.hop_length, getattr(op, "pad", 0) + before_frame)
    if name == "Flatten" or name.startswith("Global"):
        return replace(span, axis=None, exact=False)
    if hasattr(op, "return_sequences"):
        return replace(span, exact=False, axis=span.axis if op.return_sequences else None)
    if (hasattr(op, "kernel_size") or hasattr(op, "pool_size")) and "Transpose" not in name:
        return _sliding(op, span, before[span.axis])
    resized = _resized(op, span, before, after)
    if resized is not None:
        return resized
    if name in REDUCTIONS:
        return _reduced(op, span, before)
    return _same_frames(op, span, before, after)


def _same_frames(op: keras.Operation, span: Span, before: tuple, after: tuple) -> Span:
    name = type(op).__name__
    if len(after) <= span.axis or before[span.axis] != after[span.axis]:
        raise GeometryError(
            f"{op.name} ({name}) turns {before[span.axis]} frames into shape {after}, and tagkit does not know how; "
            "give the layer a method frame_geometry() that returns (kernel, stride, left padding)."
        )
    if name in ("BatchNormalization", "LayerNormalization"):
        axes = op.axis if isinstance(op.axis, (list, tuple)) else [op.axis]
        return replace(span, exact=span.exact and span.axis not in [axis % len(before) for axis in axes])
    is_plain_op = not hasattr(op, "weights") and before == after and name not in MIXING_OPS
    return replace(span, exact=span.exact and (name in ELEMENTWISE_LAYERS or is_plain_op))
