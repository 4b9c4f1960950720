"""Building and training leave AutoGraph alone: where it cannot transform a function, it warns in users' faces."""

from tensorflow.python.autograph.impl import api

from tagkit.training.config import TrainingConfig
from tagkit.training.loop import train


def test_nothing_of_ours_is_transformed_and_nothing_is_said(tone_records, tmp_path, monkeypatch, caplog):
    transformed, convert = [], api._convert_actual

    def noted(entity, context):
        transformed.append(getattr(entity, "__module__", None) or "")
        return convert(entity, context)

    monkeypatch.setattr(api, "_convert_actual", noted)
    # Its second stage has maps that are long enough for every trick.
    config = TrainingConfig("samplecnn", steps=1, batch_size=1, eval_every=1)
    train(config, tone_records, tmp_path, progress=False)
    assert not [module for module in transformed if module.startswith(("tagkit.graph", "tagkit.training"))]
    assert "AutoGraph" not in caplog.text
