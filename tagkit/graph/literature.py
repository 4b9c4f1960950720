"""Architectures from the literature and this project's own, row by row as `tagkit.graph.specs`.

What the papers leave open was built as follows. Squeeze-and-excitation stands behind the pooling of a basic block
and before the sum of a residual one, as in Kim's code; samplecnn_se, _res and _rese keep SampleCNN's own head (a
convolution of one tap, dropout .5), and the _multi rows have Kim's multi-level head in its place. SampleCNN m^n has
kernel, stride and pooling m throughout. crnn_mel reads its 1366 frames from 16 kHz (672-sample frames every 341:
1367 of them, of which the first pool drops the odd one) and has reset_after=False, hence 393,906 parameters.
musicnn reads 187 frames, 47,616 samples. All have the batch norm of `tagkit.graph.blocks`: epsilon 1e-5, momentum
.9.
"""

import dataclasses

from tagkit.graph.predecessor import DM16, FIRST, WINDOW, convs, dm
from tagkit.graph.specs import Bank, Chain, Conv, Dense, Gru, Head, Mel, Parallel, Residual, Row, Table

LEE = "Lee et al. 2017, Sample-level deep convolutional neural networks, SMC"
KIM = "Kim, Lee & Nam 2018, Sample-level CNN architectures for music auto-tagging, ICASSP"

# Widths of the n blocks of SampleCNN m^n: 128, 256 and 512 in 3^9's proportions 2 : 6 : 1.
SAMPLECNN_WIDTHS = {
    5: (128,) + (256,) * 3 + (512,),
    6: (128,) + (256,) * 4 + (512,),
    7: (128,) * 2 + (256,) * 4 + (512,),
    8: (128,) * 2 + (256,) * 5 + (512,),
    9: (128,) * 2 + (256,) * 6 + (512,),
    13: (128,) * 3 + (256,) * 9 + (512,),
    14: (128,) * 3 + (256,) * 9 + (512,) * 2,
}
MULTI_LEVEL = Head(pool=("max",), levels=3, dense=(Dense(1024, norm=True, dropout=0.5),))


def samplecnn(
    name: str, m: int = 3, n: int = 9, block: str = "basic", multi_level: bool = False, source: str = LEE
) -> Row:
    """SampleCNN m^n: a first convolution of stride m, n blocks that pool by m, a convolution of one tap.

    `block` is "basic", "se", "res" or "rese". The multi-level head takes the place of the last convolution and pools
    the last three blocks. m^(n + 1) samples.
    """
    width = SAMPLECNN_WIDTHS[n]
    squeeze = 16 if block in ("se", "rese") else 0
    if block in ("res", "rese"):
        blocks = tuple(Residual(w, m, pool=m, squeeze=squeeze, dropout=0.2) for w in width)
    else:
        blocks = tuple(Conv(w, m, pool=m, squeeze=squeeze) for w in width)
    last = () if multi_level else (Conv(512, 1),)
    return Row(
        name,
        m ** (n + 1),
        (Conv(128, m, stride=m), *blocks, *last),
        MULTI_LEVEL if multi_level else Head(dropout=0.5),
        source,
        activation="relu",
        init="he_uniform",
    )


SAMPLECNN = (
    samplecnn("samplecnn"),
    samplecnn("samplecnn_se", block="se", source=KIM),
    samplecnn("samplecnn_res", block="res", source=KIM),
    samplecnn("samplecnn_rese", block="rese", source=KIM),
    samplecnn("samplecnn_multi", multi_level=True, source=KIM),
    samplecnn("samplecnn_se_multi", block="se", multi_level=True, source=KIM),
    samplecnn("samplecnn_res_multi", block="res", multi_level=True, source=KIM),
    samplecnn("samplecnn_rese_multi", block="rese", multi_level=True, source=KIM),
    samplecnn("samplecnn_2_13", m=2, n=13),
    samplecnn("samplecnn_2_14", m=2, n=14),
    samplecnn("samplecnn_3_8", m=3, n=8),
    samplecnn("samplecnn_4_6", m=4, n=6),
    samplecnn("samplecnn_4_7", m=4, n=7),
    samplecnn("samplecnn_5_5", m=5, n=5),
    samplecnn("samplecnn_5_6", m=5, n=6),
)


def crnn(name: str, source: str, bidirectional: bool = False) -> Row:
    """A SampleCNN trunk down to 27 frames of 137 ms, then two recurrent layers; the last state is what is tagged."""
    blocks = tuple(Conv(width, 3, pool=3) for width in (128, 128, 256, 256, 256, 256))
    recurrent = (Gru(128, bidirectional), Gru(128, bidirectional, last=True))
    return Row(
        name,
        59_049,
        (Conv(128, 3, stride=3), *blocks, *recurrent),
        Head(dropout=0.5),
        source,
        activation="relu",
        init="he_uniform",
    )


RECURRENT = (
    crnn("crnn", "this project: SampleCNN's trunk, two GRU layers of 128"),
    crnn("crnn_bi", "this project: SampleCNN's trunk, two bidirectional GRU layers of 128", bidirectional=True),
    dm(
        "crnn_dm16",
        (FIRST, *convs("64/4, 128/4, 128/4"), Gru(128), Gru(128, last=True)),
        "this project: dm16's trunk down to 37 frames of 64 ms, two GRU layers of 128",
    ),
    Row(
        "crnn_mel",
        465_984,
        (
            Conv(64, (3, 3), pool=(2, 2), dropout=0.1),
            Conv(128, (3, 3), pool=(3, 3), dropout=0.1),
            Conv(128, (3, 3), pool=(4, 4), dropout=0.1),
            Conv(128, (3, 3), pool=(4, 4), dropout=0.1),
            Gru(32, reset_after=False),
            Gru(32, last=True, dropout=0.3, reset_after=False),
        ),
        Head(),
        "Choi et al. 2017, Convolutional recurrent neural networks for music classification, ICASSP; at 16 kHz with 96 "
        "bands up to 6 kHz, no zero-padding to 1440 frames, input norm without parameters",
        frontend=Mel(n_fft=672, hop_length=341, n_mels=96, fmax_hz=6000.0, norm="fixed"),
        windowing=("none",),
    ),
)

SPECTROGRAM = (
    Row(
        "logmel",
        WINDOW,
        tuple(Conv(width, (3, 3), pool=(2, 2)) for width in (16, 32, 64, 128, 128)),
        Head(pool=("max", "mean"), dropout=0.5),
        "this project: the log-mel reference at dm16's window, 64 ms frames every 32 ms, a third of dm16's cost",
        frontend=Mel(n_fft=1024, hop_length=512, n_mels=96),
    ),
    Row(
        "musicnn",
        47_616,
        (
            Parallel(
                (
                    (Conv(204, (7, 38), padding="time", pool="bands"),),
                    (Conv(204, (7, 67), padding="time", pool="bands"),),
                    (Conv(51, (128, 1), pool="bands"),),
                    (Conv(51, (64, 1), pool="bands"),),
                    (Conv(51, (32, 1), pool="bands"),),
                )
            ),
            Conv(64, 7),
            Conv(64, 7, skip=True),
            Conv(64, 7, skip=True),
        ),
        Head(pool=("max", "mean"), levels=4, norm=True, dropout=0.5, dense=(Dense(200, norm=True, dropout=0.5),)),
        "Pons & Serra 2019, musicnn; activation before norm and both mid-end sums as in its code",
        frontend=Mel(n_mels=96, log="log10", norm="image"),
        activation="relu",
        norm_last=True,
        init="he_normal",
    ),
    Row(
        "shortchunk",
        59_049,
        tuple(Conv(width, (3, 3), pool=(2, 2)) for width in (128, 128, 256, 256, 256, 256, 512)),
        Head(pool=("max",), dense=(Dense(512, norm=True, dropout=0.5),)),
        "Won et al. 2020, Evaluation of CNN-based automatic music tagging models, SMC",
        frontend=Mel(n_mels=128, norm="image"),
        activation="relu",
    ),
    Row(
        "shortchunk_res",
        59_049,
        tuple(Residual(width, (3, 3), stride=(2, 2), shortcut=(3, 3)) for width in (128, 128, 256, 256, 256, 256, 512)),
        Head(pool=("max",), dense=(Dense(512, norm=True, dropout=0.5),)),
        "Won et al. 2020 with residual blocks of stride 2, 3x3 shortcuts as in its code",
        frontend=Mel(n_mels=128, norm="image"),
        activation="relu",
    ),
)


def residuals(text: str, repeat: int = 1) -> tuple[Residual, ...]:
    """Read ``"64/4, 128/2"`` as residual stages: `repeat` blocks of kernel 3, the last one with max pooling."""
    stages = []
    for part in text.split(","):
        width, pool = map(int, part.split("/"))
        blocks = (*(Residual(width) for _ in range(repeat - 1)), Residual(width, pool=pool))
        stages.append(Chain(blocks) if repeat > 1 else blocks[0])
    return tuple(stages)


def dilated(width: int, pool: int) -> Conv:
    """Four residual blocks with dilations 1, 2, 4, 8 (as a WaveNet's stack), then max pooling."""
    return Chain((*(Residual(width, dilation=d) for d in (1, 2, 4)), Residual(width, dilation=8, pool=pool)))


# logmel's trunk behind filters that are trained, where logmel's are drawn up.
LEARNED_BANK = (
    dataclasses.replace(
        SPECTROGRAM[0],
        name="tdfbank",
        frontend=Bank(),
        source="after Zeghidour et al. 2018, Learning filterbanks from raw speech, ICASSP: 96 pairs of 32 ms filters "
        "that start as Gabor's at mel centres, log energy over 32 ms, logmel's trunk",
    ),
)

THREE_SCALES = Parallel(tuple((Conv(32, kernel, stride=16),) for kernel in (16, 64, 256)))

TRUNKS = (
    dm("res13", (FIRST, *residuals(DM16)), "this project: dm16 with a residual block per stage, 13 convolutions deep"),
    dm(
        "res25",
        (FIRST, *residuals(DM16, repeat=2)),
        "this project: dm16 with two residual blocks per stage, 25 convolutions deep",
    ),
    dm("multiscale", (THREE_SCALES, *convs(DM16)), "this project: dm16 behind kernels of 16, 64 and 256 side by side"),
    dm("multiscale_res", (THREE_SCALES, *residuals(DM16)), "this project: res13 behind kernels of 16, 64 and 256"),
    dm(
        "dilated_res",
        (FIRST, *convs("64/4"), dilated(64, 4), dilated(128, 4), *convs("256/4, 512/2")),
        "this project: two residual stacks of dilations 1, 2, 4, 8, after van den Oord et al. 2016, WaveNet",
    ),
)


def with_pooling(row: Row, kind: str, name: str, source: str) -> Row:
    """Another row with every max pooling replaced by `kind`; stochastic pooling also turns the activation to ReLU."""
    activation = "relu" if kind == "stochastic" else row.activation
    return dataclasses.replace(_repooled(row, kind), name=name, source=source, activation=activation)


def _repooled(table: Table, kind: str) -> Table:
    if isinstance(table, tuple):
        return tuple(_repooled(part, kind) for part in table)
    if not dataclasses.is_dataclass(table) or isinstance(table, Head):
        return table
    changes = {f.name: _repooled(getattr(table, f.name), kind) for f in dataclasses.fields(table)}
    for field in ("pooling", "kind"):
        if changes.get(field) == "max":
            changes[field] = kind
    return type(table)(**changes)


ZEILER = "with stochastic pooling and ReLU (Zeiler & Fergus 2013, ICLR)"
ROWS = SAMPLECNN + RECURRENT + SPECTROGRAM + LEARNED_BANK + TRUNKS
