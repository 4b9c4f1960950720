"""Probes find what is in a stage, and nothing in noise."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from tagkit.analysis.causes import probes
from tagkit.analysis.similarity import Summaries


def portrait(rng, clips=120, held_out=40, told_by="conv2"):
    """Two stages of noise, one of which also holds a tag, spread over two channels; two clips of each piece."""
    pieces = np.array([f"piece {i // 2}" for i in range(clips)])
    labels = rng.integers(0, 2, (clips // 2, 2)).repeat(2, axis=0).astype(bool)
    own = {stage: rng.normal(0, 1, (clips // 2, 6)).repeat(2, axis=0) for stage in ("conv1", "conv2")}
    if told_by:
        both = labels[:, 0] * 2.0 + own[told_by][:, 3]  # channel 3 alone says little: channel 4 holds what hides it
        own[told_by] = np.column_stack([own[told_by][:, :3], both, own[told_by][:, 3], own[told_by][:, 5]])
    heard = Summaries(own, {stage: rng.normal(0, 1, x.shape) for stage, x in own.items()}, own, {})
    return SimpleNamespace(
        name="known",
        tags=("a", "b"),
        labels=labels,
        pieces=pieces,
        held_out=held_out,
        stages=["conv1", "conv2"],
        trained=SimpleNamespace(heard=heard),
    )


def test_a_stage_that_holds_a_tag_is_told_from_one_that_does_not():
    known = portrait(np.random.default_rng(0))
    known.labels = np.column_stack([known.labels[:, 0], known.labels[:, 0]])
    found = probes.probe(known)
    assert found["conv2"].value > 0.95
    assert found["conv1"].low < 0.5 < found["conv1"].high


def test_noise_tells_nothing_as_often_as_stated():
    """Intervals of stages that know nothing hold .5 in 95 % of cases; two clips of a piece count once."""
    rng = np.random.default_rng(1)
    intervals = [each for _ in range(8) for each in probes.probe(portrait(rng, told_by=None)).values()]
    held = sum(each.low <= 0.5 <= each.high for each in intervals)
    low, high = stats.binomtest(held, len(intervals)).proportion_ci(0.999)
    assert low <= 0.95 <= high


def test_it_needs_clips_to_learn_from():
    known = portrait(np.random.default_rng(2))
    known.held_out = len(known.labels)
    with pytest.raises(ValueError, match="known: all 120 clips of the portrait are held out; measure more clips"):
        probes.probe(known)
