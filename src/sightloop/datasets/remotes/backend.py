"""What a remote must be able to do: a Protocol that a folder and object stores fulfil."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, NewType, Protocol

Tag = NewType("Tag", str)
"""Stands for one state of an object; another state has another tag."""


class Held(NamedTuple):
    """An object's bytes and its state."""

    content: bytes
    tag: Tag


class Listed(NamedTuple):
    """An object that is there."""

    name: str
    size_bytes: int
    tag: Tag


class Stale(Exception):
    """The object is not in the expected state; nothing was written."""


class RemoteStore(Protocol):
    """Bytes under names with slashes. Safe for several threads and, through swaps, for processes.

    Every method may raise `RemoteUnavailable` (no answer, or a server error, after bounded
    retries) and `RemoteDenied` (the credentials do not allow it); a folder also `DiskFull`.
    """

    @property
    def label(self) -> str:
        """Where it is, for people; holds no secret."""
        ...

    def get(self, name: str) -> Held | None:
        """The whole object; None when there is none."""
        ...

    def get_range(self, name: str, start: int, length: int) -> memoryview | None:
        """Some bytes of it, fewer when it ends early; None when there is no such object."""
        ...

    def put_new(self, name: str, content: bytes | Path) -> bool:
        """Make an object that was not there, whole or not at all; False if there is one already."""
        ...

    def compare_and_swap(self, name: str, content: bytes, *, expected: Tag | None) -> Tag:
        """Replace the object in that state; None means that there must be none.

        Raises:
            Stale: it is in another state; nothing was written.
        """
        ...

    def list(self, prefix: str) -> Iterator[Listed]:
        """Every object whose name begins with the prefix, which ends in a slash or is empty."""
        ...

    def size_bytes(self, name: str) -> int | None:
        """How large the object is; None when there is none."""
        ...

    def delete(self, name: str) -> None:
        """Take it away; one that is not there is gone already."""
        ...
