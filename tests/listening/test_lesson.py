import matplotlib.pyplot as plt
import numpy as np
import pytest

from tagkit.evaluation.tag import Tagger
from tagkit.listening import lesson
from tagkit.training.config import TrainingConfig
from tagkit.training.loop import train


@pytest.fixture(scope="module")
def run(tone_records, tmp_path_factory):
    config = TrainingConfig(model="ds256ra", steps=4, batch_size=4, eval_every=2)
    return train(config, tone_records, tmp_path_factory.mktemp("runs") / "short", progress=False)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_learning_shows_what_the_run_recorded_over_the_examples_it_saw(run):
    for ax, key in zip(lesson.learning(run), ("loss", "valid_roc_auc"), strict=True):
        (line,) = ax.get_lines()
        np.testing.assert_array_equal(line.get_xdata(), [8, 16])  # 2 and 4 steps of 4 windows
        np.testing.assert_array_equal(line.get_ydata(), [h[key] for h in run.record["history"]])
        assert line.get_label() == "short"


def test_first_filters_stand_before_and_after_training(run):
    before, after = lesson.first_filters(run)
    assert "before" in before.get_title(plt.rcParams["axes.titlelocation"]) and "after" in after.get_title(
        plt.rcParams["axes.titlelocation"]
    )
    pictures = [ax.collections[0].get_array() for ax in (before, after)]
    assert pictures[0].shape == pictures[1].shape and not np.array_equal(*pictures)


def test_a_taggram_ticks_the_tags_that_the_clip_has_and_leaves_none_of_them_out(run, tone_catalog):
    clip = tone_catalog.clip(0)
    ax = lesson.taggram(run, clip, top=0)
    assert {label.get_text() for label in ax.get_yticklabels()} == {f"\N{CHECK MARK} {tag}" for tag in clip.tags}
    everything = lesson.taggram(run, clip, top=100)
    order = Tagger(run)(clip.path).top(100)
    assert [label.get_text().removeprefix("\N{CHECK MARK} ") for label in everything.get_yticklabels()] == list(order)
