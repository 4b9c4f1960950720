"""What every row must be, worked out from the tables of its source: parameters and the shape of every stage.

Trainable parameters at 50 tags are written as the arithmetic of one line, layer by layer: k taps, i channels in, o out.
"""


def conv(k, i, o):
    """Convolution with bias, batch norm with gamma and beta."""
    return k * i * o + 3 * o


def bare(k, i, o):
    """Convolution without bias, batch norm with beta alone (dm, dl, mul)."""
    return k * i * o + o


def dense(i, o):
    return i * o + o


def normed(i, o):
    """Dense layer with batch norm."""
    return i * o + 3 * o


def gru(i, u):
    """Three gates, one bias each (reset_after=False)."""
    return 3 * (i * u + u * u + u)


def gru2(i, u):
    """Three gates, two biases each (reset_after=True)."""
    return 3 * (i * u + u * u + 2 * u)


def se(c):
    return dense(c, 16 * c) + dense(16 * c, c)


def res(k, i, o):
    return conv(k, i, o) + conv(k, o, o) + (conv(1, i, o) if i != o else 0)


def bare_res(i, o):
    return bare(3, i, o) + bare(3, o, o) + (bare(1, i, o) if i != o else 0)


def won_res(i, o):
    """3x3 twice and a 3x3 shortcut, each block halving the map."""
    return conv(9, i, o) + conv(9, o, o) + conv(9, i, o)


def won_se(k, i, o):
    """Two convolutions, two dense layers as wide as the maps, and a convolution beside them where the width changes."""
    return conv(k, i, o) + conv(k, o, o) + 2 * dense(o, o) + (conv(k, i, o) if i != o else 0)


# After the first convolution of 64 channels: kernels 4, widths 64, 128, 128, 256, 256, 512, then dropout and tags.
UP_TO_512 = bare(4, 64, 64) + bare(4, 64, 128) + bare(4, 128, 128) + bare(4, 128, 256) + bare(4, 256, 256)
UP_TO_512 += bare(4, 256, 512)
# mul16's end: 128, 256, 256, 512 behind maps of `i` channels, one frame left.
MUL_END = bare(4, 128, 256) + bare(4, 256, 256) + bare(4, 256, 512) + dense(512, 50)
MKC = conv(16, 1, 4) + conv(8, 4, 8) + conv(4, 8, 12)
DS = conv(256, 1, 128) + conv(8, 128, 32) + conv(8, 32, 32)
RES_UP = bare_res(64, 64) + bare_res(64, 128) + bare_res(128, 128) + bare_res(128, 256) + bare_res(256, 256)
RES_UP += bare_res(256, 512)
LEE = [(128, 128)] * 2 + [(128, 256)] + [(256, 256)] * 5 + [(256, 512)]
LEE_OUT = [o for _, o in LEE]


def lee(m, widths):
    """SampleCNN m^n: first convolution, blocks of these widths, one convolution of one tap, tags."""
    pairs = zip([128, *widths], widths, strict=False)
    return conv(m, 1, 128) + sum(conv(m, i, o) for i, o in pairs) + conv(1, 512, 512) + dense(512, 50)


LEE_END = conv(1, 512, 512) + dense(512, 50)
MULTI_END = normed(256 + 256 + 512, 1024) + dense(1024, 50)
SE = sum(map(se, LEE_OUT))
RES = conv(3, 1, 128) + sum(res(3, i, o) for i, o in LEE)
BASIC = conv(3, 1, 128) + sum(conv(3, i, o) for i, o in LEE)

PARAMETERS = {
    # 149 frames of 12 after the last pool
    "mkc_r": MKC + dense(149 * 12, 1000) + dense(1000, 300) + dense(300, 50),
    # 9 frames of 40 bands of 12
    "mkc_f": MKC + dense(9 * 40 * 12, 3000) + dense(3000, 1000) + dense(1000, 50),
    "ds256ra": 349_354,  # 128 x 259 + 32 x 1027 + 32 x 259 + 225 x 1000 + 1001 x 50
    # 12 frames of 40 bands of 32
    "ds256fa": conv(8, 1, 32) + conv(8, 32, 32) + dense(15_360, 1000) + dense(1000, 50),
    "ds256rb": DS + dense(7 * 32, 1000) + dense(1000, 200) + dense(200, 50),
    "ds256rb_linear": DS + dense(7 * 32, 1000) + dense(1000, 200) + dense(200, 50),
    "ds256rb_elu": DS + dense(7 * 32, 1000) + dense(1000, 200) + dense(200, 50),
    "ds256rc": DS + dense(29 * 32, 50),
    "dm8": bare(8, 1, 64) + UP_TO_512 + dense(4 * 512, 50),
    # 1,088 + 16,448 + 32,896 + 65,664 + 131,328 + 262,400 + 524,800 + 102,450
    "dm16": 1_137_074,
    "dm16_relu": 1_137_074,
    "dm16_stochastic": 1_137_074,
    "dm16_clip": bare(16, 1, 64) + UP_TO_512 + dense(2 * 512, 50),
    "dm64": bare(64, 1, 64) + UP_TO_512 + dense(3 * 512, 50),
    "dm128": bare(128, 1, 64) + UP_TO_512 + dense(3 * 512, 50),
    "dl16_16": 1_137_074,
    "dl16_8": 1_137_074,
    "dl16_4": 1_137_074,
    "mul16a": bare(16, 1, 64)
    + bare(4, 64, 32) + bare(16, 64, 32)
    + bare(4, 64, 64) + bare(16, 64, 64)
    + bare(4, 128, 128) + MUL_END,
    "mul16b": bare(16, 1, 32)
    + bare(4, 32, 32) + bare(8, 32, 32) + 2 * bare(8, 32, 32)
    + bare(4, 64, 64) + bare(8, 64, 32) + 2 * bare(8, 32, 32)
    + bare(4, 96, 128) + MUL_END,
    "mul16c": bare(16, 1, 32)
    + bare(4, 32, 32) + bare(8, 32, 32) + 2 * bare(8, 32, 32) + bare(16, 32, 32)
    + bare(4, 96, 64) + bare(8, 96, 32) + 2 * bare(8, 32, 32) + bare(16, 96, 64)
    + bare(4, 160, 128) + MUL_END,
    "mul16d": bare(16, 1, 32) + bare(64, 1, 64)
    + bare(4, 96, 32) + bare(16, 96, 32)
    + bare(4, 64, 64) + bare(16, 64, 64)
    + bare(4, 128, 128) + MUL_END,
    "mul16ds": bare(16, 1, 32) + bare(64, 1, 64)
    + bare(4, 96, 64) + bare(4, 64, 128) + bare(4, 128, 128) + MUL_END,
    "mul16e": bare(16, 1, 64)
    + bare(4, 64, 32) + bare(4, 32, 32)  # 32 + 64 channels leave
    + bare(4, 96, 32) + bare(4, 32, 32)  # 32 + 96
    + bare(4, 128, 128) + MUL_END,
    "mul16f": bare(16, 1, 64)
    + bare(4, 64, 32) + bare(4, 96, 32) + bare(4, 128, 32) + 3 * bare(4, 32, 32)
    + bare(4, 160, 64) + bare(4, 224, 64) + 2 * bare(4, 64, 64)
    + bare(4, 288, 512) + dense(512, 50),
    "samplecnn": 1_869_874,  # published
    "samplecnn_stochastic": 1_869_874,
    "samplecnn_se": 1_869_874 + SE,
    "samplecnn_res": RES + LEE_END,
    "samplecnn_rese": RES + SE + LEE_END,
    "samplecnn_multi": BASIC + MULTI_END,
    "samplecnn_se_multi": BASIC + SE + MULTI_END,
    "samplecnn_res_multi": RES + MULTI_END,
    "samplecnn_rese_multi": RES + SE + MULTI_END,
    "samplecnn_2_13": lee(2, [128] * 3 + [256] * 9 + [512]),
    "samplecnn_2_14": lee(2, [128] * 3 + [256] * 9 + [512] * 2),
    "samplecnn_3_8": lee(3, [128] * 2 + [256] * 5 + [512]),
    "samplecnn_4_6": lee(4, [128] + [256] * 4 + [512]),
    "samplecnn_4_7": lee(4, [128] * 2 + [256] * 4 + [512]),
    "samplecnn_5_5": lee(5, [128] + [256] * 3 + [512]),
    "samplecnn_5_6": lee(5, [128] + [256] * 4 + [512]),
    "crnn": conv(3, 1, 128) + 2 * conv(3, 128, 128) + conv(3, 128, 256) + 3 * conv(3, 256, 256)
    + gru2(256, 128) + gru2(128, 128) + dense(128, 50),
    "crnn_bi": conv(3, 1, 128) + 2 * conv(3, 128, 128) + conv(3, 128, 256) + 3 * conv(3, 256, 256)
    + 2 * gru2(256, 128) + 2 * gru2(256, 128) + dense(256, 50),
    "crnn_dm16": bare(16, 1, 64) + bare(4, 64, 64) + bare(4, 64, 128) + bare(4, 128, 128)
    + gru2(128, 128) + gru2(128, 128) + dense(128, 50),
    "crnn_mel": 393_906,  # 832 + 74,240 + 2 x 147,968 + 15,456 + 6,240 + 1,650 - published as 396,786 - 2 x 1440
    # norm of 96 bands, five convolutions, the maximum and the mean of 128
    "logmel": 192 + conv(9, 1, 16) + conv(9, 16, 32) + conv(9, 32, 64) + conv(9, 64, 128) + conv(9, 128, 128)
    + dense(256, 50),
    # 96 pairs of kernels without bias in place of the spectrogram
    "tdfbank": 512 * 192 + 192 + conv(9, 1, 16) + conv(9, 16, 32) + conv(9, 32, 64) + conv(9, 64, 128)
    + conv(9, 128, 128) + dense(256, 50),
    # norm of one image; 204 + 204 + 3 x 51 = 561 channels; 561 + 3 x 64 pooled twice = 1506, with a norm; published
    # as 787,000
    "musicnn": 2 + conv(7 * 38, 1, 204) + conv(7 * 67, 1, 204) + conv(128, 1, 51) + conv(64, 1, 51) + conv(32, 1, 51)
    + conv(7, 561, 64) + 2 * conv(7, 64, 64) + 2 * 1506 + normed(1506, 200) + dense(200, 50),
    "shortchunk": 2 + conv(9, 1, 128) + conv(9, 128, 128) + conv(9, 128, 256) + 3 * conv(9, 256, 256)
    + conv(9, 256, 512) + normed(512, 512) + dense(512, 50),
    "shortchunk_res": 2 + won_res(1, 128) + won_res(128, 128) + won_res(128, 256) + 3 * won_res(256, 256)
    + won_res(256, 512) + normed(512, 512) + dense(512, 50),
    "res13": bare(16, 1, 64) + RES_UP + dense(4 * 512, 50),
    "res25": bare(16, 1, 64) + RES_UP + dense(4 * 512, 50)
    + bare_res(64, 64) + 2 * bare_res(128, 128) + 2 * bare_res(256, 256) + bare_res(512, 512)
    # the second block of a stage keeps its width; the first changes it, as in res13
    ,
    "multiscale": bare(16, 1, 32) + bare(64, 1, 32) + bare(256, 1, 32) + bare(4, 96, 64) - bare(4, 64, 64)
    + UP_TO_512 + dense(4 * 512, 50),
    "multiscale_res": bare(16, 1, 32) + bare(64, 1, 32) + bare(256, 1, 32) + bare_res(96, 64) - bare_res(64, 64)
    + RES_UP + dense(4 * 512, 50),
    "dilated_res": bare(16, 1, 64) + bare(4, 64, 64) + 4 * bare_res(64, 64) + bare_res(64, 128)
    + 3 * bare_res(128, 128) + bare(4, 128, 256) + bare(4, 256, 512) + dense(4 * 512, 50),
    "ds256ra_stochastic": 349_354,
    # what others have published, as their files hold it
    "musicnn_vgg": 2 + conv(9, 1, 128) + 4 * conv(9, 128, 128) + dense(256, 50),
    "musicnn_vgg_msd": 2 + conv(9, 1, 128) + 4 * conv(9, 128, 128) + dense(256, 50),
    "won_fcn": 2 + conv(9, 1, 64) + conv(9, 64, 128) + 2 * conv(9, 128, 128) + conv(9, 128, 64) + dense(64, 50),
    "won_crnn": 2 + conv(9, 1, 64) + conv(9, 64, 128) + 2 * conv(9, 128, 128)
    + gru2(128, 32) + gru2(32, 32) + dense(32, 50),
    "won_musicnn": 2 + conv(7 * 67, 1, 204) + conv(7 * 38, 1, 204) + conv(129, 1, 51) + conv(65, 1, 51)
    + conv(33, 1, 51) + conv(7, 561, 64) + 2 * conv(7, 64, 64) + normed(1506, 200) + dense(200, 50),
    "won_samplecnn": 1_869_874,
    "won_samplecnn_se": won_se(3, 1, 128) + sum(won_se(3, i, o) for i, o in LEE) + won_se(1, 512, 512)
    + normed(512, 512) + dense(512, 50),
    "crepe_tiny": conv(512, 1, 128) + conv(64, 128, 16) + 2 * conv(64, 16, 16) + conv(64, 16, 32) + conv(64, 32, 64)
    + dense(256, 50),
}  # fmt: skip

DM16_FRAMES = [2427, 606, 151, 37, 18, 9, 4]
MUL_FRAMES = [2427, 606, 151, 37, 9, 2, 1]
SAMPLECNN_FRAMES = [19_683, 6561, 2187, 729, 243, 81, 27, 9, 3, 1]


def powers(m, n):
    """Frames after the first convolution and the n blocks of SampleCNN m^n, and after its last convolution."""
    return [m**i for i in range(n, -1, -1)] + [1]


# Frames after each stage that has time: the frontend, convolutions, recurrent layers that return all frames.
FRAMES = {
    "mkc_r": [2427, 302, 149],  # (2427 - 8) // 4 + 1 = 605, pooled 302; 299, pooled 149
    "mkc_f": [2911, 181, 22, 9],
    "ds256ra": [151, 36, 7],
    "ds256fa": [242, 58, 12],
    "ds256rb": [151, 36, 7],
    "ds256rb_linear": [151, 36, 7],
    "ds256rb_elu": [151, 36, 7],
    "ds256rc": [151, 36, 29],
    "ds256ra_stochastic": [151, 36, 7],
    "dm8": [4854, 1213, 303, 75, 18, 9, 4],
    "dm16_clip": [29_124, 3640, 455, 113, 28, 7, 2],
    "dm64": [607, 151, 75, 37, 18, 9, 3],
    "dm128": [304, 152, 76, 38, 19, 9, 3],
    "crnn": [19_683, 6561, 2187, 729, 243, 81, 27, 27],
    "crnn_bi": [19_683, 6561, 2187, 729, 243, 81, 27, 27],
    "crnn_dm16": [2427, 606, 151, 37, 37],
    "crnn_mel": [1367, 683, 227, 56, 14, 14],
    "logmel": [76, 38, 19, 9, 4, 2],
    "tdfbank": [76, 38, 19, 9, 4, 2],  # 304 of the convolution, four to a frame
    "musicnn": [187] * 5,
    "shortchunk": [231, 115, 57, 28, 14, 7, 3, 1],
    "shortchunk_res": [231, 116, 58, 29, 15, 8, 4, 2],
    "dilated_res": [2427, 606, 151, 37, 9, 4],
    "samplecnn_2_13": powers(2, 13),
    "samplecnn_2_14": powers(2, 14),
    "samplecnn_3_8": powers(3, 8),
    "samplecnn_4_6": powers(4, 6),
    "samplecnn_4_7": powers(4, 7),
    "samplecnn_5_5": powers(5, 5),
    "samplecnn_5_6": powers(5, 6),
    "musicnn_vgg": [187, 92, 46, 23, 11, 2],  # (187 - 4) // 2 + 1
    "musicnn_vgg_msd": [187, 46, 46, 23, 11, 2],
    "won_fcn": [1813, 453, 113, 28, 5, 1],
    "won_crnn": [1813, 906, 302, 75, 18, 18],
    "won_musicnn": [188] * 5,
    "won_samplecnn": [*SAMPLECNN_FRAMES, 1],
    "won_samplecnn_se": [*SAMPLECNN_FRAMES, 1],
    "crepe_tiny": [128, 64, 32, 16, 8, 4],
}
FRAMES |= {
    name: DM16_FRAMES
    for name in ("dm16", "dm16_relu", "dm16_stochastic", "dl16_16", "dl16_8", "dl16_4", "res13", "res25", "multiscale")
}
FRAMES["multiscale_res"] = DM16_FRAMES
FRAMES |= {f"mul16{letter}": MUL_FRAMES for letter in ("a", "b", "c", "d", "ds", "e", "f")}
FRAMES |= {f"samplecnn{block}": [*SAMPLECNN_FRAMES, 1] for block in ("", "_stochastic", "_se", "_res", "_rese")} | {
    f"samplecnn{block}_multi": SAMPLECNN_FRAMES for block in ("", "_se", "_res", "_rese")
}
