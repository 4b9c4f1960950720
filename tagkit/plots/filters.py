"""Filter curves of a stage's channels, and where they lie on the scales of hearing."""

import textwrap
from collections.abc import Mapping, Sequence
from functools import partial

import librosa
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from tagkit.plots.style import COLOURS, QUIET, SEQUENTIAL, axes_or_new, frequency_axis, legend_beside, looks

FLOOR_DB = -40.0
LANE_DB = 30.0  # what a curve has where several stand one above the other
LOWEST = 1.15  # times the lowest tone: a low-pass filter's largest answer is to that, or by a hair to one of the next


def filter_spectra(
    frequencies_hz: np.ndarray,
    responses: np.ndarray,
    channels: Sequence[int] | None = None,
    *,
    title: str = "What the channels answer to",
    ax: Axes | None = None,
) -> Axes:
    """Draw the response curves of a few channels, each in dB below its own peak.

    Several stand one above the other, the first at the bottom, each between its peak and 30 dB below it.

    Parameters
    ----------
    frequencies_hz : array (tones,)
    responses : array (tones, channels)
        Amplitude (linear), for example from a tone probe.
    channels : sequence of int, optional
        Which to draw, up to eight; by default eight, spread over the peak frequencies.

    Raises
    ------
    ValueError
        More than eight channels are named.
    """
    if channels is None:
        by_peak = np.argsort(np.argmax(responses, axis=0), kind="stable")
        channels = by_peak[np.unique(np.linspace(0, len(by_peak) - 1, 8).round().astype(int))]
    if len(channels) > len(COLOURS):
        raise ValueError(
            f"{len(channels)} curves cannot be told apart; choose up to {len(COLOURS)}, or use filter_bank."
        )
    ax = axes_or_new(ax, height=3.5 if len(channels) < 2 else 1.2 + 0.55 * len(channels))
    curves = {int(channel): _decibels(responses[:, channel]) for channel in channels}
    frequency_axis(ax.xaxis, frequencies_hz[0], frequencies_hz[-1])
    if len(curves) > 1:
        _lanes(ax, frequencies_hz, curves)
        ax.set(title=title, ylabel="channel")
        return ax
    for channel, curve in curves.items():
        ax.plot(frequencies_hz, curve, color=COLOURS[0], label=str(channel), linewidth=1.8)
    ax.set(title=title, ylabel="response (dB below the peak)", ylim=(FLOOR_DB, 2))
    legend_beside(ax, title="channel")
    return ax


def _lanes(ax: Axes, frequencies_hz: np.ndarray, curves: Mapping[int, np.ndarray]) -> None:
    """Curves by channel, one above the other; the topmost says what its height means."""
    peaks = (LANE_DB + 6) * np.arange(len(curves))
    for peak, curve, colour in zip(peaks, curves.values(), COLOURS, strict=False):
        y = peak + np.maximum(curve, -LANE_DB)
        ax.plot(frequencies_hz, y, color=colour, linewidth=1.6)
        ax.fill_between(frequencies_hz, peak - LANE_DB, y, color=colour, alpha=0.15, linewidth=0)
    ax.hlines([*peaks, *(peaks - LANE_DB)], *frequencies_hz[[0, -1]], color=QUIET, linewidth=0.5, alpha=0.5, zorder=1)
    for y, words in ((peaks[-1], "its peak"), (peaks[-1] - LANE_DB, f"{LANE_DB:.0f} dB below")):
        ax.annotate(
            words,
            (1, y),
            (4, 0),
            ("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=QUIET,
        )
    ax.set_yticks(peaks - LANE_DB / 2, [str(channel) for channel in curves])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(-LANE_DB - 3, peaks[-1] + 4)


def filter_bank(
    frequencies_hz: np.ndarray,
    responses: np.ndarray,
    centre_hz: np.ndarray | None = None,
    *,
    title: str = "All channels, sorted by centre frequency",
    ax: Axes | None = None,
) -> Axes:
    """Draw the response curves of all channels of a stage as one picture, each in dB below its own peak.

    Parameters
    ----------
    frequencies_hz : array (tones,)
    responses : array (tones, channels)
        Amplitude (linear).
    centre_hz : array (channels,), optional
        What the channels are sorted by; by default the frequency of the largest response. NaN goes last.
    """
    ax = axes_or_new(ax, height=4.0)
    centres = frequencies_hz[np.argmax(responses, axis=0)] if centre_hz is None else centre_hz
    order = np.argsort(centres, kind="stable")
    curves = np.stack([_decibels(responses[:, channel]) for channel in order])
    rows = np.arange(len(order))
    mesh = ax.pcolormesh(frequencies_hz, rows, curves, cmap=SEQUENTIAL, vmin=FLOOR_DB, vmax=0, shading="nearest")
    ax.figure.colorbar(mesh, ax=ax, label="response (dB below the peak)", pad=0.01)
    frequency_axis(ax.xaxis, frequencies_hz[0], frequencies_hz[-1])
    ax.set(title=title, ylabel="channel (sorted)")
    return ax


def centre_frequencies(
    centre_hz: Mapping[str, np.ndarray],
    *,
    untrained: str | None = None,
    fmin_hz: float = 30.0,
    fmax_hz: float = 8000.0,
    title: str = "Centre frequencies beside the scales of hearing",
    ax: Axes | None = None,
) -> Axes:
    """Draw sorted centre frequencies against as many spaced evenly on the mel scale, on the ERB scale and linearly.

    The scales span the range of the first network's channels, without those that answer most to the lowest tone.

    Parameters
    ----------
    centre_hz : dict of str -> array (channels,)
        Centre frequencies in Hz by label; NaN is left out. Channels may differ in number: the axis is their share.
    untrained : str, optional
        The label that is the untrained network's, drawn in grey below the others: only what differs from it was
        learned.
    fmin_hz, fmax_hz : float
        The lowest and highest tone that could be answered to. What answers most to the lowest, and may be a low-pass
        filter, is said to.

    References
    ----------
    ERB-rate 21.4 log10(1 + .00437 f): Glasberg and Moore, 1990. Mel 2595 log10(1 + f / 700): O'Shaughnessy, 1987.
    """
    ax = axes_or_new(ax, height=4.0)
    first = np.sort(next(iter(centre_hz.values())))
    first = first[np.isfinite(first)]
    low_pass = (first < LOWEST * fmin_hz).sum()
    if len(first) - low_pass > 1:
        low, high = first[low_pass], first[-1]
        share = np.linspace(0, 1, 200)
        place = (low_pass + 0.5 + share * (len(first) - low_pass - 1)) / len(first)
        for name, style, to, back in (
            ("mel scale", "--", partial(librosa.hz_to_mel, htk=True), partial(librosa.mel_to_hz, htk=True)),
            ("ERB scale", ":", lambda f: np.log10(1 + 0.00437 * f), lambda e: (10**e - 1) / 0.00437),
            ("linear", "-", lambda f: f, lambda f: f),
        ):
            ax.plot(place, back(to(low) + share * (to(high) - to(low))), style, color=QUIET, linewidth=1, label=name)
    at_lowest = []
    for look, centres in zip(looks(centre_hz, untrained), centre_hz.values(), strict=True):
        found = np.sort(np.asarray(centres)[np.isfinite(centres)])
        place = (np.arange(len(found)) + 0.5) / max(len(found), 1)
        look["label"] += f" ({len(found)})"
        ax.plot(place, found, linestyle="none", markersize=4, alpha=0.9, **look)
        at_lowest += list(place[found < LOWEST * fmin_hz])
    if at_lowest:
        words = "answer most to the lowest tone"
        ax.annotate(words, (max(at_lowest), fmin_hz), (8, 0), textcoords="offset points", va="center", fontsize=9)
    frequency_axis(ax.yaxis, fmin_hz / 1.2, fmax_hz * 1.1)
    ax.set(title=title, xlabel="share of channels", ylabel="centre frequency (Hz)", xlim=(-0.02, 1.02))
    legend_beside(ax)
    return ax


ESTIMATORS = {
    "weights": "weights\n(exact, of the maps below)",
    "H1": "H1\n(best linear filters)",
    "ratio": "ratio\n(spectra divided: no filter)",
    "tone probe": "tone probe\n(from the waveform)",
}
# What a panel's frequencies are those of: the ratio ends at the Nyquist frequency of the stage's own map.
HERTZ = {
    "weights": "Hz in the maps below",
    "H1": "Hz in the maps below",
    "ratio": "Hz in the stage's own maps",
    "tone probe": "Hz of the sound",
}


def construction(
    stages: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray] | str]],
    orders: Mapping[str, np.ndarray],
    *,
    notes: Mapping[str, Mapping[str, str]] | None = None,
    title: str = "How each stage builds its filters on the level below",
) -> np.ndarray:
    """Draw every stage's filters by every estimator: one row a stage, one column an estimator, channels as lines.

    Parameters
    ----------
    stages : dict of str -> dict of str -> (frequencies (n,), gain (n, channels)) or str
        By stage and estimator ("weights", "H1", "ratio", "tone probe"); a reason stands where there is no curve.
    orders : dict of str -> array (channels,)
        From bottom to top: one order for all panels of a stage, so that a line is the same channel in each.
    notes : dict of str -> dict of str -> str, optional
        By stage and estimator, what is written into a panel, for example the linear fraction of H1.

    Returns
    -------
    array (stages, estimators) of Axes
    """
    figure, axes = plt.subplots(
        len(stages), len(ESTIMATORS), figsize=(12.5, 1.2 + 1.55 * len(stages)), squeeze=False, layout="constrained"
    )
    explained = "dark: the channel's peak; light: as far below it as the corner says"
    figure.suptitle(f"{title} ({explained})", x=0.01, ha="left", fontsize=12, fontweight="bold")
    for row, (stage, panels) in zip(axes, stages.items(), strict=True):
        row[0].set_ylabel(f"{stage}\n{len(orders[stage])} channels", fontsize=10)
        for ax, name in zip(row, ESTIMATORS, strict=True):
            _panel(ax, panels[name], orders[stage], log=name == "tone probe")
            if not isinstance(panels[name], str):
                ax.set_xlabel(HERTZ[name], fontsize=8, labelpad=1)
            if words := (notes or {}).get(stage, {}).get(name):
                _corner(ax, words, 0.98, 0.92, "right", "top")
    for ax, heading in zip(axes[0], ESTIMATORS.values(), strict=True):
        ax.set_title(heading, fontsize=10, fontweight="bold", loc="left")
    return axes


def _corner(ax: Axes, words: str, x: float, y: float, ha: str, va: str) -> None:
    patch = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
    ax.text(x, y, words, transform=ax.transAxes, ha=ha, va=va, fontsize=8, bbox=patch)


def _panel(ax: Axes, found: tuple[np.ndarray, np.ndarray] | str, order: np.ndarray, log: bool) -> None:
    """One stage by one estimator as a heat map with a range of its own, or the reason for its absence."""
    ax.set_yticks([])
    if isinstance(found, str):
        ax.set(xticks=[], xlim=(0, 1), ylim=(0, 1))
        ax.spines[:].set_visible(False)
        words = "\n".join(textwrap.wrap(found, 40)[:7])
        ax.text(0.02, 0.5, words, va="center", fontsize=8, color="#5d6672", in_layout=False)
        return
    frequencies, gain = found
    curves = np.stack([_decibels(gain[:, channel]) for channel in order])
    floor = float(np.clip(np.floor(np.nanpercentile(curves, 5)), -30, -3))
    rows = np.arange(len(order))
    ax.pcolormesh(frequencies, rows, curves, cmap=SEQUENTIAL, vmin=floor, vmax=0, shading="nearest", rasterized=True)
    ax.set_facecolor("#d8d5cc")  # where a curve is NaN
    _corner(ax, f"{floor:.0f} dB".replace("-", "\u2212"), 0.02, 0.08, "left", "bottom")
    if log:
        frequency_axis(ax.xaxis, frequencies[0], frequencies[-1])
        ax.set_xticks([50, 200, 1000, 5000], ["50", "200", "1k", "5k"])
    ax.tick_params(labelsize=8)


def _decibels(amplitude: np.ndarray) -> np.ndarray:
    """dB below the curve's own peak, with a floor a little under what is drawn."""
    peak = np.fmax.reduce(amplitude, initial=1e-12)  # passes over NaN
    return 20 * np.log10(np.maximum(amplitude / peak, 10 ** ((FLOOR_DB - 20) / 20)))
