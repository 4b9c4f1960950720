"""The vocabulary in which an architecture is written down: plain, frozen data that goes to JSON and back.

A `Row` is one architecture; its `stages` are tables such as ``Conv(64, kernel=4, pool=4)``. Nothing here imports
Keras: `tagkit.graph.build` turns a row into a network.
"""

import dataclasses
from dataclasses import dataclass

Size = int | tuple[int, int]
WINDOWINGS = ("split", "none", *(f"superpool_{method}" for method in (*"abcdef", "mean", "max", "attention")))


@dataclass(frozen=True)
class Conv:
    """Convolution, batch norm, activation, then pooling (order of the middle two: `Row.norm_last`).

    Attributes
    ----------
    width : int
        Output channels.
    kernel, stride, dilation, pool : int or (int, int)
        Along time, or (time, frequency) behind a spectrogram: there a pair makes the convolution two-dimensional.
        `pool` also takes ``"bands"``: pool over all that is left of the frequency axis and drop that axis.
    pooling : {"max", "mean", "stochastic"}
    pool_stride : int, (int, int) or None
        None: pooling without overlap.
    padding : {"same", "valid", "time", "half"} or None
        None takes the row's. ``"time"`` is 'same' along time and 'valid' along frequency; ``"half"`` puts kernel // 2
        zeros on both sides, as PyTorch's code does, which differs from 'same' where there is a stride.
    squeeze : int
        Squeeze-and-excitation after the pooling, with a hidden layer of `squeeze` x `width` units; 0 leaves it out.
    dropout : float
        After everything else.
    skip : bool
        Add the block's input to its output (equal widths).
    """

    width: int
    kernel: Size
    stride: Size = 1
    dilation: int = 1
    pool: Size | str = 1
    pooling: str = "max"
    pool_stride: Size | None = None
    padding: str | None = None
    squeeze: int = 0
    dropout: float = 0.0
    skip: bool = False


@dataclass(frozen=True)
class Pool:
    """Pooling alone, in a branch: `size` as `Conv.pool`, `kind` one of "max", "mean" and "stochastic"."""

    size: Size | str
    kind: str = "max"


@dataclass(frozen=True)
class Residual:
    """Two convolutions with a shortcut around them, in the order of Kim 2018's Res-2 block.

    That is conv, norm, activation, dropout, conv, norm, squeeze-and-excitation, add, activation, pool.

    The shortcut is the identity, or, where width or stride changes, a convolution of `shortcut` taps with batch norm.
    `stride` belongs to the first convolution and to the shortcut, `dilation` to both convolutions, `padding` (as in
    `Conv`) to all three.
    """

    width: int
    kernel: Size = 3
    stride: Size = 1
    dilation: int = 1
    pool: Size = 1
    pooling: str = "max"
    squeeze: int = 0
    dropout: float = 0.0
    shortcut: Size = 1
    padding: str | None = None


@dataclass(frozen=True)
class Parallel:
    """Branches side by side on one input, concatenated along channels; each branch is a tuple of tables."""

    branches: tuple[tuple, ...]


@dataclass(frozen=True)
class Chain:
    """Several tables in a row that count as one stage."""

    tables: tuple


@dataclass(frozen=True)
class Gru:
    """A gated recurrent layer over time; `last` returns its last state alone instead of all frames.

    `reset_after` chooses between the two published forms (True has a second bias and runs on cuDNN).
    """

    units: int
    bidirectional: bool = False
    last: bool = False
    dropout: float = 0.0
    reset_after: bool = True


@dataclass(frozen=True)
class Dense:
    """A fully connected layer. `activation` None takes the row's; ``"linear"`` leaves it out."""

    width: int
    activation: str | None = None
    norm: bool = False
    dropout: float = 0.0


@dataclass(frozen=True)
class Head:
    """From the last maps to the logits: pool, batch norm, dropout, dense layers, and the final dense layer.

    Attributes
    ----------
    pool : tuple of {"flatten", "max", "mean"}
        What becomes of the time (and frequency) axis; several are concatenated.
    levels : int
        Pool each of the last `levels` stages, and concatenate.
    norm, dropout : bool, float
        On the pooled vector.
    dense : tuple of Dense
        Before the final layer of one unit per tag, which every row has.
    embedding : bool
        The last dense layer is an embedding: super-pooling merges it, not the logits of windows.
    """

    pool: tuple[str, ...] = ("flatten",)
    levels: int = 1
    norm: bool = False
    dropout: float = 0.0
    dense: tuple[Dense, ...] = ()
    embedding: bool = False


@dataclass(frozen=True)
class Mel:
    """Log-mel spectrogram in the graph (see `tagkit.graph.layers.features.LogMel`).

    Attributes
    ----------
    n_fft, hop_length, n_mels : int
    fmin_hz, fmax_hz : float
    log : {"db", "log10"}
        10 log10(max(S, 1e-10)), or log10(1 + 10000 S).
    norm : {"bands", "image", "fixed"} or None
        Batch norm per band, per image (one scale and offset for all), or per band without learned parameters.
    htk : bool
        HTK's mel scale without normalisation by area, as torchaudio draws it, in place of Slaney's with it.
    reflect : bool
        Mirror the waveform at its ends instead of adding zeros.
    image : bool
        True: (frames, bands, 1) for two-dimensional convolutions; False: the bands are channels.
    """

    n_fft: int = 512
    hop_length: int = 256
    n_mels: int = 96
    fmin_hz: float = 0.0
    fmax_hz: float = 8000.0
    log: str = "db"
    norm: str | None = "bands"
    htk: bool = False
    reflect: bool = False
    image: bool = True


@dataclass(frozen=True)
class Filterbank:
    """The predecessor's log filterbank energies, (frames, 40, 1): `tagkit.graph.layers.features.LogFilterbank`."""


@dataclass(frozen=True)
class Bank:
    """A filter bank over the waveform, learned from a mel-like start (`tagkit.graph.layers.banks`), norm per band.

    Attributes
    ----------
    n_filters : int
        Pairs of kernels.
    kernel, stride : int
        Samples.
    pool : int
        Frames over which energy is averaged.
    start : {"mel", "noise"}
        What the filters are before training: Gabor's at mel centres, or white noise of the same energy.
    peak : float
        Of Gabor's filters. Adam moves every tap by about the learning rate a step, so the lower the peak, the farther
        training can take a filter from its start.
    trained : bool
        Whether the filters are trained.
    compression : {"log", "pcen", "pcen_fixed"}
        What energies become: their logarithm, or their ratio to the recent past (PCEN), trained or as it starts.
    """

    n_filters: int = 96
    kernel: int = 512
    stride: int = 128
    pool: int = 4
    start: str = "mel"
    peak: float = 64.0
    trained: bool = True
    compression: str = "log"


@dataclass(frozen=True)
class Own:
    """A front-end of one's own: a Keras layer from a file that is named when the network is built (`graph.layers.own`).

    Attributes
    ----------
    name : str
        The layer's class. It maps waveforms (batch, samples, 1) to (batch, frames, channels) or, as an image for
        two-dimensional convolutions, to (batch, frames, bands, channels).
    options : tuple of (str, value)
        Keyword arguments of the class.
    file, sha256 : str
        The file's name and hash, filled in when a row is read from its file.
    """

    name: str
    options: tuple[tuple[str, object], ...] = ()
    file: str = "a file that is not told"
    sha256: str = ""


@dataclass(frozen=True)
class Standardize:
    """The waveform itself, each window with mean 0 and variance 1: `tagkit.graph.layers.features.Standardize`."""


@dataclass(frozen=True)
class Row:
    """One architecture.

    Attributes
    ----------
    name : str
    samples : int
        Input length that the row is drawn for, samples at `sr`.
    stages : tuple of tables
        Conv, Pool, Residual, Parallel, Chain, Gru. They are named conv1, conv2, ... and gru1, gru2, ...
    head : Head
    source : str
        Where the architecture comes from, and what was decided where the source is silent.
    frontend : Mel, Filterbank, Bank, Standardize, Own or None
        None: the first convolution reads the waveform.
    activation : str
        A Keras activation, after every norm.
    padding : {"same", "valid"}
        Of convolutions; pooling is always 'valid'.
    bias, gamma : bool
        Do convolutions have a bias, does batch norm have a scale.
    norm_last : bool
        Activation before the norm instead of after it.
    init : str
        Initialiser of kernels, by its Keras name.
    windowing : tuple of str
        Which windowings the row is for: "split" (and super-pooling), "none".
    sr : int
        Hz.
    """

    name: str
    samples: int
    stages: tuple
    head: Head
    source: str
    frontend: Mel | Filterbank | Bank | Standardize | Own | None = None
    activation: str = "elu"
    padding: str = "same"
    bias: bool = True
    gamma: bool = True
    norm_last: bool = False
    init: str = "glorot_uniform"
    windowing: tuple[str, ...] = ("split", "none")
    sr: int = 16_000

    @property
    def reads_waveform(self) -> bool:
        """Whether the first filters are learned from the waveform: no spectrogram or own front-end is before them."""
        return not isinstance(self.frontend, Mel | Filterbank | Own)

    def to_dict(self) -> dict:
        """Return the row as JSON-ready data; `from_dict` is the inverse."""
        return _plain(self)

    @classmethod
    def from_dict(cls, data: dict) -> "Row":
        """Rebuild a row from `to_dict`'s data.

        Raises
        ------
        ValueError
            If the data names a table or a field that does not exist.
        """
        row = _table(data)
        if not isinstance(row, cls):
            raise ValueError(f"This is a {type(row).__name__} table, not a Row: give the whole of Row.to_dict().")
        return row


Table = Conv | Pool | Residual | Parallel | Chain | Gru  # what a stage may be
_TABLES = {
    cls.__name__: cls
    for cls in (Conv, Pool, Residual, Parallel, Chain, Gru, Dense, Head, Mel, Filterbank, Bank, Standardize, Own, Row)
}


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value):
        fields = {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"table": type(value).__name__, **fields}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return value


def _table(value: object) -> object:
    if isinstance(value, list | tuple):
        return tuple(_table(v) for v in value)
    if not isinstance(value, dict):
        return value
    fields = {k: _table(v) for k, v in value.items() if k != "table"}
    cls = _TABLES.get(value.get("table"))
    if cls is None:
        raise ValueError(f"Unknown table {value.get('table')!r} in a row: it must be one of {', '.join(_TABLES)}.")
    known = {f.name for f in dataclasses.fields(cls)}
    if unknown := sorted(set(fields) - known):
        raise ValueError(f"{cls.__name__} has no field {unknown[0]!r}: it has {', '.join(sorted(known))}.")
    return cls(**fields)
