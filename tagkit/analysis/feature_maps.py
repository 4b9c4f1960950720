"""Feature maps: the output of every stage of a network for a whole clip, in one pass, with its geometry."""

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import keras
import numpy as np

from tagkit import graph
from tagkit.analysis import geometry
from tagkit.analysis.geometry import Stage
from tagkit.system import files

ONE_PASS = 2**20  # samples; longer clips are computed in blocks, which bounds the memory
WINDOWS_AT_ONCE = 4
Swap = Callable[[keras.Layer], keras.Layer | None]  # what stands in a layer's place; None: a copy


@dataclass(frozen=True)
class FeatureMaps:
    """The stages of one network for one clip.

    Attributes
    ----------
    maps : dict of str -> ndarray (frames, channels), float32
    geometry : dict of str -> Stage
        `frames` is that of the map.
    y : ndarray (samples,), float32
        The clip.
    sr : int
    model : str
        The network's name.
    """

    maps: dict[str, np.ndarray] = field(repr=False)
    geometry: dict[str, Stage]
    y: np.ndarray = field(repr=False)
    sr: int
    model: str = ""

    def stage(self, name: str) -> Stage:
        """The geometry of a stage; KeyError names the stages that there are."""
        if name not in self.geometry:
            raise KeyError(f"{self.model or 'the network'} has no stage {name!r} here; choose one of {list(self.maps)}")
        return self.geometry[name]

    def channel(self, stage: str, channel: int) -> np.ndarray:
        """One channel's map (frames,); KeyError or IndexError says which stages or channels there are."""
        channels = self.stage(stage).channels
        if not 0 <= channel < channels:
            raise IndexError(f"{stage} has channels 0 to {channels - 1}, not {channel}")
        return self.maps[stage][:, channel]

    def times(self, stage: str) -> np.ndarray:
        """The centre of every frame of a stage (frames,), seconds."""
        return self.stage(stage).time(np.arange(len(self.maps[stage])))

    def save(self, path: Path | str) -> Path:
        """Write maps, clip and geometry into one .npz file."""
        about = {"sr": self.sr, "model": self.model, "stages": [dataclasses.asdict(s) for s in self.geometry.values()]}
        with files.atomic(Path(path)) as temporary, temporary.open("wb") as out:
            np.savez(out, about=json.dumps(about), y=self.y, **{f"map_{k}": v for k, v in self.maps.items()})
        return Path(path)

    @classmethod
    def load(cls, path: Path | str) -> "FeatureMaps":
        """Read what `save` wrote."""
        with np.load(path) as stored:
            about = json.loads(str(stored["about"]))
            stages = {stage["name"]: Stage(**{"sr": about["sr"]} | stage) for stage in about["stages"]}
            maps = {name: stored[f"map_{name}"] for name in stages}
            return cls(maps, stages, stored["y"], about["sr"], about["model"])


def trunk(
    model: keras.Model,
    samples: int | None,
    stages: Sequence[str] | None = None,
    swap: Swap = lambda layer: None,
) -> keras.Model:
    """The part of a network that has a time axis, rebuilt for another input length, with copied weights.

    Parameters
    ----------
    samples : int or None
        Length of the new input ``(batch, samples, 1)``; None for any length.
    stages : sequence of str, optional
        Which stages are its outputs (default: all that have a time axis), in the network's order.
    swap : callable, optional
        Gives the layer that shall stand in the place of another one, with the same weights; None for a copy.

    Returns
    -------
    keras.Model
        Its outputs are a list, in the order of the stages.

    Raises
    ------
    ValueError
        If the clip is shorter than what a stage needs, or a layer is bound to the network's own length.
    """
    span_of = geometry.walk(model)
    outputs = geometry.tensors(model)
    names = [stage.name for stage in select(geometry.stages(model), stages)]
    part = keras.Model(model.inputs[0], [outputs[name] for name in names])

    def copy(layer: keras.Layer) -> keras.Layer:
        if (other := swap(layer)) is not None:
            return other
        settings = layer.get_config()
        axis = span_of(layer.output).axis
        if isinstance(layer, keras.layers.Reshape) and axis is not None:
            shape = list(settings["target_shape"])
            shape[axis - 1] = -1
            settings["target_shape"] = tuple(shape)
        return type(layer).from_config(settings)

    source = keras.Input((samples, 1), name=model.inputs[0].name)
    try:
        rebuilt = keras.models.clone_model(part, input_tensors=source, clone_function=copy)
        for layer in rebuilt.layers:
            layer.set_weights(part.get_layer(layer.name).get_weights())
    except ValueError as error:
        raise ValueError(
            f"{model.name} cannot be rebuilt for {samples} samples up to stage {names[-1]}: the clip is too short for "
            f"it, or a layer is bound to the network's own length ({error})."
        ) from error
    network = keras.Model(source, list(rebuilt.outputs), name=model.name)
    network.sr = graph.sampling_rate(model)
    return network


def select(available: Sequence[Stage], wanted: Sequence[str] | None) -> list[Stage]:
    """Those of `available` that are named in `wanted` (None: all); ValueError names one that is not there."""
    names = [stage.name for stage in available]
    for name in wanted or ():
        if name not in names:
            raise ValueError(f"there is no stage {name!r} with a time axis; choose from {', '.join(names)}.")
    return [stage for stage in available if wanted is None or stage.name in wanted]


def frames_by_channels(output: np.ndarray | keras.KerasTensor, axis: int, xp: ModuleType = np):
    """A stage's output (batch, ...) as (batch, frames, channels); a frequency axis is averaged, bands stay.

    `xp` is numpy or, where a gradient must flow, `keras.ops`.
    """
    maps = xp.moveaxis(output, axis, 1)
    if len(maps.shape) == 4:
        maps = maps[..., 0] if maps.shape[-1] == 1 else xp.mean(maps, axis=2)
    return maps


class FeatureExtractor:
    """Computes feature maps of a network, clip after clip; holds the rebuilt trunk between clips of one length.

    Parameters
    ----------
    model : keras.Model
        From `tagkit.graph.zoo.build`, or any functional network that names its layers ``{stage}_{operation}``.
    stages : sequence of str, optional
        Default: all that have a time axis.

    Notes
    -----
    Convolutional stages are computed on the whole clip. Stages whose frames see more than a fixed field (`exact`
    is False: recurrences, squeeze-excitation, attention) are computed window by window, as the network was trained,
    with windows that follow each other at a whole number of frames. Clips over about a minute are computed in blocks.
    """

    def __init__(self, model: keras.Model, stages: Sequence[str] | None = None):
        self.model = model
        chosen = select(geometry.stages(model), stages)
        self.names = [stage.name for stage in chosen]
        fixed = model.input_shape[1] is not None
        self._whole = [stage.name for stage in chosen if stage.exact or not fixed]
        self._windowed = [stage for stage in chosen if not stage.exact and fixed]
        outputs = geometry.tensors(model)
        self._window = keras.Model(model.inputs[0], [outputs[stage.name] for stage in self._windowed] or model.outputs)
        self._trunks: dict[int, tuple[keras.Model, list[Stage]]] = {}

    def __call__(self, y: np.ndarray) -> FeatureMaps:
        """The FeatureMaps of one clip `y` (samples,), float in [-1, 1)."""
        y = np.asarray(y)
        if y.ndim != 1 or y.dtype.kind != "f":
            raise ValueError(f"a clip is a float array (samples,) in [-1, 1), not {y.dtype} of shape {y.shape}.")
        y = y.astype(np.float32)
        found = self._whole_clip(y) if self._whole else {}
        if self._windowed:
            found |= self._by_windows(y)
        maps = {name: found[name][0] for name in self.names}
        stages = {name: dataclasses.replace(found[name][1], frames=len(maps[name])) for name in self.names}
        return FeatureMaps(maps, stages, y, graph.sampling_rate(self.model), self.model.name)

    def _trunk(self, samples: int) -> tuple[keras.Model, list[Stage]]:
        if samples not in self._trunks:
            if len(self._trunks) > 2:
                self._trunks.clear()  # clips of ever new lengths must not pile up networks
            rebuilt = trunk(self.model, samples, self._whole)
            self._trunks[samples] = rebuilt, select(geometry.stages(rebuilt), self._whole)
        return self._trunks[samples]

    def _whole_clip(self, y: np.ndarray) -> dict[str, tuple[np.ndarray, Stage]]:
        if len(y) > ONE_PASS:
            return self._by_blocks(y)
        network, stages = self._trunk(len(y))
        outputs = run(network, y[None, :, None])
        return {
            stage.name: (frames_by_channels(output, stage.axis)[0], stage)
            for stage, output in zip(stages, outputs, strict=True)
        }

    def _by_blocks(self, y: np.ndarray) -> dict[str, tuple[np.ndarray, Stage]]:
        """Blocks that start at a multiple of every stride, each with a margin of one receptive field."""
        stages = select(geometry.stages(self.model), self._whole)
        grid = math.lcm(*(stage.stride for stage in stages))
        margin = grid * math.ceil(max(stage.receptive_field for stage in stages) / grid)
        block = grid * max(ONE_PASS // 2 // grid, 1)
        padded = np.pad(y, (0, -len(y) % grid))
        pieces: dict[str, list[np.ndarray]] = {stage.name: [] for stage in stages}
        for start in range(0, len(padded), block):
            low, high = max(start - margin, 0), min(start + block + margin, len(padded))
            network, stages = self._trunk(high - low)
            for stage, output in zip(stages, run(network, padded[None, low:high, None]), strict=True):
                first = (start - low) // stage.stride
                last = (start + block - low) // stage.stride if start + block < len(padded) else None
                pieces[stage.name].append(frames_by_channels(output, stage.axis)[0, first:last])
        frames = {stage.name: stage.frames for stage in self._trunk(len(y))[1]}  # without those of the padding
        return {stage.name: (np.concatenate(pieces[stage.name])[: frames[stage.name]], stage) for stage in stages}

    def _by_windows(self, y: np.ndarray) -> dict[str, tuple[np.ndarray, Stage]]:
        window = self.model.input_shape[1]
        found = {}
        for hop in {stage.frames * stage.stride for stage in self._windowed}:
            starts = range(0, len(y), hop)
            padded = np.pad(y, (0, max(starts[-1] + window - len(y), 0)))
            pieces: dict[str, list[np.ndarray]] = {stage.name: [] for stage in self._windowed}
            for i in range(0, len(starts), WINDOWS_AT_ONCE):
                batch = np.stack([padded[start : start + window] for start in starts[i : i + WINDOWS_AT_ONCE]])
                for stage, output in zip(self._windowed, run(self._window, batch[..., None]), strict=True):
                    pieces[stage.name].extend(frames_by_channels(output, stage.axis))
            for stage in self._windowed:
                if stage.frames * stage.stride == hop:
                    frames = max(math.ceil((len(y) - stage.offset) / stage.stride), 1)
                    found[stage.name] = np.concatenate(pieces[stage.name])[:frames], stage
        return found


def run(network: keras.Model, x: np.ndarray) -> list[np.ndarray]:
    """The outputs of a network for one batch `x`, in inference mode, always as a list of arrays."""
    outputs = network.predict_on_batch(x)
    return [np.asarray(output, np.float32) for output in (outputs if isinstance(outputs, (list, tuple)) else [outputs])]


def compute(model: keras.Model, y: np.ndarray, stages: Sequence[str] | None = None) -> FeatureMaps:
    """All stages of one clip in one pass.

    Parameters
    ----------
    y : ndarray (samples,)
        A clip of any length at the network's sampling rate, float in [-1, 1).
    stages : sequence of str, optional
        Default: all that have a time axis.

    Raises
    ------
    ValueError
        There is no such stage, `y` is no float array (samples,), or it is too short for a stage; GeometryError, which
        is one, where the network's timing cannot be known.

    See Also
    --------
    stream : for many clips.

    Examples
    --------
    >>> import numpy as np
    >>> from tagkit.graph import zoo
    >>> maps = compute(zoo.build("dm16"), np.zeros(16_000), ["conv1", "conv2"])
    >>> {stage: a.shape for stage, a in maps.maps.items()}  # (frames, channels)
    {'conv1': (1000, 64), 'conv2': (250, 64)}
    >>> maps.times("conv2")[:2].round(4)  # seconds
    array([0.0025, 0.0065])
    """
    return FeatureExtractor(model, stages)(y)


def stream(
    model: keras.Model, clips: Iterable[np.ndarray], stages: Sequence[str] | None = None
) -> Iterator[FeatureMaps]:
    """The FeatureMaps of one clip (samples,) after the other; only one clip is in memory at a time.

    Other parameters and errors as for `compute`; an error comes when the clip's turn does.
    """
    extract = FeatureExtractor(model, stages)
    for y in clips:
        yield extract(y)
