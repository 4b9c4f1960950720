"""What one hears is what the map holds: acceptance checks 6 and 8, refusals and levels."""

import numpy as np
import pytest
from known_networks import SR, filterbank, gabor_bank, small_tagger
from scipy import signal

from tagkit import audio
from tagkit.analysis import feature_maps, signals, sonify, spectra
from tagkit.analysis.geometry import Stage
from tagkit.data.catalog import Clip

SECONDS = 4


def stage(stride: int, offset: float = 0.0, name: str = "conv3") -> Stage:
    return Stage(name, 1, SECONDS * SR // stride, stride, 3 * stride, offset, True, SR)


def image_level(y: np.ndarray, u: float, stride: int) -> float:
    """The largest component away from a tone at u frames per cycle, dB relative to it."""
    middle = y[len(y) // 4 : -len(y) // 4]
    magnitude = np.abs(np.fft.rfft(middle * signal.windows.blackmanharris(len(middle))))
    tone = round(u / stride * len(middle))
    own = np.abs(np.arange(len(magnitude)) - tone) <= 8
    return 20 * np.log10(magnitude[~own].max() / magnitude[own].max())


@pytest.mark.parametrize("stride", [3, 16, 81])
@pytest.mark.parametrize("u", [0.05, 0.25, 0.45])
def test_check_6_images_of_the_upsampler(stride, u):
    samples = 400 * stride
    a = np.sin(2 * np.pi * u * np.arange(400))
    assert image_level(signals.upsample(a, stage(stride), samples), u, stride) <= -80
    # A deliberately wrong estimator: repeating every frame.
    repeated = np.repeat(a, stride)
    assert image_level(repeated, u, stride) > -30


@pytest.mark.parametrize("offset", [0.0, -5.0, 39.5])
def test_frames_are_heard_at_their_own_time(offset):
    a = np.zeros(SECONDS * SR // 64)
    a[100] = 1
    y = signals.upsample(a, stage(64, offset), SECONDS * SR)
    assert len(y) == SECONDS * SR
    assert abs(np.argmax(y) - (100 * 64 + offset)) <= 0.5


@pytest.mark.parametrize("stride", [64, 243])
def test_check_8_carrier(stride):
    rng = np.random.default_rng(0)
    frames, top = SECONDS * SR // stride, 30 * stride / SR
    a = 2 + signal.filtfilt(*signal.butter(4, 2 * top * 0.7), rng.normal(size=frames))
    centre = 1234.5
    y = signals.carrier(a, stage(stride), SECONDS * SR, centre)
    energy = np.abs(np.fft.rfft(y * np.hanning(len(y)))) ** 2
    near = np.abs(np.fft.rfftfreq(len(y), 1 / SR) - centre) <= 60
    assert energy[near].sum() / energy.sum() > 0.999
    heard = np.abs(signal.hilbert(y))[::stride][:frames]
    inner = slice(5, -5)
    wanted = np.maximum(a - np.percentile(a, 5), 0)
    assert np.corrcoef(heard[inner], wanted[inner])[0, 1] > 0.999


def test_gated_keeps_the_band_and_opens_with_the_channel():
    rng = np.random.default_rng(1)
    y = (0.1 * rng.normal(size=SECONDS * SR)).astype(np.float32)
    a = np.zeros(SECONDS * SR // 64)
    a[len(a) // 2 :] = 1.0
    heard = signals.gated(a, stage(64), y, (900.0, 1100.0))
    assert np.square(heard[: SR * SECONDS // 2 - SR // 10]).mean() < 1e-6 * np.square(heard).mean()
    f, power = signal.welch(heard, SR, nperseg=4096)
    assert 900 < f[power.argmax()] < 1100
    assert power[(f < 500) | (f > 2000)].max() < power.max() / 100
    broad = signals.gated(a, stage(64), y, (100.0, 6000.0))
    np.testing.assert_allclose(broad[-SR:], y[-SR:], atol=1e-3)


@pytest.fixture(scope="module")
def heard():
    """A bank of two filters with stride 16, its probe, and the maps of a clip with a tone burst at 2090 Hz."""
    model = filterbank(gabor_bank(np.array([1000.0, 2090.0]), 256), 4096, stride=16, activation="relu", pool=2)
    time = np.arange(SECONDS * SR) / SR
    y = (0.5 * np.sin(2 * np.pi * 2090 * time) * (time > 2)).astype(np.float32)
    return feature_maps.compute(model, y), spectra.tone_probe(model, levels_dbfs=[-20])


@pytest.mark.parametrize("mode", sonify.MAP_MODES)
def test_every_mode_gives_audio_of_the_clips_length(heard, mode):
    maps, probe = heard
    y = sonify.sonify(maps, "conv1", 1, mode, probe=probe)
    assert y.shape == maps.y.shape
    assert y.dtype == np.float32
    assert np.abs(y).max() <= 1
    assert np.isfinite(y).all()
    assert np.square(y).mean() > 1e-4


def test_carrier_sings_at_the_channels_own_frequency(heard):
    maps, probe = heard
    y = sonify.sonify(maps, "conv1", 1, "carrier", probe=probe)
    late = y[3 * SR :]
    peak = np.argmax(np.abs(np.fft.rfft(late * np.hanning(len(late))))) * SR / len(late)
    assert abs(12 * np.log2(peak / probe.tuning("conv1").centre_hz[1])) < 0.05
    assert np.square(y[: SR // 2]).mean() < 1e-6


def test_shared_gain_keeps_the_difference_in_loudness(heard):
    maps, probe = heard
    quiet, loud = sonify.side_by_side([maps, maps], "conv1", [0, 1], "raw", probe=[probe, probe])
    unlevelled = [sonify.render(maps, "conv1", channel, "raw").y for channel in (0, 1)]
    assert np.std(quiet) / np.std(loud) == pytest.approx(np.std(unlevelled[0]) / np.std(unlevelled[1]), rel=0.02)
    assert np.percentile(np.abs(loud), 99) == pytest.approx(0.5, rel=1e-3)
    own = sonify.sonify(maps, "conv1", 0, "raw")
    assert np.abs(own).max() > 5 * np.abs(quiet).max()


def test_a_rare_loud_moment_lowers_the_whole_instead_of_being_clipped():
    t = np.arange(SR) / SR
    y = np.sin(2 * np.pi * 2000 * t) * np.where((t > 0.5) & (t < 0.505), 1.0, 0.1)
    played = sonify.level(y)
    assert np.abs(played).max() == pytest.approx(1.0, abs=1e-3)
    np.testing.assert_allclose(played / np.abs(played).max(), y / np.abs(y).max(), atol=1e-6)
    hidden = np.clip(y * sonify.HEADROOM / np.percentile(np.abs(y), 99), -1, 1)  # what clipping would have done
    assert np.abs(hidden / np.abs(hidden).max() - y / np.abs(y).max()).max() > 0.1


def test_refusals_say_why_and_what_to_use(heard):
    maps, probe = heard
    with pytest.raises(sonify.CannotPlay, match=r"one value every 243 samples.*32.9 Hz.*mode='carrier'"):
        signals.raw(np.ones(100), stage(243), SECONDS * SR)
    with pytest.raises(sonify.CannotPlay, match="probe"):
        sonify.sonify(maps, "conv1", 0, "carrier")
    with pytest.raises(sonify.CannotPlay, match=r"no mode 'loud'.*raw"):
        sonify.sonify(maps, "conv1", 0, "loud")
    with pytest.raises(sonify.CannotPlay, match="12 Hz"):
        sonify.sonify(maps, "conv1", 0, "carrier", probe=sonify.Tuned(12.0))
    silent = feature_maps.FeatureMaps({"conv1": np.zeros((100, 1))}, {"conv1": stage(64)}, maps.y, SR)
    with pytest.raises(sonify.CannotPlay, match="constant"):
        sonify.sonify(silent, "conv1", 0, "carrier", probe=probe)
    with pytest.raises(sonify.CannotPlay, match="NaN"):
        sonify.level(np.array([0.0, np.nan]))


def test_raw_plays_up_to_stride_81_and_not_beyond():
    maps = feature_maps.compute(small_tagger(), np.random.default_rng(0).normal(size=8000) * 0.1)
    channel = int(maps.maps["conv4"].std(axis=0).argmax())
    assert sonify.sonify(maps, "conv4", channel, "raw").size == 8000  # stride 72
    assert signals.LARGEST_RAW_STRIDE == 81


@pytest.mark.parametrize("mode", sonify.MODES)
def test_play_knows_every_mode(mode, tmp_path):
    model = filterbank(gabor_bank(np.array([1000.0, 2090.0]), 128), 4096, stride=16, activation="elu")
    y = (0.1 * np.random.default_rng(2).normal(size=6000)).astype(np.float32)
    audio.save(tmp_path / "clip.wav", y, SR)
    for clip in (y, tmp_path / "clip.wav", Clip("1", tmp_path / "clip.wav", ())):
        heard = sonify.play(model, clip, stage="conv1", channel=1, mode=mode)
        assert heard.shape == y.shape
        assert heard.dtype == np.float32
        assert np.isfinite(heard).all()
        assert 0.1 < np.abs(heard).max() <= 1
    f, power = signal.welch(heard, SR, nperseg=1024)
    if mode not in ("original", "raw", "saliency"):  # a map with a stride of 16 holds an alias of 2090 Hz
        assert f[power.argmax()] == pytest.approx(2090, rel=0.1)


def test_play_refuses_a_channel_that_heard_nothing():
    model = filterbank(-np.ones((16, 1)), 4096, stride=16, activation="relu")
    for mode in ("mask", "saliency", "carrier"):
        with pytest.raises(sonify.CannotPlay):
            sonify.play(model, np.full(4096, 0.1, np.float32), "conv1", 0, mode)


def test_nothing_maximises_a_channel_that_responds_to_nothing():
    model = filterbank(np.zeros((16, 1)), 4096, stride=16, activation="relu")
    with pytest.raises(sonify.CannotPlay, match="responds to nothing"):
        sonify.play(model, np.full(4096, 0.1, np.float32), "conv1", 0, "maximisation")


def test_a_map_that_only_has_dips_is_not_played_as_ringing():
    a = np.ones(SECONDS * SR // 64)
    a[300:305] = -1.0
    with pytest.raises(sonify.CannotPlay, match="only falls below its resting value"):
        signals.envelope(a, stage(64), SECONDS * SR)
    a[500:520] = 3.0
    heard = signals.envelope(a, stage(64), SECONDS * SR)
    assert np.abs(heard[: 450 * 64]).max() < 1e-3 < heard[505 * 64]  # the dip leaves no trace
    rung = np.maximum(signals.upsample(a - np.percentile(a, 5), stage(64), SECONDS * SR, edges="edge"), 0)
    assert rung[: 450 * 64].max() > 0.1  # upsampled first, it would


def test_gated_loses_6_db_at_the_edges_of_the_band():
    sections = signals.band_sections(900.0, 1800.0, SR)
    _, gain = signal.sosfreqz(sections, [900.0, 1800.0], fs=SR)
    np.testing.assert_allclose(20 * np.log10(np.abs(gain) ** 2), -6.02, atol=0.05)  # forwards and backwards
