"""Channels that tell a tag.

ROC-AUC by sklearn, p-values by scipy and their correction written out, and one deal of the labels of a network's null.
False positives: channels that know nothing, and channels that know a clip's level alone while the level goes with a
tag, heard at equal RMS, should tell a tag in no more than one set of clips in twenty. The gain of a network whose
channels know nothing over one with fewer of them should be 0 on average. The plain difference between their best
channels, which one null for both would leave, stands beside it.
"""

import numpy as np
from scipy import stats
from sklearn.metrics import roc_auc_score

from tagkit.analysis import selectivity
from validation.findings import Agreement, Rate

CLIPS, TAGS, CHANNELS = 61, 12, 96
TRIALS, QUICK_TRIALS = 200, 6


def run(quick: bool) -> list[Agreement | Rate]:
    """Compare single numbers, count false positives."""
    trials = QUICK_TRIALS if quick else TRIALS
    nothing, loudness, gains, plain = 0, 0, [], []
    for trial in range(trials):
        rng = np.random.default_rng([5, trial])
        labels = rng.random((CLIPS, TAGS)) < 0.25
        wide, narrow = _channels(rng, CHANNELS), np.repeat(_channels(rng, 6), CHANNELS // 6, axis=1)
        found = [selectivity.of_stages({"s": x}, {"s": x}, labels, range(TAGS)) for x in (wide, narrow)]
        nothing += selectivity.count(found[0]) > 0
        clips = rng.normal(size=(CLIPS, 800)) * 10 ** (labels[:, :1] + 0.2 * rng.normal(size=(CLIPS, 1)))
        heard = _rectified(np.stack([selectivity.level_matched(y) for y in clips]), rng)
        loudness += selectivity.count(selectivity.of_stages({"s": heard}, {"s": heard}, labels, range(TAGS))) > 0
        scored = [
            (selectivity.best_of(f), selectivity.chance({"s": x}, {"s": x}, labels, permutations=30, seed=trial))
            for f, x in zip(found, (wide, narrow), strict=True)
        ]
        gains.append(selectivity.best_gain(*scored).value)
        plain.append(float(np.nanmean(scored[0][0] - scored[1][0])))
    reach = 3.3 * np.std(gains) / np.sqrt(trials)
    return [
        *_single_numbers(),
        Agreement("gain of channels that know nothing over fewer of them", float(np.mean(gains)), 0.0, "known", reach),
        Rate("plain difference is above .05", int((np.array(plain) > 0.05).sum()), trials, 0.0, 1.0),
        Rate("some channel tells a tag: channels know nothing", int(nothing), trials, 0.0, 0.05),
        Rate("some channel tells a tag: channels know the level alone", int(loudness), trials, 0.0, 0.05),
    ]


def _channels(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.normal(size=(CLIPS, count))


def _rectified(clips: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mean activity of channels that filter a clip at random and rectify it (clips, channels)."""
    spectra = np.fft.rfft(clips, axis=1)
    filters = rng.normal(size=(24, spectra.shape[1]))
    return np.stack([np.maximum(np.fft.irfft(spectra * f, axis=1), 0).mean(axis=1) for f in filters], axis=1)


def _single_numbers() -> list[Agreement]:
    rng = np.random.default_rng(0)
    labels, x = rng.random((CLIPS, 3)) < 0.3, rng.integers(0, 20, (CLIPS, 5)) / 20
    found = selectivity.selectivity(x, x[:, ::-1], labels, "abc")
    p = [
        stats.mannwhitneyu(c[labels[:, t]], c[~labels[:, t]], method="asymptotic", use_continuity=False).pvalue
        for each in (x, x[:, ::-1])
        for c in each.T
        for t in range(3)
    ]
    ranked = np.argsort(p)
    steps = np.asarray(p)[ranked] * len(p) / np.arange(1, len(p) + 1)
    adjusted = np.minimum.accumulate(steps[::-1])[::-1]
    dealt = labels[np.random.default_rng(3).permutation(CLIPS)]
    null = selectivity.chance({"s": x}, {"s": x}, labels, permutations=1, seed=3)
    best = max(roc_auc_score(dealt[:, 0], column) for column in x.T)
    smallest = min(each.min() for each in found.adjusted.values())
    rows = (
        ("ROC-AUC of a channel, ties", found.auc["mean"][2, 1], roc_auc_score(labels[:, 1], x[:, 2]), "sklearn"),
        ("smallest adjusted p", smallest, adjusted[0], "scipy, by hand"),
        ("best channel of labels dealt out anew", null.best[0, 0], best, "sklearn"),
    )
    return [Agreement(name, float(tool), float(other), source, 1e-9) for name, tool, other, source in rows]
