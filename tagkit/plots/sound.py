"""Sound and feature maps over time."""

import librosa
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm

from tagkit.plots.style import COLOURS, DIVERGING, SEQUENTIAL, axes_or_new


def waveform(y: np.ndarray, sr: int, *, title: str = "Waveform", ax: Axes | None = None) -> Axes:
    """Draw a waveform: its envelope where there are too many samples to see each.

    Parameters
    ----------
    y : array (samples,)
        In [-1, 1).
    sr : int
        Sampling rate in Hz.
    """
    ax = axes_or_new(ax, height=2.0)
    librosa.display.waveshow(np.asarray(y, np.float32), sr=sr, ax=ax, color=COLOURS[0], linewidth=0.6)
    ax.set(title=title, xlabel="time (s)", ylabel="amplitude", xlim=(0, len(y) / sr))
    return ax


def spectrogram(
    y: np.ndarray,
    sr: int,
    *,
    n_fft: int = 1024,
    hop_length: int = 256,
    title: str = "Spectrogram",
    ax: Axes | None = None,
) -> Axes:
    """Draw the spectrogram of a waveform in dB below its loudest point, over a logarithmic frequency axis.

    Parameters
    ----------
    y : array (samples,)
    sr, n_fft, hop_length : int
        Sampling rate in Hz; window and hop in samples.
    """
    ax = axes_or_new(ax)
    power = np.abs(librosa.stft(np.asarray(y, np.float32), n_fft=n_fft, hop_length=hop_length)) ** 2
    return _time_frequency(ax, power, sr, hop_length, "log", title)


def log_mel(
    y: np.ndarray,
    sr: int,
    *,
    n_mels: int = 96,
    n_fft: int = 512,
    hop_length: int = 256,
    title: str = "Log-mel spectrogram",
    ax: Axes | None = None,
) -> Axes:
    """Draw the log-mel spectrogram of a waveform in dB below its loudest point.

    Parameters
    ----------
    y : array (samples,)
    sr, n_mels, n_fft, hop_length : int
        Sampling rate in Hz; number of bands; window and hop in samples.
    """
    ax = axes_or_new(ax)
    power = librosa.feature.melspectrogram(
        y=np.asarray(y, np.float32), sr=sr, n_mels=n_mels, n_fft=n_fft, hop_length=hop_length
    )
    return _time_frequency(ax, power, sr, hop_length, "mel", title)


def _time_frequency(ax: Axes, power: np.ndarray, sr: int, hop_length: int, y_axis: str, title: str) -> Axes:
    decibels = librosa.power_to_db(power, ref=max(power.max(), 1e-10), top_db=80)
    image = librosa.display.specshow(
        decibels, sr=sr, hop_length=hop_length, x_axis="s", y_axis=y_axis, cmap=SEQUENTIAL, vmin=-80, vmax=0, ax=ax
    )
    ax.figure.colorbar(image, ax=ax, label="level (dB)", pad=0.01)
    ax.set(title=title, xlabel="time (s)", ylabel="frequency (Hz)")
    return ax


def feature_maps(
    maps: np.ndarray,
    times_s: np.ndarray,
    *,
    order: np.ndarray | None = None,
    title: str = "Feature map",
    ax: Axes | None = None,
) -> Axes:
    """Draw a stage's feature map as a heat map: time to the right, one row for each channel.

    Every channel is shown in its own standard deviations from its own mean, so that quiet channels can be seen.

    Parameters
    ----------
    maps : array (frames, channels)
    times_s : array (frames,)
        Centre of each frame in seconds.
    order : array of int, optional
        Channels from top to bottom, for example sorted by centre frequency; by default in their own order.
    """
    ax = axes_or_new(ax)
    order = np.arange(maps.shape[1]) if order is None else np.asarray(order)
    spread = maps.std(0)
    standard = ((maps - maps.mean(0)) / np.where(spread > 0, spread, 1))[:, order]
    half = (times_s[1] - times_s[0]) / 2 if len(times_s) > 1 else 0.5
    image = ax.imshow(
        standard.T,
        aspect="auto",
        cmap=DIVERGING,
        norm=CenteredNorm(0, 3),
        extent=(times_s[0] - half, times_s[-1] + half, len(order), 0),
        interpolation="antialiased",
    )
    ax.figure.colorbar(image, ax=ax, label="standard deviations", pad=0.01, extend="both")
    sorting = "channel" if (np.diff(order) == 1).all() else "channel (sorted)"
    ax.set(title=title, xlabel="time (s)", ylabel=sorting)
    ax.grid(False)
    return ax
