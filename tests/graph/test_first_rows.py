import keras
import numpy as np
import pytest

from tagkit import graph
from tagkit.graph import zoo

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn.t accept a copy:DeprecationWarning")


@pytest.mark.parametrize("name", ["dm8", "dm16", "ds256ra", "logmel"])
def test_first_rows_build_save_and_reload(name, tmp_path):
    model = zoo.build(name, n_tags=5)
    y = np.random.default_rng(0).uniform(-0.1, 0.1, (2, zoo.ROWS[name].samples, 1)).astype("float32")
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(model(y), again(y), atol=1e-6)
    assert list(graph.stages(again)) == list(graph.stages(model))
    assert graph.stages(model)["logits"].shape == (None, 5)
