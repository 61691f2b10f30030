"""Many digests in little memory: 32 bytes each, one after another. Pure.

A million digests as Python objects take 65 MB as bytes and 130 MB as text; here they take 32 MB,
and numpy looks through them at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

KEY_BYTES = 32
SHORT_BYTES = 16

ShortKeys = NDArray[np.bytes_]
"""The first 16 bytes of digests, for looking up."""


class KeyColumn(Sequence[bytes]):
    """An immutable column of 32-byte digests."""

    __slots__ = ("_raw",)

    def __init__(self, raw: bytes | bytearray = b"") -> None:
        """`raw` holds the digests one after another."""
        assert len(raw) % KEY_BYTES == 0, "a digest has 32 bytes"
        self._raw = bytes(raw)

    @classmethod
    def of(cls, keys: Iterable[bytes]) -> KeyColumn:
        """A column of these.

        >>> column = KeyColumn.of([bytes(32), b"x" * 32])
        >>> len(column), column[1][:2]
        (2, b'xx')
        """
        return cls(b"".join(keys))

    def short_keys(self) -> ShortKeys:
        """The beginning of each."""
        pairs = np.frombuffer(self._raw, f"S{SHORT_BYTES}").reshape(-1, KEY_BYTES // SHORT_BYTES)
        return np.ascontiguousarray(pairs[:, 0])

    def take(self, which: NDArray[Any]) -> KeyColumn:
        """Those at these positions, or where a mask is true."""
        return KeyColumn(np.frombuffer(self._raw, f"V{KEY_BYTES}")[which].tobytes())

    def first_of_each(self) -> KeyColumn:
        """Every digest once, where it first stands."""
        keys = np.frombuffer(self._raw, f"S{KEY_BYTES}")
        return self.take(np.sort(np.unique(keys, return_index=True)[1]))

    def __len__(self) -> int:
        return len(self._raw) // KEY_BYTES

    @overload
    def __getitem__(self, at: int) -> bytes: ...
    @overload
    def __getitem__(self, at: slice) -> KeyColumn: ...
    def __getitem__(self, at: int | slice) -> bytes | KeyColumn:
        if isinstance(at, slice):
            return self.take(np.arange(len(self))[at])
        if not 0 <= at < len(self):
            raise IndexError(at)
        return self._raw[at * KEY_BYTES : (at + 1) * KEY_BYTES]

    def __iter__(self) -> Iterator[bytes]:
        return (self[at] for at in range(len(self)))
