"""Making packs and sending them, two at a time; what the remote has already is not sent again."""

from __future__ import annotations

import hashlib
import secrets
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import NamedTuple

from sightloop.datasets.errors import RemoteDamaged
from sightloop.datasets.keys import ObjectKind
from sightloop.datasets.remotes.blocks import BLOCK_TARGET_BYTES, BlockWriter, RowNumbers
from sightloop.datasets.remotes.connecting import Remote
from sightloop.datasets.remotes.known_packs import KnownPacks
from sightloop.datasets.remotes.layout import (
    Area,
    index_name,
    pack_name,
)
from sightloop.datasets.remotes.packs import encode_index
from sightloop.kernel.files import disk_errors

AT_ONCE = 2
"""Transfers that run at the same time."""

_BUFFER_BYTES = 1 << 20


class Pack(NamedTuple):
    """A finished pack and its index."""

    digits: str
    path: Path
    """Its bytes, in a file: two packs on their way would take a third of the memory there is."""
    size_bytes: int
    index_content: bytes


class PackWriter:
    """Collects pieces in a file until the pack is large enough.

    Without any barrier: what a crash loses is made again.
    """

    def __init__(self, folder: Path, *, target_bytes: int) -> None:
        self._folder = folder
        self._target_bytes = target_bytes
        self._begin()

    @property
    def is_empty(self) -> bool:
        """Whether nothing was added yet."""
        return not self._lengths

    @property
    def is_full(self) -> bool:
        """Whether it is time to finish."""
        return self._size_bytes >= self._target_bytes

    def add(self, piece: bytes, keys: Sequence[bytes]) -> None:
        """Append a piece in which the objects of these digests are."""
        self._entries += [(key, len(self._lengths)) for key in keys]
        self._lengths.append(len(piece))
        self._size_bytes += len(piece)
        self._hasher.update(piece)
        self._buffer += piece
        if len(self._buffer) >= _BUFFER_BYTES:
            self._flush()

    def finish(self) -> Pack:
        """The pack; what is added now goes into the next one."""
        self._flush()
        digits = self._hasher.hexdigest()
        path = self._path.rename(self._folder / f"{digits}.pack")
        pack = Pack(digits, path, self._size_bytes, encode_index(self._entries, self._lengths))
        self._begin()
        return pack

    def _begin(self) -> None:
        self._path = self._folder / f"{secrets.token_hex(8)}.draft"
        self._buffer = bytearray()
        self._hasher = hashlib.sha256()
        self._size_bytes = 0
        self._lengths: list[int] = []
        self._entries: list[tuple[bytes, int]] = []

    def _flush(self) -> None:
        # Opened each time: a push that is broken off leaves no file open.
        with disk_errors(self._path), self._path.open("ab") as file:
            file.write(self._buffer)
        self._buffer.clear()


class ObjectWriter:
    """Collects objects into blocks, and these into packs."""

    def __init__(self, folder: Path, *, target_bytes: int) -> None:
        self._writer = PackWriter(folder, target_bytes=target_bytes)
        self._rows = RowNumbers()
        self._block = BlockWriter(self._rows)
        self._packs: list[Pack] = []
        self.n_objects = 0

    def add(self, kind: ObjectKind, key: bytes, content: bytes) -> None:
        """Append an object; rows just before their leaf."""
        self._block.add(kind, key, content)
        self.n_objects += 1
        is_full = self._block.n_bytes >= BLOCK_TARGET_BYTES and kind != "row"
        if is_full or self._block.n_bytes >= 4 * BLOCK_TARGET_BYTES:
            self._close_block()
            if self._writer.is_full:
                self._close_pack()

    def finish(self) -> list[Pack]:
        """All packs, in order; none when nothing was added."""
        self._close_block()
        if not self._writer.is_empty:
            self._close_pack()
        return self._packs

    def _close_block(self) -> None:
        if self._block.keys:
            self._writer.add(self._block.finish(), self._block.keys)
            self._block = BlockWriter(self._rows)

    def _close_pack(self) -> None:
        self._packs.append(self._writer.finish())
        self._rows = RowNumbers()  # a pack is read without any other
        self._block = BlockWriter(self._rows)


class Sender:
    """Sends packs, each followed by its index, and waits for them in the end."""

    def __init__(self, remote: Remote, area: Area, known: KnownPacks, requests: Executor) -> None:
        self._remote = remote
        self._area = area
        self._known = known
        self._requests = requests
        self._under_way: deque[tuple[Pack, Future[None]]] = deque()
        self.n_sent = 0

    def send(self, pack: Pack) -> None:
        """Begin to send it; waits while two others are under way."""
        while len(self._under_way) >= AT_ONCE:
            self._await_first()
        self._under_way.append((pack, self._requests.submit(self._send, pack)))

    def finish(self) -> None:
        """Return when all packs and their indexes are there."""
        while self._under_way:
            self._await_first()

    def _await_first(self) -> None:
        pack, future = self._under_way.popleft()
        future.result()
        self._known.note(pack.digits, pack.index_content)
        self.n_sent += 1

    def _send(self, pack: Pack) -> None:
        name = pack_name(self._area, pack.digits)
        if pack.digits in self._known.bare:  # of an interrupted push: do not send it again
            check_size(self._remote, name, pack.size_bytes)
        else:
            put_checked(self._remote, name, pack.path, size_bytes=pack.size_bytes)
        index = index_name(self._area, pack.digits)
        put_checked(self._remote, index, pack.index_content, size_bytes=len(pack.index_content))
        pack.path.unlink()


def put_checked(remote: Remote, name: str, content: bytes | Path, *, size_bytes: int) -> None:
    """Make an object that is named by its content; one that is there already will do.

    Raises:
        RemoteDamaged: one is there that has another size.
    """
    if not remote.store.put_new(name, content):
        check_size(remote, name, size_bytes)


def check_size(remote: Remote, name: str, size_bytes: int) -> None:
    """Return when the object that is there has this size.

    Raises:
        RemoteDamaged: it has another.
    """
    found = remote.store.size_bytes(name)
    if found != size_bytes:
        problem = f"has {found} bytes instead of {size_bytes}; remove it"
        raise RemoteDamaged(remote=remote.name, objects=[name], problem=problem)
