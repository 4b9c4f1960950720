"""Records -> batches of windows. A batch is a pure function of (seed, step), so training resumes at any step.

Nothing here depends on what was read before: batch 1,000 is the same whether or not batches 0 to 999 were built,
and the same on one device or split over several.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import tensorflow as tf

from tagkit.config import TrainingConfig
from tagkit.records import Records, RecordsError

# Independent random streams are drawn from (seed, purpose, index).
_ORDER, _CROP = 0, 1


def window_starts(n_samples: int, window: int, count: int | None = None) -> np.ndarray:
    """First samples of the windows that cover a clip in evaluation.

    ceil(n / w) evenly spaced windows, the last one ending with the clip; all at 0 where the clip is shorter (it is
    then zero-padded).

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


def play(y: np.ndarray, speed: float, samples: int) -> np.ndarray:
    """A waveform played faster or slower, by linear interpolation between its samples.

    ``np.interp`` searches the place of every sample anew and computes in double precision, six times as long.

    Parameters
    ----------
    y : ndarray (at least ``ceil(samples * speed) + 1``,)
    speed : float
        Samples of `y` for each sample of the result.
    samples : int

    Returns
    -------
    ndarray of float32 (samples,)
    """
    at = np.arange(samples) * speed
    before = at.astype(np.intp)
    at -= before
    y = y.astype(np.float32)
    rise = np.diff(y).take(before)
    rise *= at
    rise += y.take(before)
    return rise


@dataclass(frozen=True)
class TrainingWindows:
    """Random windows of the training clips, batch by batch, without end.

    Each epoch goes through all clips in a new order, one random window of each; a batch may reach into the next
    epoch.

    Attributes
    ----------
    records : Records
    positions : ndarray of int (clips,)
        The clips to draw from, as positions in `records`.
    labels : ndarray of bool (clips, tags)
        In the order of `positions`.
    window : int
        Samples.
    windows : int or None
        None: an example is one window. Else it is so many windows of a clip, each at random in its share of the clip.
    batch_size : int
    seed : int
    speed_semitones : float
        Each window is played faster or slower, by up to so many semitones (linear interpolation); 0 leaves it.
    attenuation_db : float
        Each window is made softer by up to so many dB, and its sign is drawn; 0 leaves both.
    """

    records: Records
    positions: np.ndarray
    labels: np.ndarray
    window: int
    windows: int | None
    batch_size: int
    seed: int
    speed_semitones: float = 0.0
    attenuation_db: float = 0.0

    @classmethod
    def of(
        cls,
        records: Records,
        tags: Sequence[str],
        window: int,
        config: TrainingConfig,
        windows: int | None = None,
    ) -> "TrainingWindows":
        """The training part of the config's split, labelled with `tags` in this order.

        Parameters
        ----------
        records : Records
        tags : sequence of str
        window, windows
            As the attributes.
        config : TrainingConfig
            Says split, batch size, seed, speed and attenuation.

        Raises
        ------
        RecordsError
            The split has no training clips.
        """
        positions = part_positions(records, "train", config.split)
        labels = records.catalog.labels[list(tags)].to_numpy(bool)[positions]
        return cls(
            records,
            positions,
            labels,
            window,
            windows,
            config.batch_size,
            config.seed,
            config.speed_semitones,
            config.attenuation_db,
        )

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
        for i, row in enumerate(chosen):
            for k in range(each):
                y = self._cut(self.positions[clips[row]], where[row, k], speed[row])
                if gain[row] != 1:
                    y = np.multiply(y, np.float32(gain[row]), out=None if y.dtype == np.int16 else y)
                x[i, k] = y
        return x.reshape(self._shape(rows)), self.labels[clips[rows]].astype(np.float32)

    def _cut(self, clip: int, where: float, speed: float) -> np.ndarray:
        """A window of a clip, (window,), that starts at the share `where` of the starts that there are."""
        length = self.window if speed == 1 else int(np.ceil(self.window * speed)) + 1
        room = max(int(self.records.lengths[clip]) - length, 0)
        y = self.records.read(clip, int(where * (room + 1)), length)
        return y if speed == 1 else play(y, speed, self.window)

    def dataset(self, first_step: int, last_step: int, rows: slice = slice(None)) -> tf.data.Dataset:
        """The batches of steps `first_step` up to, not including, `last_step`, read ahead in the background."""
        shapes = self._shape(rows), (self._shape(rows)[0], self.labels.shape[1])
        batch = partial(self.batch, rows=rows)
        return _read_ahead(batch, range(first_step, last_step), shapes, (tf.int16, tf.float32))

    def _shape(self, rows: slice) -> tuple[int, ...]:
        count = len(range(*rows.indices(self.batch_size)))
        return (count, *([self.windows] if self.windows else []), self.window)

    @property
    def _n(self) -> int:
        return len(self.positions)

    def _order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.seed, _ORDER, epoch]).permutation(self._n)


def evaluation_windows(
    records: Records, positions: np.ndarray, window: int, batch_size: int
) -> tuple[tf.data.Dataset, np.ndarray]:
    """All windows of some clips in order, and the clip that each belongs to.

    Parameters
    ----------
    records : Records
    positions : ndarray of int (clips,)
        Positions in `records`.
    window : int
        Samples.
    batch_size : int
        The last batch is padded with zeros to this size: one shape, one traced graph.

    Returns
    -------
    dataset : tf.data.Dataset
        One-tuples of a batch (batch_size, window) of int16.
    owner : ndarray of int (windows,)
        Row of `positions` that each window was cut from; the padding has no owner.
    """
    starts = [window_starts(int(records.lengths[p]), window) for p in positions]
    owner = np.repeat(np.arange(len(positions)), [len(s) for s in starts])
    cuts = list(zip(np.asarray(positions)[owner], np.concatenate(starts), strict=True))

    def batch(k: int) -> tuple[np.ndarray]:
        x = np.zeros((batch_size, window), np.int16)
        for row, (position, start) in enumerate(cuts[k * batch_size : (k + 1) * batch_size]):
            x[row] = records.read(position, start, window)
        return (x,)

    batches = _read_ahead(batch, range(-(-len(cuts) // batch_size)), ((batch_size, window),), (tf.int16,))
    return batches, owner


def evaluation_clips(
    records: Records, positions: np.ndarray, window: int, windows: int | None, batch_size: int
) -> tf.data.Dataset:
    """Some clips in order, each as all of its windows, for networks that merge them.

    Parameters
    ----------
    records, positions, window
        As for `evaluation_windows`.
    windows : int or None
        Windows of each clip; None: as many as cover it. Only clips with equally many share a batch.
    batch_size : int
        Most windows in a batch, but at least one clip.

    Returns
    -------
    tf.data.Dataset
        One-tuples of a batch (clips, windows, window) of int16.
    """
    starts = {p: window_starts(int(records.lengths[p]), window, windows) for p in positions}
    batches: list[list[int]] = []
    for p in positions:
        last = batches[-1] if batches else []
        if last and len(starts[last[0]]) == len(starts[p]) and (len(last) + 1) * len(starts[p]) <= batch_size:
            last.append(p)
        else:
            batches.append([p])

    def batch(k: int) -> tuple[np.ndarray]:
        return (np.stack([[records.read(p, start, window) for start in starts[p]] for p in batches[k]]),)

    return _read_ahead(batch, range(len(batches)), ((None, None, window),), (tf.int16,))


def part_positions(records: Records, part: str, split: str | None = None) -> np.ndarray:
    """Positions in `records` of the clips of one part of a split, (clips,); RecordsError where there are none."""
    ids = records.catalog.ids(part, split)
    if not len(ids):
        name = split or records.catalog.default_split
        raise RecordsError(
            f"{records.root} has no {part} clips in its split {name!r}; prepare more clips or choose a split."
        )
    return np.array([records.positions[i] for i in ids])


def _read_ahead(batch: Callable[[int], tuple], steps: range, shapes: tuple, dtypes: tuple) -> tf.data.Dataset:
    """`batch` of each step in turn, computed in the background.

    Not ``Dataset.from_generator``: its mere use sets malloc's trim threshold to 128 kB for the whole process
    (TensorFlow's generator_dataset_op.cc), and every training step then pays for its memory anew, half its time.
    """

    def load(step):
        arrays = tf.numpy_function(batch, [step], dtypes, stateful=False)
        return tuple(tf.ensure_shape(array, shape) for array, shape in zip(arrays, shapes, strict=True))

    return tf.data.Dataset.range(steps.start, steps.stop).map(load, num_parallel_calls=2).prefetch(4)
