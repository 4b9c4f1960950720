"""Packages in all four formats, opened by their own runtimes, without tagkit."""

import dataclasses
import json
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
import soundfile

from tagkit import audio, cli
from tagkit.deploy.export import ExportError, export, runtimes
from tagkit.deploy.export.portable import portable
from tagkit.evaluation.tag import Tagger
from tagkit.graph import windowing, zoo
from tagkit.graph.fast.norm import BatchNormalization
from tagkit.training.config import TrainingConfig
from tagkit.training.loop import train
from tagkit.training.runs import Run

FORMATS = ["keras", "savedmodel", "onnx", "litert"]
# Runs a script where tagkit cannot be imported.
ALONE = (
    "import runpy, sys; sys.modules['tagkit'] = None; sys.argv = sys.argv[1:]; "
    "runpy.run_path(sys.argv[0], None, '__main__')"
)


@pytest.fixture(scope="module")
def packages(run, tmp_path_factory):
    root = tmp_path_factory.mktemp("packages")
    return {form: export(run, form, root / form) for form in FORMATS}


def music(window, count=3, seed=0):
    """Decaying tones in noise, and a window of silence: (count + 1, window) float32."""
    rng = np.random.default_rng(seed)
    t = np.arange(window) / 16_000
    sounds = [
        0.3 * np.sin(2 * np.pi * hz * t) * np.exp(-3 * (t % 0.5)) + 0.01 * rng.standard_normal(window)
        for hz in np.geomspace(110, 1760, count)
    ]
    return np.stack([*sounds, np.zeros(window)]).astype(np.float32)


def keras_scores(model, x):
    return keras.ops.convert_to_numpy(keras.ops.sigmoid(model(x[..., None], training=False)))


@pytest.mark.parametrize("form", FORMATS)
def test_the_script_gives_the_scores_without_tagkit(form, packages, run, tmp_path):
    package = packages[form]
    y = np.random.default_rng(1).normal(0, 0.1, (round(7.3 * 44_100), 2))
    soundfile.write(tmp_path / "song.flac", y, 44_100)
    done = tag_alone(package, tmp_path / "song.flac")
    assert done.returncode == 0, done.stderr
    said = {tag: float(score) for score, tag in (line.split(" ", 1) for line in done.stdout.splitlines())}
    tagged = Tagger(run)(tmp_path / "song.flac")
    assert set(said) == set(run.tags)
    np.testing.assert_allclose([said[tag] for tag in run.tags], tagged.scores, atol=1e-4)


def test_the_script_repeats_what_is_shorter_than_a_window(packages, run, tmp_path):
    y = 0.2 * np.sin(2 * np.pi * 880 * np.arange(8_000) / 16_000)
    soundfile.write(tmp_path / "note.wav", y, 16_000)
    done = tag_alone(packages["onnx"], tmp_path / "note.wav")
    assert "lasts 0.50 s and is repeated to fill a window" in done.stderr
    said = {tag: float(score) for score, tag in (line.split(" ", 1) for line in done.stdout.splitlines())}
    scores = Tagger(run)(tmp_path / "note.wav").scores
    np.testing.assert_allclose([said[tag] for tag in run.tags], scores, atol=1e-4)


def tag_alone(package, path):
    command = [sys.executable, "-c", ALONE, str(package.root / "tag.py"), str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_script_streams(packages, tmp_path):
    """Ten minutes in stereo at 44.1 kHz: as floats 212 MB, and as many windows of that as there are in it 50 GB."""
    minute = np.random.default_rng(0).normal(0, 0.1, (60 * 44_100, 2))
    with soundfile.SoundFile(tmp_path / "long.wav", "w", 44_100, 2) as sound:
        for _ in range(10):
            sound.write(minute)
    code = "print(*(line for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    command = [
        sys.executable,
        "-c",
        f"{ALONE}; {code}",
        str(packages["onnx"].root / "tag.py"),
        str(tmp_path / "long.wav"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout.rpartition("VmHWM:")[2].split()[0]) < 900_000, "kilobytes"
    assert len(done.stdout.splitlines()) == 3 + 2


def test_the_script_says_what_is_wrong_with_a_file(packages, tmp_path):
    """One after the other in one process, as loading the runtime takes seconds."""
    y = np.random.default_rng(0).normal(0, 0.1, 48_000)
    for name in ("cut.wav", "cut.flac"):
        soundfile.write(tmp_path / name, y, 16_000)
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) // 2])
    soundfile.write(tmp_path / "nan.wav", np.where(np.arange(48_000) == 7, np.nan, y), 16_000, "FLOAT")
    soundfile.write(tmp_path / "loud.wav", 30_000 * y, 16_000, "FLOAT")
    soundfile.write(tmp_path / "silence.wav", 0 * y, 16_000)
    soundfile.write(tmp_path / "cancelled.wav", np.stack([y, -y], 1), 16_000)
    audio.save(tmp_path / "song.m4a", y, 16_000)
    (tmp_path / "text.mp3").write_text("no sound")
    said = {
        "cut.wav": "is truncated|is damaged",
        "cut.flac": "is truncated|lost sync|is damaged",
        "nan.wav": "holds NaN or infinity",
        "loud.wav": "where full scale is 1",
        "silence.wav": "^silence$",
        "cancelled.wav": "cancel each other",
        "song.m4a": r"^(\.\d+|0\.\d+) |ffmpeg, which might, is not installed",
        "text.mp3": "ffmpeg, which might, is not installed|is no audio file",
        "nowhere.mp3": "is not a file",
    }
    code = (
        "import runpy, sys; sys.modules['tagkit'] = None; main = runpy.run_path(sys.argv[1])['main']\n"
        "for path in sys.argv[2:]:\n    print('##', path)\n    try: main(path)\n    except SystemExit as e: print(e)"
    )
    paths = [str(tmp_path / name) for name in said]
    command = [sys.executable, "-c", code, str(packages["onnx"].root / "tag.py"), *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    answers = [answer.partition("\n")[2].strip() for answer in done.stdout.split("## ")[1:]]
    for (name, words), answer in zip(said.items(), answers, strict=True):
        assert re.search(words, answer.removeprefix(str(tmp_path / name)).strip(), re.M), (name, answer)
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("form", FORMATS)
def test_a_package_says_what_it_is(form, packages, run, tone_records):
    content = json.loads((packages[form].root / "model.json").read_text())
    assert content["tags"] == ["low", "middle", "high"]
    assert content["sample_rate"] == 16_000 and content["window"] == 38_832
    assert content["trained_on"]["data"] == tone_records.fingerprint and content["trained_on"]["split"] == "order"
    assert content["scores"]["part"] == "test" and set(content["scores"]["tags"]) == set(run.tags)
    assert content["checked"]["largest_difference"] < 1e-4 and content["checked"]["of"].startswith("windows of tones")
    assert {p.name for p in packages[form].root.iterdir()} == {"README.md", "model.json", "tag.py", content["file"]}
    card = (packages[form].root / "README.md").read_text()
    for heading in ("## Use", "## Data", "## Scores", "## Intended use, and limits"):
        assert heading in card
    assert 'split "order"' in card and "Calibration, on the 6 clips" in card and not re.search(r"None(?!, {)", card)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", ["logmel"])
def test_a_spectrogram_network_is_the_same_in_every_format(form, name, tmp_path):
    """Its own layers, an FFT among them, are written out in plain ones."""
    model = zoo.build(name, n_tags=4, seed=1)
    x = music(model.input_shape[1])
    network = portable(model)
    network(x)
    kind = runtimes.FORMATS[form]
    kind.write(network, tmp_path / kind.file)
    np.testing.assert_allclose(kind.open(tmp_path / kind.file)(x), keras_scores(model, x), atol=1e-4)


@pytest.mark.parametrize("name", ["ds256ra_stochastic", "ds256fa", "musicnn", "shortchunk_res", "crnn_bi"])
def test_every_kind_of_layer_can_be_written_in_plain_ones(name):
    model = zoo.build(name, n_tags=4, seed=1)
    x = music(model.input_shape[1], count=1)
    plain = portable(model)
    np.testing.assert_allclose(plain.predict_on_batch(x), keras_scores(model, x), atol=1e-4)
    layers = plain.get_config()["layers"] + plain.layers[2].get_config()["layers"]
    assert not any("tagkit" in str(layer.get("module")) + str(layer.get("registered_name")) for layer in layers)


def test_recurrences_are_written_out_for_litert(tmp_path):
    model = zoo.build("crnn_mel", n_tags=4, seed=1)
    x = music(model.input_shape[1], count=1)
    network = portable(model, unroll=True)
    network(x)
    kind = runtimes.FORMATS["litert"]
    kind.write(network, tmp_path / kind.file)
    np.testing.assert_allclose(kind.open(tmp_path / kind.file)(x), keras_scores(model, x), atol=1e-4)


def test_dm16_as_it_is_trained_goes_to_onnx(tone_records, tmp_path):
    """Its batch norms are tagkit's own, and have moved; in the package they are the runtime's."""
    config = TrainingConfig(model="dm16", steps=6, batch_size=4, eval_every=3)
    run = train(config, tone_records, tmp_path / "run", progress=False)
    model = run.model()
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert norms and all(type(layer) is BatchNormalization for layer in norms)
    assert all(np.abs(layer.moving_mean).max() > 0 for layer in norms)
    package = export(run, "onnx", tmp_path / "package")
    x = music(38_832)
    score = runtimes.FORMATS["onnx"].open(package.root / package.content["file"])
    np.testing.assert_allclose(score(x), keras_scores(model, x), atol=1e-4)


def test_the_command_says_where_it_lies_and_refuses_to_overwrite(run, capsys):
    assert cli.main(["export", str(run.root), "--format", "keras"]) == 0
    place = run.root / "export" / "keras"
    assert str(place) in capsys.readouterr().out and (place / "model.keras").is_file()
    assert cli.main(["export", str(run.root), "--format", "keras"]) == 1
    assert "exists; remove it" in capsys.readouterr().err


def test_without_records_it_says_that_scores_are_not_known(run, tmp_path):
    moved = Run(run.root, run.record | {"records": str(tmp_path / "gone")})
    package = export(moved, "keras", tmp_path / "package")
    assert package.content["checked"]["of"] == "noise" and package.content["scores"] is None
    assert "Scores are not known" in (package.root / "README.md").read_text()


def test_a_format_that_gives_other_scores_is_refused_and_leaves_nothing(run, tmp_path, monkeypatch):
    kind = runtimes.FORMATS["keras"]

    def opened(path):
        score = kind.open(path)
        return lambda x: score(x) + 2e-4

    monkeypatch.setitem(runtimes.FORMATS, "keras", dataclasses.replace(kind, open=opened))
    with pytest.raises(ExportError, match="from Keras'"):
        export(run, "keras", tmp_path / "package")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_exported_says_why(run, tmp_path, monkeypatch):
    with pytest.raises(ExportError, match="choose one of keras, savedmodel, onnx, litert"):
        export(run, "torch", tmp_path / "package")
    kind = dataclasses.replace(runtimes.FORMATS["onnx"], needs=("a_module_that_is_nowhere",))
    monkeypatch.setitem(runtimes.FORMATS, "onnx", kind)
    with pytest.raises(ValueError, match=r"a_module_that_is_nowhere; run in .*: pip install -e '.\[export\]'"):
        export(run, "onnx", tmp_path / "package")
    monkeypatch.setattr(Run, "model", lambda self: windowing.superpool("ds256ra", "mean", 3))
    with pytest.raises(ExportError, match="one window"):
        export(run, "keras", tmp_path / "package")


@pytest.mark.real_data
@pytest.mark.parametrize("form", FORMATS)
def test_real_recordings_score_the_same_in_every_format(form, packages, run, real_data):
    clips = sorted((real_data / "mini-mtat" / "mp3").rglob("*.mp3"), key=lambda p: p.stat().st_size)[-200::20]
    windows = np.stack([audio.load(clip, 16_000)[k * 38_832 :][:38_832] for clip in clips for k in (0, 5, 11)])
    assert len(windows) == 30 and windows.std(axis=1).min() > 0
    score = runtimes.FORMATS[form].open(packages[form].root / packages[form].content["file"])
    np.testing.assert_allclose(score(windows), keras_scores(run.model(), windows), atol=1e-4)
