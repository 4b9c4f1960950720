from dataclasses import replace

import numpy as np
import pytest

from tagkit.data.batches import evaluation_clips, evaluation_windows, training_batches
from tagkit.data.records import RecordsError
from tagkit.data.windows import (
    TrainingWindows,
    play,
    window_starts,
)
from tagkit.training.config import TrainingConfig

PLAIN = TrainingConfig(batch_size=10, seed=3, speed_semitones=0, attenuation_db=0)


@pytest.fixture(scope="module")
def windows(tone_records):
    return TrainingWindows.of(tone_records, ["high", "low"], 8_000, **PLAIN.windows)


def test_a_batch_depends_on_seed_and_step_alone(windows, tone_records):
    later = [(x.numpy(), y.numpy()) for x, y in training_batches(windows, 5, 8)]
    for step, (x, y) in zip(range(5, 8), later, strict=True):
        again_x, again_y = windows.batch(step)
        np.testing.assert_array_equal(x, again_x)
        np.testing.assert_array_equal(y, again_y)
    other = TrainingWindows.of(tone_records, ["high", "low"], 8_000, **replace(PLAIN, seed=4).windows)
    assert (other.batch(5)[0] != later[0][0]).any()


def test_an_epoch_shows_every_training_clip_once(windows):
    n = len(windows.indices)
    for epoch in range(3):
        assert sorted(windows._order(epoch)) == list(range(n))
    assert (windows._order(0) != windows._order(1)).any()
    # 10 epochs of 23 clips in 23 batches of 10: each clip exactly 10 times, seen through its labels.
    shown = sum(windows.batch(step)[1].sum(0) for step in range(n))
    np.testing.assert_array_equal(shown, 10 * windows.labels.sum(0))


def test_windows_hold_the_clip_that_their_labels_say(windows, tone_records):
    """The loudest frequency of every window is that of its tag."""
    x, y = windows.batch(0)
    peak_hz = np.abs(np.fft.rfft(x.astype(float))).argmax(1) * 16_000 / x.shape[1]
    expected = np.where(y[:, 0] == 1, 3520, np.where(y[:, 1] == 1, 220, 880))
    np.testing.assert_allclose(peak_hz, expected, atol=4)


def test_speed_moves_the_pitch_and_attenuation_the_level(tone_records, windows):
    augmented = replace(windows, speed_semitones=2.0, attenuation_db=12.0)
    ratios, levels = [], []
    for step in range(12):
        (x, y), plain = augmented.batch(step), windows.batch(step)[0]
        expected = np.where(y[:, 0] == 1, 3520, np.where(y[:, 1] == 1, 220, 880))
        peak_hz = np.abs(np.fft.rfft(x.astype(float), 80_000)).argmax(1) * 16_000 / 80_000
        ratios.extend(12 * np.log2(peak_hz / expected))
        levels.extend(10 * np.log10((x.astype(float) ** 2).mean(1) / (plain.astype(float) ** 2).mean(1)))
    assert -2.1 < min(ratios) < -1.7 and 1.7 < max(ratios) < 2.1
    assert -12.5 < min(levels) < -11 and -0.5 < max(levels) < 0.2
    np.testing.assert_array_equal(augmented.batch(3)[0], augmented.batch(3)[0])


def test_windows_longer_than_a_clip_repeat_it(tone_records):
    longer = TrainingWindows.of(tone_records, ["low"], 100_000, **PLAIN.windows)
    clips = {tone_records.read(int(i)).tobytes(): tone_records.lengths[i] for i in longer.indices}
    for row in longer.batch(0)[0]:
        (samples,) = [n for clip, n in clips.items() if row[:n].tobytes() == clip]
        np.testing.assert_array_equal(row[samples:], row[: 100_000 - samples])


@pytest.mark.parametrize(
    ("samples", "window", "expected"),
    [
        (465_984, 38_832, np.arange(12) * 38_832),  # a MagnaTagATune clip: exactly 12, no overlap
        (100, 40, [0, 30, 60]),
        (40, 40, [0]),
        (7, 40, [0]),
        (41, 40, [0, 1]),
    ],
)
def test_window_starts_cover_the_tail(samples, window, expected):
    np.testing.assert_array_equal(window_starts(samples, window), expected)


def test_heads_with_weights_for_each_window_get_exactly_so_many():
    np.testing.assert_array_equal(window_starts(100, 40, 5), [0, 15, 30, 45, 60])
    np.testing.assert_array_equal(window_starts(30, 40, 3), [0, 0, 0])


def test_all_windows_of_a_clip_stand_in_order_each_in_its_share(tone_records):
    windows = TrainingWindows.of(tone_records, ["low"], 8_000, windows=4, **PLAIN.windows)
    x, y = windows.batch(2)
    assert x.shape == (PLAIN.batch_size, 4, 8_000) and y.shape == (PLAIN.batch_size, 1)
    np.testing.assert_array_equal(x, windows.batch(2)[0])
    whole = [tone_records.read(p) for p in windows.indices]
    for example in x:
        # Noise makes every cut unique: it is found in one clip, and there in the quarter that is its own.
        y = next(y for y in whole if _find(y, example[0]) >= 0)
        starts = np.array([_find(y, cut) for cut in example])
        np.testing.assert_array_equal(starts * 4 // (len(y) - 8_000 + 1), np.arange(4))


def _find(y, cut):
    hits = np.flatnonzero(y[: len(y) - len(cut) + 1] == cut[0])
    return next((int(h) for h in hits if (y[h : h + len(cut)] == cut).all()), -1)


@pytest.mark.parametrize(("windows", "counts"), [(5, {5}), (None, {3})])
def test_evaluation_gives_whole_clips_their_windows_in_order(windows, counts, tone_records):
    indices = tone_records.part("test")
    batches = [x.numpy() for (x,) in evaluation_clips(tone_records, indices, 30_000, windows, batch_size=6)]
    assert {x.shape[1] for x in batches} == counts and sum(map(len, batches)) == len(indices)
    assert max(x.shape[0] * x.shape[1] for x in batches) <= 6
    x = np.concatenate(batches)
    np.testing.assert_array_equal(x[3, -1], tone_records.read(indices[3])[-30_000:])


def test_a_clip_without_samples_has_no_windows():
    with pytest.raises(ValueError, match="0 samples"):
        window_starts(0, 40)


def test_evaluation_sees_all_windows_in_order(tone_records):
    indices = tone_records.part("test")
    dataset, owner = evaluation_windows(tone_records, indices, 30_000, batch_size=4)
    x = np.concatenate([x.numpy() for (x,) in dataset])
    assert len(x) % 4 == 0 and len(x) >= len(owner)
    np.testing.assert_array_equal(owner, np.repeat(np.arange(6), 3))
    np.testing.assert_array_equal(x[2], tone_records.read(indices[0])[-30_000:])


def test_a_split_without_clips_is_refused(tone_catalog, tone_records):
    with pytest.raises(ValueError, match="no split 'pons'; choose one of order"):
        tone_records.part("test", "pons")
    with pytest.raises(RecordsError, match="no holdout clips"):
        tone_records.part("holdout")


@pytest.mark.parametrize("speed", [0.89, 0.999, 1.0001, 1.12])
@pytest.mark.parametrize("hz", [100, 1_000, 6_000])
def test_playing_at_another_speed_gives_the_tone_at_its_new_frequency(hz, speed):
    samples = 5_000
    sine = lambda n, hz: 10_000 * np.sin(2 * np.pi * hz * np.arange(n) / 16_000)  # noqa: E731
    played = play(sine(int(np.ceil(samples * speed)) + 1, hz).astype(np.int16), speed, samples)
    assert played.dtype == np.float32 and played.shape == (samples,)
    inner = slice(200, -200)  # the ends ring
    np.testing.assert_allclose(played[inner], sine(samples, hz * speed)[inner], atol=30 if hz < 5_000 else 400)


@pytest.mark.parametrize("semitones", [-2, -1.3, 0.7, 2])
def test_a_tone_of_7_khz_has_no_alias(semitones):
    """Linear interpolation leaves one 4 to 11 dB below the tone."""
    speed, samples = 2 ** (semitones / 12), 32_000
    tone = 10_000 * np.sin(2 * np.pi * 7_000 * np.arange(int(np.ceil(samples * speed)) + 1) / 16_000)
    inner = play(tone.astype(np.int16), speed, samples)[2_000:-2_000]
    power = np.abs(np.fft.rfft(inner * np.blackman(len(inner)))) ** 2
    hz = np.fft.rfftfreq(len(inner), 1 / 16_000)
    beside = np.abs(hz - 7_000 * speed) > 10
    of_the_tone = (10_000 * np.blackman(len(inner)).sum() / 2) ** 2
    assert 10 * np.log10(power[beside].max() / of_the_tone) < -60
