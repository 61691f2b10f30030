"""What a model has learned, as one digest: equal when every tensor is, bit for bit.

Checkpoints of equal weights are not equal files: they hold dates, paths and settings. So the
tensors are read out of them and hashed by name, type, shape and bytes. Nothing in the checkpoint
is executed and no library of the engine is needed. Specification: docs/formats/weights.md.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec
import numpy as np

from sightloop.kernel.digests import Digest, canonical_json, digest_of

_NOT_LEARNED = frozenset({"optimizer", "scaler"})
"""Entries of a checkpoint that serve the next step of training, not the model."""
_TYPES = {
    "DoubleStorage": ("float64", 8),
    "FloatStorage": ("float32", 4),
    "HalfStorage": ("float16", 2),
    "BFloat16Storage": ("bfloat16", 2),
    "LongStorage": ("int64", 8),
    "IntStorage": ("int32", 4),
    "ShortStorage": ("int16", 2),
    "CharStorage": ("int8", 1),
    "ByteStorage": ("uint8", 1),
    "BoolStorage": ("bool", 1),
}
_HOLDERS = ("_parameters", "_buffers")


class TensorFacts(msgspec.Struct, frozen=True, array_like=True):
    """One tensor of a model."""

    name: str
    """As the library's own state dictionary calls it, after the entry of the checkpoint."""
    dtype: str
    shape: list[int]
    sha256: str
    """Of its elements in row-major order, little-endian."""


class _Unreadable(Exception):
    """The bytes are no checkpoint that can be read here."""


def weights_digest(checkpoint: bytes) -> Digest:
    """The digest of the tensors; of the bytes themselves where they are no such checkpoint."""
    tensors = read_tensors(checkpoint)
    return digest_of(checkpoint if tensors is None else canonical_json(tensors))


def read_tensors(checkpoint: bytes) -> list[TensorFacts] | None:
    """Every tensor of a PyTorch checkpoint, by name; None when the bytes are none.

    A file that another engine calls a checkpoint may be anything at all; that is no error.
    """
    try:
        return sorted(_tensors_in(checkpoint), key=lambda one: one.name)
    except (
        *(_Unreadable, zipfile.BadZipFile, pickle.UnpicklingError, EOFError),
        *(KeyError, IndexError, AttributeError, TypeError, ValueError, RecursionError),
    ):
        return None  # foreign bytes can make a pickle stumble in any of these ways


class _Storage(NamedTuple):
    dtype: str
    element_bytes: int
    content: bytes


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def _tensors_in(checkpoint: bytes) -> list[TensorFacts]:
    with zipfile.ZipFile(io.BytesIO(checkpoint)) as archive:
        pickled = next((name for name in archive.namelist() if name.endswith("/data.pkl")), None)
        if pickled is None:
            raise _Unreadable
        prefix = pickled.removesuffix("data.pkl")
        if f"{prefix}byteorder" in archive.namelist() and (
            archive.read(f"{prefix}byteorder") != b"little"
        ):
            raise _Unreadable
        reader = _Reader(archive.read(pickled), lambda key: archive.read(f"{prefix}data/{key}"))
        content = reader.load()
    found = [TensorFacts(name, *_facts(tensor)) for name, tensor in _walk(content)]
    if not found:
        raise _Unreadable
    return found


def _facts(tensor: _Tensor) -> tuple[str, list[int], str]:
    size = tensor.storage.element_bytes
    elements = np.frombuffer(tensor.storage.content, dtype=f"V{size}")
    reach = sum((n - 1) * step for n, step in zip(tensor.shape, tensor.stride, strict=True))
    if 0 not in tensor.shape and tensor.offset + reach >= len(elements):
        raise _Unreadable
    view = np.lib.stride_tricks.as_strided(
        elements[tensor.offset :],
        shape=tensor.shape,
        strides=[step * size for step in tensor.stride],
    )
    return tensor.storage.dtype, [*tensor.shape], hashlib.sha256(view.tobytes()).hexdigest()


def _walk(content: object) -> Iterator[tuple[str, _Tensor]]:
    if isinstance(content, dict):
        learned = {key: value for key, value in content.items() if key not in _NOT_LEARNED}
        for name, value in _named(learned):
            yield from _below(name, value)
    else:
        yield from _of_module(content)


def _below(name: str, value: object) -> Iterator[tuple[str, _Tensor]]:
    if isinstance(value, _Tensor):
        yield name, value
        return
    inner = _walk(value) if isinstance(value, dict) else _of_module(value)
    yield from ((f"{name}.{rest}", tensor) for rest, tensor in inner)


def _of_module(value: object) -> Iterator[tuple[str, _Tensor]]:
    """Parameters, buffers and modules of a module; nothing of what is none."""
    state = vars(value) if isinstance(value, _Anything) else {}
    for holder in _HOLDERS:
        temporary = state.get("_non_persistent_buffers_set")
        left_out = temporary if isinstance(temporary, set) else set()
        for name, tensor in _named(state.get(holder) or {}):
            if isinstance(tensor, _Tensor) and name not in left_out:
                yield name, tensor
    for name, module in _named(state.get("_modules") or {}):
        yield from ((f"{name}.{rest}", tensor) for rest, tensor in _of_module(module))


def _named(mapping: dict[Any, Any]) -> list[tuple[str, object]]:
    return [(str(key), value) for key, value in mapping.items()]


class _Anything:
    """Stands for an object of a class that is not loaded: keeps its state, does nothing."""

    def __init__(self, *_: object, **__: object) -> None:
        """Whatever it was made from."""

    def __call__(self, *_: object, **__: object) -> _Anything:
        return _Anything()

    def __setstate__(self, state: object) -> None:
        parts = state if isinstance(state, tuple) else (state,)
        for part in parts:
            if isinstance(part, dict):
                vars(self).update({str(key): value for key, value in part.items()})

    def __setitem__(self, key: object, value: object) -> None:
        """Entries of a foreign mapping are nobody's weights."""

    def append(self, value: object) -> None:
        """Nor are those of a foreign list."""

    def extend(self, values: object) -> None:
        """Nor those."""

    def add(self, value: object) -> None:
        """Nor those of a set."""


_HARMLESS: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
}
# The first is what the protocol that PyTorch writes calls the second.
for _module in ("__builtin__", "builtins"):
    _HARMLESS |= {(_module, one.__name__): one for one in (dict, list, set, tuple)}


class _Reader(pickle.Unpickler):
    """Reads the outline of a checkpoint: no class of it is imported, no function called."""

    def __init__(self, content: bytes, read_storage: Callable[[str], bytes]) -> None:
        super().__init__(io.BytesIO(content))
        self._read = read_storage
        self._storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - as pickle has it
        if module == "torch._utils" and name in {"_rebuild_tensor_v2", "_rebuild_tensor"}:
            return _rebuild_tensor
        if module == "torch._utils" and name == "_rebuild_parameter":
            return _rebuild_parameter
        if module == "torch" and name.endswith("Storage"):
            return name
        return _HARMLESS.get((module, name), _Anything)

    def persistent_load(self, pid: Any) -> _Storage:  # noqa: ANN401 - as pickle has it
        kind, type_name, key, _location, _n_elements = pid
        if kind != "storage" or type_name not in _TYPES:
            raise _Unreadable
        if key not in self._storages:
            self._storages[key] = _Storage(*_TYPES[type_name], self._read(str(key)))
        return self._storages[key]


def _rebuild_tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: object
) -> _Tensor:
    return _Tensor(storage, offset, tuple(shape), tuple(stride))


def _rebuild_parameter(tensor: _Tensor, *_: object) -> _Tensor:
    return tensor
