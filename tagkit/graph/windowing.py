"""What a network is given of a clip: one window (`split`), the whole clip (`none`), or all windows (super-pooling).

Super-pooling is one network over all windows of a clip, its outputs merged by a trained head, or by a mean, a maximum
or attention. `none` and `split` are `zoo.build` at the clip's or the window's length.
"""

import dataclasses

import keras
from keras import KerasTensor, layers, ops

from tagkit.graph import build, zoo
from tagkit.graph.blocks import Blocks
from tagkit.graph.specs import WINDOWINGS, Conv, Dense, Row

WINDOWS = 12  # of 38,832 samples in a clip of 465,984


@dataclasses.dataclass(frozen=True)
class Windowing:
    """A windowing of clips, settled for one network.

    Attributes
    ----------
    name : str
        One of `tagkit.graph.specs.WINDOWINGS`.
    samples : int
        Length of a window, or of the whole clip.
    windows : int or None
        Windows that make an example; None: an example is one window.
    """

    name: str
    samples: int
    windows: int | None = None

    @property
    def method(self) -> str | None:
        """How windows are merged, as `superpool` calls it; None where a window is all there is."""
        return self.name.removeprefix(PREFIX) if self.name.startswith(PREFIX) else None

    def build(self, row: str | Row, n_tags: int = 50, seed: int = 0, synchronized: bool = False) -> keras.Model:
        """Build a row for this windowing: see `tagkit.graph.zoo.build` and `superpool`.

        Networks that merge windows by mean, max or attention take any number of them.
        """
        if self.method is None:
            return zoo.build(row, n_tags, self.samples, seed, synchronized)
        windows = self.windows if self.method in HEADS else None
        return superpool(row, self.method, n_tags, windows, self.samples, seed, synchronized)


def settle(row: str | Row, name: str | None, clip_samples: int) -> Windowing:
    """Settle how a row is given clips.

    Parameters
    ----------
    name
        One of `tagkit.graph.specs.WINDOWINGS`; None takes the first that the row is for.
    clip_samples
        Length of a usual clip.

    Returns
    -------
    Windowing
        Heads a to f see exactly 12 windows, the other ways of super-pooling as many as cover a usual clip.

    Raises
    ------
    ValueError
        There is no such windowing, or the row is not for it.
    """
    row = zoo.find(row)
    name = name or row.windowing[0]
    if name not in WINDOWINGS:
        raise ValueError(f"No windowing is called {name!r}: take one of {', '.join(WINDOWINGS)}.")
    if ("none" if name == "none" else "split") not in row.windowing:
        raise ValueError(f"{row.name} is not for windowing {name!r}: it takes {' or '.join(row.windowing)}.")
    if name == "none":
        return Windowing(name, clip_samples if "split" in row.windowing else row.samples)
    if name == "split":
        return Windowing(name, row.samples)
    covering = -(-clip_samples // row.samples)
    return Windowing(name, row.samples, WINDOWS if name.removeprefix(PREFIX) in HEADS else covering)


@keras.saving.register_keras_serializable(package="tagkit")
class FoldWindows(keras.layers.Layer):
    """(batch, windows, ...) to (batch * windows, ...): every window becomes an example of its own."""

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Shape without the axis of windows."""
        known = None not in input_shape[:2]
        return (input_shape[0] * input_shape[1] if known else None, *input_shape[2:])

    def call(self, x: KerasTensor) -> KerasTensor:
        """Fold `x`, (batch, windows, ...)."""
        return ops.reshape(x, (-1, *x.shape[2:]))


@keras.saving.register_keras_serializable(package="tagkit")
class UnfoldWindows(keras.layers.Layer):
    """The inverse of `FoldWindows`; a second input (batch, windows, ...) says how many windows there are."""

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Shape (batch, windows, ...)."""
        folded, clips = input_shape
        return (*clips[:2], *folded[1:])

    def call(self, inputs: list[KerasTensor]) -> KerasTensor:
        """Unfold `inputs[0]`, (batch * windows, ...)."""
        folded, clips = inputs
        windows = clips.shape[1] or ops.shape(clips)[1]
        return ops.reshape(folded, (-1, windows, *folded.shape[1:]))


@keras.saving.register_keras_serializable(package="tagkit")
class MeanProbability(keras.layers.Layer):
    """Logit of the mean, over windows, of the windows' probabilities; with scores, of their weighted mean.

    Inputs are logits (batch, windows, tags), or a list of logits and scores of the same shape, whose softmax over
    windows weighs each tag's windows. Computed from log-probabilities, so that it is exact at large logits.
    """

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Shape (batch, tags)."""
        shape = input_shape[0] if isinstance(input_shape[0], tuple | list) else input_shape
        return (shape[0], shape[2])

    def call(self, inputs: KerasTensor | list[KerasTensor]) -> KerasTensor:
        """Merge the windows."""
        logits, scores = inputs if isinstance(inputs, list | tuple) else (inputs, ops.zeros_like(inputs))
        log_weights = ops.log_softmax(scores, axis=1)
        yes = ops.logsumexp(log_weights + ops.log_sigmoid(logits), axis=1)
        no = ops.logsumexp(log_weights + ops.log_sigmoid(-logits), axis=1)
        return yes - no


def superpool(
    row: str | Row,
    method: str,
    n_tags: int = 50,
    windows: int | None = WINDOWS,
    samples: int | None = None,
    seed: int = 0,
    synchronized: bool = False,
) -> keras.Model:
    """Build one network for all windows of a clip, with shared weights, whose outputs are merged into one.

    Parameters
    ----------
    row
        What sees each window.
    method : {"a", "b", "c", "d", "e", "f", "mean", "max", "attention"}
        a: the windows' outputs side by side, dense 600, dense 600. b: the same with dropout .5.
        c: windows as channels, convolution 32 of 3 along the outputs, dense 1500, dropout .5.
        d: convolution 50 of 3 along the windows, dense 500, dropout .5.
        e: the windows' maps joined in time, convolution 50 of 3, dense 2500, dropout .5. f: 32, and dense 1500.
        mean: of probabilities. max: of logits. attention: mean of probabilities with learned weights for each tag.
        Outputs are logits, or the embedding of rows that have one (ds256rb). Heads end in a dense layer of tags.
    windows
        Windows in a clip; a to f have weights for exactly this number. None, with mean, max or attention: any number.
    samples
        Of a window; the row's own unless given.
    seed, synchronized
        As in `tagkit.graph.build.build_row`. The layers that see windows start with the weights of the row alone.

    Returns
    -------
    keras.Model
        From (batch, windows, samples, 1) to logits (batch, n_tags). Stages up to `window` see windows as examples.

    Raises
    ------
    ValueError
        For a method that does not exist or does not fit the row.
    """
    if method not in METHODS:
        raise ValueError(
            f"No super-pooling is called {method!r}: take one of {', '.join(METHODS)}, or zoo.build for none and split."
        )
    if windows is None and method in HEADS:
        raise ValueError(f"Super-pooling {method} has weights for each window: say how many windows a clip has.")
    row = zoo.find(row)
    blocks = Blocks(row, seed, synchronized)
    clips = keras.Input((windows, samples or row.samples, 1), name="waveform")
    levels = build.trunk(blocks, FoldWindows(name="waveform_fold")(clips))
    if method in ("e", "f"):
        logits = _merge(_joined_maps(levels[-1], clips, row), method, n_tags, blocks)
    else:
        features = build.embed(blocks, levels, last="window")
        logits = _merge_outputs(features, clips, method, n_tags, blocks)
    return keras.Model(clips, logits, name=f"{row.name}_{method}")


# Convolution and dense layers of each head; c and d differ in the axis that the convolution runs along.
HEADS = {
    "a": (None, (Dense(600), Dense(600))),
    "b": (None, (Dense(600, dropout=0.5), Dense(600, dropout=0.5))),
    "c": (Conv(32, 3), (Dense(1500, dropout=0.5),)),
    "d": (Conv(50, 3), (Dense(500, dropout=0.5),)),
    "e": (Conv(50, 3), (Dense(2500, dropout=0.5),)),
    "f": (Conv(32, 3), (Dense(1500, dropout=0.5),)),
}
_AGGREGATES = ("mean", "max", "attention")
METHODS = (*HEADS, *_AGGREGATES)
PREFIX = "superpool_"


def _merge_outputs(features: KerasTensor, clips: KerasTensor, method: str, n_tags: int, blocks: Blocks) -> KerasTensor:
    """Merge logits or embeddings (batch * windows, units) of all windows into logits (batch, n_tags)."""
    if method in HEADS and blocks.row.head.embedding:
        return _merge(UnfoldWindows(name="window_unfold")([features, clips]), method, n_tags, blocks)
    logits = blocks.dense(features, n_tags, "window", dtype="float32", seeded_as="logits")
    outputs = UnfoldWindows(name="window_unfold")([logits, clips])
    if method == "mean":
        return MeanProbability(dtype="float32", name="logits_mean")(outputs)
    if method == "max":
        return layers.GlobalMaxPooling1D(dtype="float32", name="logits_max")(outputs)
    if method == "attention":
        scores = layers.Dense(n_tags, kernel_initializer="zeros", dtype="float32", name="window_attend")(features)
        scores = UnfoldWindows(name="window_attend_unfold")([scores, clips])
        return MeanProbability(dtype="float32", name="logits_mean")([outputs, scores])
    return _merge(outputs, method, n_tags, blocks)


def _merge(x: KerasTensor, method: str, n_tags: int, blocks: Blocks) -> KerasTensor:
    """Apply head a to f to `x`: (batch, windows, units), or maps (batch, frames, channels)."""
    row = dataclasses.replace(
        blocks.row, activation="elu", padding="valid", bias=True, gamma=True, norm_last=False, init="glorot_uniform"
    )
    head = Blocks(row, blocks.seed_of("merge"), blocks.synchronized)
    conv, dense = HEADS[method]
    if conv:
        if method == "c":
            x = layers.Permute((2, 1), name="merge1_turn")(x)
        x = head(conv, x, "merge1")
    first = 2 if conv else 1
    x = layers.Flatten(name=f"merge{first}_flatten")(x)
    for i, table in enumerate(dense, start=first):
        x = head.dense_block(table, x, f"merge{i}")
    return head.dense(x, n_tags, "logits", dtype="float32")


def _joined_maps(maps: KerasTensor, clips: KerasTensor, row: Row) -> KerasTensor:
    """Maps (batch * windows, frames, channels) joined in time: (batch, windows * frames, channels)."""
    if len(maps.shape) != 3:
        raise ValueError(
            f"{row.name} ends in {maps.shape[1:]}, not in frames x channels: take another head than e or f."
        )
    maps = UnfoldWindows(name="merge1_unfold")([maps, clips])
    return layers.Reshape((-1, maps.shape[3]), name="merge1_join")(maps)
