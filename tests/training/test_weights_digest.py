"""The digest of what was learned: blind to dates and settings, and to nothing else."""

import io
import pickle
import struct
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.kernel.digests import digest_of
from sightloop.training.weights_digest import read_tensors, weights_digest


class _Storage:
    def __init__(self, key: str, content: bytes) -> None:
        self.key = key
        self.content = content


class _Tensor:
    """Pickled as PyTorch pickles a tensor of float32, without PyTorch."""

    def __init__(self, storage: _Storage, shape: tuple[int, ...], stride: tuple[int, ...]) -> None:
        self.parts = (storage, 0, shape, stride, False, {})


def checkpoint(tensors: dict[str, tuple[list[float], tuple[int, ...], tuple[int, ...]]], **more):
    """A file like `torch.save` writes, with these tensors as a state dictionary."""
    storages = {
        name: _Storage(str(index), struct.pack(f"<{len(values)}f", *values))
        for index, (name, (values, _, _)) in enumerate(tensors.items())
    }
    content = io.BytesIO()
    pickler = _Pickler(content)
    state = {
        name: _Tensor(storages[name], shape, stride) for name, (_, shape, stride) in tensors.items()
    }
    pickler.dump({"model": state} | more)
    archived = io.BytesIO()
    with zipfile.ZipFile(archived, "w") as archive:
        archive.writestr("best/data.pkl", content.getvalue())
        archive.writestr("best/byteorder", "little")
        for storage in storages.values():
            archive.writestr(f"best/data/{storage.key}", storage.content)
    return archived.getvalue()


class _Named:
    """Pickles as the function or class of that name, which need not exist here."""

    def __init__(self, module: str, name: str) -> None:
        self.text = f"c{module}\n{name}\n".encode()


class _Pickler(pickle._Pickler):
    def persistent_id(self, obj: object) -> object:
        if not isinstance(obj, _Storage):
            return None
        kind = _Named("torch", "FloatStorage")
        return ("storage", kind, obj.key, "cpu", len(obj.content) // 4)

    def save(self, obj: object, save_persistent_id: bool = True) -> None:
        if isinstance(obj, _Named):
            self.write(obj.text)
        elif isinstance(obj, _Tensor):
            self.save(_Named("torch._utils", "_rebuild_tensor_v2"))
            self.save(obj.parts)
            self.write(pickle.REDUCE)
        else:
            super().save(obj, save_persistent_id)


ONE = {"w": ([1.0, 2.0, 3.0, 4.0], (2, 2), (2, 1)), "b": ([5.0], (1,), (1,))}


def test_dates_settings_and_the_state_of_the_optimizer_do_not_count():
    optimizer = {"m": _Tensor(_Storage("0", b"\0" * 4), (1,), (1,))}
    later = checkpoint(ONE, date="tomorrow", train_args={"epochs": 3}, optimizer=optimizer)
    assert checkpoint(ONE, date="today") != later
    assert weights_digest(checkpoint(ONE, date="today")) == weights_digest(later)


def test_neither_the_order_of_tensors_nor_how_they_lie_in_memory_counts():
    turned = {"b": ONE["b"], "w": ([1.0, 3.0, 2.0, 4.0], (2, 2), (1, 2))}
    assert weights_digest(checkpoint(turned)) == weights_digest(checkpoint(ONE))


def test_names_types_and_shapes_are_told():
    told = [(one.name, one.dtype, one.shape) for one in read_tensors(checkpoint(ONE)) or []]
    assert told == [("model.b", "float32", [1]), ("model.w", "float32", [2, 2])]


@pytest.mark.parametrize(
    "other",
    [
        ONE | {"w": ([1.0, 2.0, 3.0, 4.0], (4,), (1,))},
        ONE | {"b": ([-5.0], (1,), (1,))},
        {"v": ONE["w"], "b": ONE["b"]},
        {"w": ONE["w"]},
    ],
    ids=["shape", "value", "name", "fewer"],
)
def test_every_change_of_what_was_learned_counts(other):
    assert weights_digest(checkpoint(other)) != weights_digest(checkpoint(ONE))


@given(st.integers(0, 3), st.integers(0, 31))
def test_a_single_flipped_bit_counts(index, bit):
    (word,) = struct.unpack("<I", struct.pack("<f", ONE["w"][0][index]))
    (flipped,) = struct.unpack("<f", struct.pack("<I", word ^ (1 << bit)))
    values = [*ONE["w"][0]]
    values[index] = flipped
    other = checkpoint(ONE | {"w": (values, (2, 2), (2, 1))})
    if flipped == flipped:  # a NaN may change its bits on its way through a float
        assert weights_digest(other) != weights_digest(checkpoint(ONE))


@given(st.binary(max_size=200))
def test_any_other_bytes_are_their_own_digest(content):
    assert read_tensors(content) is None
    assert weights_digest(content) == digest_of(content)


@given(st.binary(max_size=60))
def test_a_damaged_outline_is_no_checkpoint_and_no_crash(pickled):
    archived = io.BytesIO()
    with zipfile.ZipFile(archived, "w") as archive:
        archive.writestr("best/data.pkl", pickled)
    assert read_tensors(archived.getvalue()) is None


def test_nothing_in_a_checkpoint_is_executed(tmp_path):
    mark = tmp_path / "executed"
    evil = b"cposix\nsystem\n(S'touch " + str(mark).encode() + b"'\ntR."
    archived = io.BytesIO()
    with zipfile.ZipFile(archived, "w") as archive:
        archive.writestr("best/data.pkl", evil)
    assert read_tensors(archived.getvalue()) is None
    assert not mark.exists()
