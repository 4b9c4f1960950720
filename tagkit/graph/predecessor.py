"""The predecessor's architectures, row by row as `tagkit.graph.specs`.

Where its code is silent or contradicts itself, this is what was built: dm, dl and mul rows flatten, drop half and end
in one dense layer; mkc and ds rows have ELU between their dense layers and no batch norm there. ds256rb and ds256rc
were embeddings for super-pooling; here each also ends in a dense layer of tags, so that it can be trained on its own,
and super-pooling takes what stands before that layer. Every network returns logits.
"""

import dataclasses

from tagkit.graph.specs import Conv, Dense, Filterbank, Head, Parallel, Pool, Row, Table

WINDOW = 38_832  # samples: a twelfth of a clip, 2.427 s at 16 kHz
CLIP = 465_984  # samples: 29.124 s


def convs(text: str, kernel: int = 4, dilations: tuple[int, ...] = (), **options: object) -> tuple[Conv, ...]:
    """Read ``"64/4, 128/2"`` as tables: convolutions of these widths, each followed by max pooling of that size.

    `dilations` are those of the first convolutions; the others have none.
    """
    pairs = [tuple(map(int, part.split("/"))) for part in text.split(",")]
    dilations = (*dilations, *[1] * len(pairs))
    return tuple(
        Conv(width, kernel, pool=pool, dilation=dilation, **options)
        for (width, pool), dilation in zip(pairs, dilations, strict=False)
    )


def dm(name: str, stages: tuple[Table, ...], source: str, samples: int = WINDOW, **options: object) -> Row:
    """A row in the manner of dm, dl and mul: ELU, 'same', no bias, batch norm without scale, dropout .5, one dense."""
    return Row(name, samples, stages, Head(dropout=0.5), source, bias=False, gamma=False, **options)


def ds(
    name: str, stages: tuple[Table, ...], source: str, *dense: Dense, samples: int = WINDOW, **options: object
) -> Row:
    """A row in the manner of mkc and ds: ELU, 'valid', bias, batch norm with scale, dense layers after flattening."""
    return Row(name, samples, stages, Head(dense=dense), source, padding="valid", **options)


FIRST = Conv(64, 16, stride=16)
DM16 = "64/4, 128/4, 128/4, 256/2, 256/2, 512/2"
MUL16 = convs("128/4, 256/4, 256/4, 512/2")

KERNELS = (
    dm("dm8", (Conv(64, 8, stride=8), *convs("64/4, 128/4, 128/4, 256/4, 256/2, 512/2")), "predecessor, dm8"),
    dm("dm16", (FIRST, *convs(DM16)), "predecessor, dm16"),
    dm(
        "dm16_clip",
        (FIRST, *convs("64/8, 128/8, 128/4, 256/4, 256/4"), Conv(512, 4, stride=4)),
        "predecessor, dm16 on whole clips",
        samples=CLIP,
        windowing=("none",),
    ),
    dm(
        "dm64",
        (Conv(64, 64, stride=64), *convs("64/4, 128/2, 128/2, 256/2, 256/2"), Conv(512, 4, stride=4)),
        "predecessor, dm64",
    ),
    dm(
        "dm128",
        (Conv(64, 128, stride=128), *convs("64/2, 128/2, 128/2, 256/2, 256/2"), Conv(512, 4, stride=4)),
        "predecessor, dm128",
    ),
)

DILATIONS = (
    dm("dl16_16", (FIRST, *convs(DM16, dilations=(16, 8, 4, 2))), "predecessor, dm16 with dilations 16, 8, 4, 2"),
    dm("dl16_8", (FIRST, *convs(DM16, dilations=(8, 4, 2))), "predecessor, dm16 with dilations 8, 4, 2"),
    dm("dl16_4", (FIRST, *convs(DM16, dilations=(4, 2))), "predecessor, dm16 with dilations 4, 2"),
)


def short_and_long(width: int) -> Parallel:
    """mul16a's pair: kernel 4 with max pooling beside kernel 16 with mean pooling."""
    return Parallel(((Conv(width, 4, pool=4),), (Conv(width, 16, pool=4, pooling="mean"),)))


def short_and_dilated(width: int, *more: tuple[Table, ...]) -> Parallel:
    """mul16b's pair: kernel 4 with max pooling beside three dilated convolutions of 32 with mean pooling."""
    dilated = (
        Conv(32, 8, dilation=8),
        Conv(32, 8, dilation=4),
        Conv(32, 8, dilation=2, pool=4, pooling="mean"),
    )
    return Parallel(((Conv(width, 4, pool=4),), dilated, *more))


def twice_and_past(width: int) -> Parallel:
    """mul16f's pair: two convolutions with max pooling beside mean pooling of the input."""
    return Parallel(((Conv(width, 4), Conv(width, 4, pool=4)), (Pool(4, "mean"),)))


TWO_SCALES = Parallel(((Conv(32, 16, stride=16),), (Conv(64, 64, stride=16),)))

MULTIPLE_KERNELS = (
    dm("mul16a", (FIRST, short_and_long(32), short_and_long(64), *MUL16), "predecessor, mul16a"),
    dm(
        "mul16b",
        (Conv(32, 16, stride=16), short_and_dilated(32), short_and_dilated(64), *MUL16),
        "predecessor, mul16b",
    ),
    dm(
        "mul16c",
        (
            Conv(32, 16, stride=16),
            short_and_dilated(32, (Conv(32, 16, pool=4, pooling="mean"),)),
            short_and_dilated(64, (Conv(64, 16, pool=4, pooling="mean"),)),
            *MUL16,
        ),
        "predecessor, mul16c",
    ),
    dm("mul16d", (TWO_SCALES, short_and_long(32), short_and_long(64), *MUL16), "predecessor, mul16d"),
    dm("mul16ds", (TWO_SCALES, *convs("64/4, 128/4, 128/4, 256/4, 256/4, 512/2")), "predecessor, mul16ds"),
    dm(
        "mul16e",
        (FIRST, twice_and_past(32), twice_and_past(32), *MUL16),
        "predecessor, mul16e (its code is lost; after its results sheet)",
    ),
    dm(
        "mul16f",
        (FIRST, *(twice_and_past(width) for width in (32, 32, 32, 64, 64)), Conv(512, 4, pool=2)),
        "predecessor, mul16f",
    ),
)

DS256 = (Conv(128, 256, stride=256), Conv(32, 8, pool=4), Conv(32, 8, pool=4))


def ds256rb(name: str, activation: str) -> Row:
    """ds256ra's trunk with an embedding of 200 units."""
    embedding = (Dense(1000, dropout=0.5), Dense(200, activation=activation, dropout=0.5))
    row = ds(name, DS256, f"predecessor, ds256rb, embedding: {activation}", *embedding)
    return dataclasses.replace(row, head=dataclasses.replace(row.head, embedding=True))


EARLY = (
    ds(
        "mkc_r",
        (Conv(4, 16, stride=16), Conv(8, 8, stride=4, pool=2), Conv(12, 4, pool=2)),
        "predecessor, mkc_r",
        Dense(1000),
        Dense(300),
    ),
    ds(
        "mkc_f",
        (
            Conv(4, (16, 1), stride=(16, 1)),
            Conv(8, (8, 1), stride=(4, 1), pool=(2, 1)),
            Conv(12, (4, 1), pool=(2, 1)),
        ),
        "predecessor, mkc_f, on whole clips",
        Dense(3000),
        Dense(1000),
        samples=CLIP,
        frontend=Filterbank(),
        windowing=("none",),
    ),
    ds("ds256ra", DS256, "predecessor, ds256ra", Dense(1000)),
    ds(
        "ds256fa",
        (Conv(32, (8, 1), pool=(4, 1)), Conv(32, (8, 1), pool=(4, 1))),
        "predecessor, ds256fa",
        Dense(1000),
        frontend=Filterbank(),
    ),
    ds256rb("ds256rb", "sigmoid"),
    ds256rb("ds256rb_linear", "linear"),
    ds256rb("ds256rb_elu", "elu"),
    ds("ds256rc", (*DS256[:2], Conv(32, 8)), "predecessor, ds256rc: maps for super-pooling"),
)

ROWS = EARLY + KERNELS + DILATIONS + MULTIPLE_KERNELS
