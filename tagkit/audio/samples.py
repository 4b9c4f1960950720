"""What is done to samples between a file, or an array, and a network."""

import numpy as np

# An offset that nobody hears moves the scores of a network that reads the waveform: see docs/datasets.md.
MOST_OFFSET = 1e-3
BLOCK_SAMPLES = 1 << 20
SILENCE_DBFS = -80.0
# Channels whose mix is this much below the loudest of them cancel each other.
CANCELLED_DB = -20.0
FRONT, CENTRE, REAR, BACK, BASS = 0.5, 0.5**0.5, 0.5 * 0.5**0.5, 0.5, 0.0
# The mean of the two channels that ITU-R BS.775 mixes surround sound to; channels are in the order of WAV and FLAC.
DOWNMIX = {
    3: (FRONT, FRONT, CENTRE),
    4: (FRONT, FRONT, REAR, REAR),
    5: (FRONT, FRONT, CENTRE, REAR, REAR),
    6: (FRONT, FRONT, CENTRE, BASS, REAR, REAR),
    7: (FRONT, FRONT, CENTRE, BASS, BACK, REAR, REAR),
    8: (FRONT, FRONT, CENTRE, BASS, REAR, REAR, REAR, REAR),
}


def dbfs(power: float) -> float:
    """Mean square of samples in [-1, 1) as a level: 0 for a square wave at full scale, -120 for nothing at all."""
    return 10 * float(np.log10(max(power, 1e-12)))


def level_db(y: np.ndarray) -> float:
    """Root mean square level in dBFS: 0 for a square wave at full scale, -3 for a sine, -120 for digital silence.

    Parameters
    ----------
    y : array (samples,) of int16
    """
    cuts = range(0, len(y), BLOCK_SAMPLES)  # a long file lies on disk
    power = sum(float(np.square(y[k : k + BLOCK_SAMPLES], dtype=np.float64).sum()) for k in cuts)
    return dbfs(power / len(y) / 32_768**2)


def is_silent(y: np.ndarray) -> bool:
    """Whether there is nothing to hear: no sample rises above -80 dBFS, which is 3 of the steps of 16 bits.

    Parameters
    ----------
    y : array (samples,) of int16
    """
    return max(int(y.max()), -int(y.min())) <= 32_768 * 10 ** (SILENCE_DBFS / 20)


def filled(y: np.ndarray, length: int) -> np.ndarray:
    """A sound (samples,) repeated from its start until it fills `length`; longer ones are cut. Nothing gives zeros.

    This is how a network hears what is shorter than its window: docs/trust.md has what padding would do.
    """
    return np.resize(y, length) if len(y) else np.zeros(length, y.dtype)


class Mixdown:
    """Mixes blocks of several channels down to one, and keeps the levels before and after.

    Stereo is averaged, 3 to 8 channels go by `DOWNMIX`, more are averaged.

    Parameters
    ----------
    channels : int
    alone : int, optional
        Take this channel instead of a mix.
    """

    def __init__(self, channels: int, alone: int | None = None):
        self.channels, self.alone = channels, alone
        self.before, self.after, self.frames = np.zeros(channels), 0.0, 0

    def __call__(self, block: np.ndarray) -> np.ndarray:
        """Mix (frames, channels) of float32 to (frames,)."""
        if self.channels == 1:
            return block[:, 0]
        if self.alone is not None:
            return block[:, self.alone]
        if self.channels in DOWNMIX:
            mono = block @ np.array(DOWNMIX[self.channels], np.float32)
        else:  # a mean over an axis as short as the channels takes numpy thirty times as long as adding them up
            mono = sum(block.T) / self.channels
        self.before += [np.vdot(column, column) for column in block.T]
        self.after += float(np.vdot(mono, mono))
        self.frames += len(block)
        return mono

    @property
    def lost(self) -> tuple[int, float, float] | None:
        """The loudest channel, its level and that of the mix in dBFS, if the mix lost the sound; else None."""
        loudest = int(np.flatnonzero(self.before >= 0.98 * self.before.max())[0])  # the first of equals
        if not self.frames or self.after > 10 ** (CANCELLED_DB / 10) * self.before[loudest]:
            return None
        before, after = dbfs(self.before[loudest] / self.frames), dbfs(self.after / self.frames)
        return None if before < SILENCE_DBFS else (loudest, before, after)


def remove_offset(y: np.ndarray) -> np.ndarray:
    """Subtract, in place, the mean of a clip if it is more than a thousandth of full scale; else change nothing.

    Parameters
    ----------
    y : array (samples,) of int16
        The whole of a clip.

    Returns
    -------
    y : the same array
        What would lie beyond the range of int16 is clipped.
    """
    offset = round(float(y.mean(dtype=np.float64)))
    if abs(offset) > MOST_OFFSET * 32_768:
        for start in range(0, len(y), BLOCK_SAMPLES):
            block = y[start : start + BLOCK_SAMPLES]
            np.clip(block.astype(np.int32) - offset, -32_768, 32_767, out=block, casting="unsafe")
    return y
