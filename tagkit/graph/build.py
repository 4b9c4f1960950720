"""The one builder: a row of the zoo becomes a functional Keras model with named stages."""

import keras
from keras import KerasTensor, layers

from tagkit.graph import specs
from tagkit.graph.blocks import Blocks
from tagkit.system.code import CodeError

_POOLS = {
    ("max", 3): layers.GlobalMaxPooling1D,
    ("mean", 3): layers.GlobalAveragePooling1D,
    ("max", 4): layers.GlobalMaxPooling2D,
    ("mean", 4): layers.GlobalAveragePooling2D,
}


def build_row(
    row: specs.Row, n_tags: int = 50, samples: int | None = None, seed: int = 0, synchronized: bool = False
) -> keras.Model:
    """Build the network of one row.

    Parameters
    ----------
    samples
        Input length; the row's own unless given.
    seed
        The same seed gives the same weights, on any machine and any number of replicas; every layer has its own.
    synchronized
        Batch norm statistics over all replicas (for `tf.distribute`); changes nothing on a single one.

    Returns
    -------
    keras.Model
        From waveforms (batch, samples, 1), float32 in [-1, 1), to logits (batch, n_tags). Layers are named
        `{stage}_{op}`, so that `tagkit.graph.stages` finds every stage, also after saving and loading.

    Raises
    ------
    ValueError
        If the row's layers run out of frames at this input length.
    CodeError
        The file of its own front-end was not named.
    """
    blocks = Blocks(row, seed, synchronized)
    samples = samples or row.samples
    waveform = keras.Input((samples, 1), name="waveform")
    try:
        levels = trunk(blocks, waveform)
    except CodeError:
        raise
    except ValueError as error:
        raise ValueError(
            f"{row.name} cannot be built for {samples:,} samples (it is drawn for {row.samples:,}): {error}"
        ) from error
    features = embed(blocks, levels)
    logits = blocks.dense(features, n_tags, "logits", dtype="float32")
    network = keras.Model(waveform, logits, name=row.name)
    network.sr = row.sr
    return network


def trunk(blocks: Blocks, waveform: KerasTensor) -> list[KerasTensor]:
    """Apply frontend and stages; return the maps after each stage.

    Parameters
    ----------
    waveform
        (batch, samples, 1), float32 in [-1, 1).

    Returns
    -------
    list of tensor (batch, frames[, bands], channels)
        One for each stage; (batch, units) behind a last state of `specs.Gru`.

    Raises
    ------
    ValueError
        No frame is left after a stage.
    """
    x = blocks.frontend(waveform)
    levels, counts = [], {}
    for table in blocks.row.stages:
        kind = "gru" if isinstance(table, specs.Gru) else "conv"
        counts[kind] = counts.get(kind, 0) + 1
        x = blocks(table, x, f"{kind}{counts[kind]}")
        if 0 in x.shape[1:]:
            raise ValueError(f"no frame is left after {kind}{counts[kind]}")
        levels.append(x)
    return levels


def embed(blocks: Blocks, levels: list[KerasTensor], last: str = "logits") -> KerasTensor:
    """Pool the maps and apply the dense layers of the row's head: (batch, units), the input of the final layer.

    Pooling belongs to the stage that follows it: dense1 where there is one, else `last`.

    Parameters
    ----------
    levels
        The maps after each stage, as from `trunk`.
    last
        Name of the final layer's stage.
    """
    head = blocks.row.head
    names = [f"dense{i}" for i in range(1, len(head.dense) + 1)]
    first = (names or [last])[0]
    x = _pooled(head, levels, first)
    if head.norm:
        x = blocks.norm(x, f"{first}_pooled", scale=True)
    x = blocks.dropout(x, head.dropout, f"{first}_pooled" if names else first)
    for name, table in zip(names, head.dense, strict=True):
        x = blocks.dense_block(table, x, name)
    return x


def _pooled(head: specs.Head, levels: list[KerasTensor], name: str) -> KerasTensor:
    """Pool the last `head.levels` maps in each of the head's ways and join the vectors."""
    pooled = []
    for i, x in enumerate(levels[-head.levels :], start=1):
        for kind in head.pool:
            label = f"{name}_{kind}" if head.levels == 1 else f"{name}_{kind}{i}"
            if len(x.shape) == 2:
                pooled.append(x)
            elif kind == "flatten":
                pooled.append(layers.Flatten(name=label)(x))
            else:
                pooled.append(_POOLS[kind, len(x.shape)](name=label)(x))
    return pooled[0] if len(pooled) == 1 else layers.Concatenate(name=f"{name}_join")(pooled)
