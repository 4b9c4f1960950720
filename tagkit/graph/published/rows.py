"""Architectures of published networks that no other row has, drawn exactly as the code of their papers."""

from tagkit.graph.specs import Conv, Dense, Gru, Head, Mel, Parallel, Pool, Residual, Row, Standardize

PONS = "Pons & Serra 2019, musicnn: Pre-trained convolutional neural networks for music audio tagging"
WON = "Won et al. 2020, Evaluation of CNN-based automatic music tagging models, SMC"
WON_MEL = Mel(htk=True, reflect=True, norm="image")
WIDTHS = (128,) * 3 + (256,) * 6 + (512,)  # of Won's SampleCNNs


def won(
    name: str,
    samples: int,
    stages: tuple,
    head: Head,
    source: str,
    mel: Mel | None = WON_MEL,
    windowing: tuple[str, ...] = ("split", "none"),
) -> Row:
    """A row of Won et al.'s, who leave initial weights to PyTorch: He's uniform is the nearest."""
    source = f"{WON}: {source}"
    return Row(name, samples, stages, head, source, mel, "relu", init="he_uniform", windowing=windowing)


def vgg(name: str, first: Conv, second: tuple[int, int], source: str) -> Row:
    """One of musicnn's vggs: they differ in how the first two stages pool."""
    stages = (
        first,
        *(Conv(128, (3, 3), pool=pool, dropout=0.25) for pool in (second, (2, 2), (2, 2))),
        Conv(128, (3, 3), pool=(4, 4)),
    )
    return Row(
        name,
        47_616,
        stages,
        Head(dropout=0.5),
        f"{PONS}: {source}",
        frontend=Mel(log="log10", norm="image"),
        activation="relu",
        norm_last=True,
        windowing=("split",),
    )


def images(widths: str, pools: str) -> tuple[Conv, ...]:
    """Convolutions of 3 x 3, from widths such as ``"64, 128"`` and pools (frames, bands) such as ``"4x2, 4x2"``."""
    sizes = [tuple(map(int, pool.split("x"))) for pool in pools.split(", ")]
    return tuple(Conv(int(width), (3, 3), pool=size) for width, size in zip(widths.split(", "), sizes, strict=True))


def across(taps: int) -> tuple[Pool, Conv]:
    """A branch that hears the mean of all bands, over `taps` frames."""
    return Pool("bands", "mean"), Conv(51, taps)


ROWS = (
    vgg(
        "musicnn_vgg",
        Conv(128, (3, 3), pool=(4, 1), pool_stride=(2, 2), dropout=0.25),
        (2, 2),
        "its vgg, norm behind the activation, first pooling of 4 x 1 in steps of 2 x 2",
    ),
    vgg(
        "musicnn_vgg_msd",
        Conv(128, (3, 3), pool=(4, 1), dropout=0.25),
        (1, 4),
        "its vgg as the graph saved with the Million Song Dataset's weights has it, pooling first in time, then in "
        "frequency; the package's Python code gives those weights musicnn_vgg's pooling",
    ),
    won(
        "won_fcn",
        464_000,
        images("64, 128, 128, 128, 64", "4x2, 4x2, 4x2, 5x3, 4x4"),
        Head(dropout=0.5),
        "FCN (after Choi et al. 2016), 29 s at a time",
        windowing=("split",),
    ),
    won(
        "won_crnn",
        464_000,
        (*images("64, 128, 128, 128", "2x2, 3x3, 4x4, 4x4"), Gru(32), Gru(32, last=True)),
        Head(dropout=0.5),
        "CRNN, 29 s at a time; beside crnn_mel: 12 kHz became 16 kHz, ReLU, norm of one image, two biases in the GRU",
    ),
    won(
        "won_musicnn",
        48_000,
        (
            Parallel(
                (
                    (Conv(204, (7, 67), padding="time", pool="bands"),),
                    (Conv(204, (7, 38), padding="time", pool="bands"),),
                    across(129),
                    across(65),
                    across(33),
                )
            ),
            Conv(64, 7),
            Conv(64, 7, skip=True),
            Conv(64, 7, skip=True),
        ),
        Head(pool=("max", "mean"), levels=4, dense=(Dense(200, norm=True, dropout=0.5),)),
        "MusiCNN; beside musicnn: norm before the activation, decibels, the mean of the bands in place of their maxima "
        "before the long kernels, no norm of the pooled vector",
    ),
    won(
        "won_samplecnn",
        59_049,
        (Conv(128, 3, stride=3, padding="half"), *(Conv(width, 3, pool=3) for width in WIDTHS[1:]), Conv(512, 1)),
        Head(dropout=0.5),
        "SampleCNN; beside samplecnn: a zero ahead of the first sample",
        mel=None,
    ),
    won(
        "won_samplecnn_se",
        59_049,
        (
            Residual(128, 3, stride=3, squeeze=1, shortcut=3, padding="half"),
            *(Residual(width, 3, pool=3, squeeze=1, shortcut=3) for width in WIDTHS[1:]),
            Residual(512, 1, squeeze=1),
        ),
        Head(dense=(Dense(512, norm=True, dropout=0.5),)),
        "SampleCNN with residual SE blocks; beside samplecnn_rese: a hidden layer as wide as the maps, shortcuts of "
        "three taps, a residual first and last stage, a dense layer of 512",
        mel=None,
    ),
    Row(
        "crepe_tiny",
        1024,
        (
            Conv(128, 512, stride=4, pool=2, dropout=0.25),
            *(Conv(width, 64, pool=2, dropout=0.25) for width in (16, 16, 16, 32, 64)),
        ),
        Head(),
        "Kim et al. 2018, CREPE: a convolutional representation for pitch estimation, ICASSP: its tiny network, from "
        "frames of 64 ms made alike in level to 360 pitches; ReLU before the norm",
        frontend=Standardize(),
        activation="relu",
        norm_last=True,
        windowing=("split",),
    ),
)
