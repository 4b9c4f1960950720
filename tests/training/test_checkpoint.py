import keras
import numpy as np
import pytest

from tagkit.graph import zoo
from tagkit.training import checkpoint, optimizers
from tagkit.training.checkpoint import CHECKPOINT, Progress
from tagkit.training.config import TrainingConfig
from tagkit.training.runs import TrainingError


def variables(row="ds256ra", n_tags=3):
    """All that the next step of a network depends on, by path."""
    model, config = zoo.build(row, n_tags), TrainingConfig()
    optimizer = optimizers.build_optimizer(config, config.schedule[0])
    optimizer.build(model.trainable_variables)
    return checkpoint.variables(model, optimizer)


def test_paths_are_the_same_however_many_networks_there_were_before():
    """Keras numbers optimizers and random generators through a process, and a resumed run may be in another one."""
    first = variables("crnn_mel")
    keras.optimizers.Adam()
    assert list(variables("crnn_mel")) == list(first)
    assert {"conv1_conv/kernel", "conv1_drop/seed_generator_1", "optimizer/iteration"} <= first.keys()


@pytest.mark.parametrize("row", ["crnn", "dm16_stochastic", "musicnn"])
def test_no_variable_is_left_out(row):
    model, config = zoo.build(row, 3), TrainingConfig()
    optimizer = optimizers.build_optimizer(config, config.schedule[0])
    optimizer.build(model.trainable_variables)
    kept = {id(v) for v in checkpoint.variables(model, optimizer).values()}
    assert kept == {id(v) for v in (*model.variables, *optimizer.variables)}


def test_what_is_written_is_restored(tmp_path):
    saved, other = variables(), variables()
    for number, variable in enumerate(saved.values()):
        variable.assign(np.full(variable.shape, number))
    progress = Progress(step=7, phase=1, history=[{"valid_roc_auc": 0.5}], losses=[np.float32(0.25)])
    checkpoint.write(tmp_path, progress, saved)
    found = checkpoint.read(tmp_path)
    found.restore(other)
    assert found.progress == Progress(step=7, phase=1, history=[{"valid_roc_auc": 0.5}], losses=[0.25])
    for path, variable in other.items():
        np.testing.assert_array_equal(variable, saved[path])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"conv1_conv/bias": np.zeros(7, "f4")}, r"has conv1_conv/bias as float32 \(7,\), but .* float32 \(128,\)"),
        ({"conv1_conv/bias": np.zeros(128)}, r"has conv1_conv/bias as float64 \(128,\), but .* float32 \(128,\)"),
        ({"conv1_conv/bias": None}, "conv1_conv/bias is missing"),
        ({"conv9_conv/bias": np.zeros(3, "f4")}, "conv9_conv/bias is only in the checkpoint"),
    ],
)
def test_a_variable_that_does_not_fit_is_named_and_none_changes(change, says, tmp_path):
    saved, here = variables(), variables()
    saved["conv1_conv/kernel"].assign(saved["conv1_conv/kernel"] + 1)
    checkpoint.write(tmp_path, Progress(), saved)
    found, before = checkpoint.read(tmp_path), here["conv1_conv/kernel"].numpy()
    for path, array in change.items():
        found.arrays.pop(path, None)
        found.arrays.update({} if array is None else {path: array})
    with pytest.raises(TrainingError, match=says + ".*; remove .*checkpoint.npz and train again"):
        found.restore(here)
    np.testing.assert_array_equal(here["conv1_conv/kernel"], before)


def test_a_checkpoint_of_an_older_tagkit_says_what_to_do(tmp_path):
    np.savez(tmp_path / CHECKPOINT, progress='{"step": 3, "stage": 0}', variable_0=np.zeros(3))
    with pytest.raises(TrainingError, match=r"checkpoint.npz was written by an older tagkit; remove it and train"):
        checkpoint.read(tmp_path)
