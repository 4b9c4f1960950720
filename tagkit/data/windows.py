"""Records -> batches of windows. A batch is a pure function of (seed, step), so training resumes at any step.

Nothing here depends on what was read before: batch 1,000 is the same whether or not batches 0 to 999 were built,
and the same on one device or split over several.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import soxr

from tagkit import audio
from tagkit.data.records import Records
from tagkit.data.soft import SoftLabels

# Independent random streams are drawn from (seed, purpose, index).
_ORDER, _CROP, _OWN = 0, 1, 2


def window_starts(n_samples: int, window: int, count: int | None = None) -> np.ndarray:
    """First samples of the windows that cover a clip in evaluation.

    ceil(n / w) evenly spaced windows, the last one ending with the clip; all at 0 where the clip is shorter (it is
    then repeated, `tagkit.audio.filled`).

    Parameters
    ----------
    n_samples, window : int
        Lengths in samples, at least 1.
    count : int, optional
        So many windows instead, for networks that merge a fixed number.

    Returns
    -------
    ndarray of int (windows,)

    Raises
    ------
    ValueError
        If a length is below 1.
    """
    if n_samples < 1 or window < 1:
        raise ValueError(f"A clip of {n_samples} samples cannot be cut into windows of {window}.")
    count = count or -(-n_samples // window)
    return np.linspace(0, max(n_samples - window, 0), count).round().astype(np.int64)


def evaluation_windows(y: np.ndarray, window: int, count: int | None = None) -> np.ndarray:
    """The windows (windows, samples) that cover a clip `y` (samples,) in evaluation; arguments as `window_starts`."""
    return np.stack([audio.filled(y[k : k + window], window) for k in window_starts(len(y), window, count)])


def play(y: np.ndarray, speed: float, samples: int) -> np.ndarray:
    """Play a waveform faster or slower, band-limited: nothing aliases (-80 dB), as linear interpolation would.

    Parameters
    ----------
    y : at least ``ceil(samples * speed) + 1`` samples
    speed : samples of `y` for each sample of the result

    Returns
    -------
    ndarray of float32 (samples,)

    Examples
    --------
    >>> slower = play(np.zeros(901, np.int16), speed=0.9, samples=1_000)
    >>> slower.shape, slower.dtype
    ((1000,), dtype('float32'))
    """
    return soxr.resample(y.astype(np.float32), speed, 1.0, "MQ")[:samples]


@dataclass(frozen=True)
class TrainingWindows:
    """Random windows of the training clips, batch by batch, without end.

    Each epoch goes through all clips in a new order, one random window of each; a batch may reach into the next
    epoch.

    Attributes
    ----------
    records : Records
    indices : ndarray of int (clips,)
        The clips to draw from, by their indices in `records`.
    labels : ndarray of bool (clips, tags)
        In the order of `indices`.
    window : int
        Samples.
    windows : int or None
        None: an example is one window. Else it is so many windows of a clip, each at random in its share of the clip.
    batch_size : int
    seed : int
    speed_semitones : float
        Each window is played faster or slower, by up to so many semitones; 0 leaves it.
    attenuation_db : float
        Each window is made softer by up to so many dB, and its sign is drawn; 0 leaves both.
    augmentation : callable or None
        Of a window (samples,), float32 in [-1, 1), its sampling rate in Hz and a Generator, to another window.
    soft : SoftLabels, optional
        What a teacher says of the clips: learned in place of the labels, or together with them.
    soft_weight : ndarray (tags,), optional
        Its share, from 0 to 1; the labels have the rest.
    """

    records: Records
    indices: np.ndarray
    labels: np.ndarray
    window: int
    windows: int | None
    batch_size: int
    seed: int
    speed_semitones: float = 0.0
    attenuation_db: float = 0.0
    augmentation: Callable[[np.ndarray, int, np.random.Generator], np.ndarray] | None = None
    soft: SoftLabels | None = None
    soft_weight: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        records: Records,
        tags: Sequence[str],
        window: int,
        windows: int | None = None,
        split: str | None = None,
        **settings: object,
    ) -> "TrainingWindows":
        """The training part of a split, labelled with `tags` in this order.

        `TrainingConfig.windows` has the settings of a run.

        Parameters
        ----------
        records : Records
        tags : sequence of str
        window, windows
            As the attributes.
        split : str, optional
            Default: the records' own.
        **settings
            The attributes from `batch_size` on.

        Raises
        ------
        RecordsError
            The split has no training clips.
        """
        indices = records.part("train", split)
        return cls(records, indices, records.labels(indices, tags), window, windows, **settings)

    def batch(self, step: int, rows: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """Batch number `step`: windows (batch[, windows], window) int16 and labels (batch, tags) float32.

        With `rows` only those of the batch, which are the same as in the whole.
        """
        drawn = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        clips = np.concatenate(
            [self._order(epoch)[drawn[drawn // self._n == epoch] % self._n] for epoch in np.unique(drawn // self._n)]
        )
        rng = np.random.default_rng([self.seed, _CROP, step])
        each = self.windows or 1
        where = (np.arange(each) + rng.random((self.batch_size, each))) / each
        speed = 2 ** (rng.uniform(-self.speed_semitones, self.speed_semitones, self.batch_size) / 12)
        gain = 10 ** (-rng.uniform(0, self.attenuation_db, self.batch_size) / 20)
        if self.attenuation_db:
            gain *= rng.choice([-1, 1], self.batch_size)
        chosen = range(*rows.indices(self.batch_size))
        x = np.empty((len(chosen), each, self.window), np.int16)
        labels = self.labels[clips[rows]].astype(np.float32)
        for i, row in enumerate(chosen):
            clip = self.indices[clips[row]]
            stretches = [self._stretch(clip, where[row, k], speed[row]) for k in range(each)]
            for k, stretch in enumerate(stretches):
                y = self.records.read(clip, *stretch)
                y = y if speed[row] == 1 else play(y, speed[row], self.window)
                x[i, k] = y if y.dtype == np.int16 and gain[row] == 1 else _to_int16(y * np.float32(gain[row]))
                if self.augmentation:
                    own = np.random.default_rng([self.seed, _OWN, step, row, k])
                    x[i, k] = augmented(x[i, k], self.augmentation, self.records.sr, own)
            if self.soft is not None:
                said = np.mean([self.soft.of(clip, *stretch) for stretch in stretches], axis=0)
                labels[i] += self.soft_weight * (said - labels[i])
        return x if self.windows else x[:, 0], labels

    def _stretch(self, clip: int, where: float, speed: float) -> tuple[int, int]:
        """Start and length in samples of a window that starts at the share `where` of the starts that a clip has."""
        length = self.window if speed == 1 else int(np.ceil(self.window * speed)) + 1
        room = max(int(self.records.lengths[clip]) - length, 0)
        return int(where * (room + 1)), length

    @property
    def _n(self) -> int:
        return len(self.indices)

    def _order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.seed, _ORDER, epoch]).permutation(self._n)


def augmented(x: np.ndarray, augmentation: Callable, sr: int, rng: np.random.Generator) -> np.ndarray:
    """A window of int16 samples (samples,), augmented; what leaves the range stays at its end.

    Raises
    ------
    ValueError
        The augmentation gives another shape, or numbers that are not finite.
    """
    y = np.asarray(augmentation(audio.to_float(x), sr, rng), np.float32)
    if y.shape != x.shape or not np.isfinite(y).all():
        raise ValueError(f"The augmentation made {y.shape} samples of {x.shape}, or some not finite; correct it.")
    return _to_int16(y * np.float32(32_768))


def _to_int16(y: np.ndarray) -> np.ndarray:
    """Rounded to whole steps, in place; what leaves the range (a speed can raise peaks) stays at its end."""
    return np.clip(np.rint(y, out=y), -32_768, 32_767, out=y).astype(np.int16)
