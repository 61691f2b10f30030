"""Making packs and sending them, two at a time; what the remote has already is not sent again."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import NamedTuple

from sightloop.datasets.errors import RemoteDamaged
from sightloop.datasets.remotes.blocks import BLOCK_TARGET_BYTES, BlockWriter
from sightloop.datasets.remotes.connecting import Remote
from sightloop.datasets.remotes.known_packs import KnownPacks
from sightloop.datasets.remotes.layout import (
    PACK_TARGET_BYTES,
    Area,
    index_name,
    pack_name,
)
from sightloop.datasets.remotes.packs import encode_index
from sightloop.datasets.store import ObjectKind

AT_ONCE = 2
"""Transfers that run at the same time."""


class Pack(NamedTuple):
    """A finished pack and its index."""

    digits: str
    content: bytearray | Path
    index_content: bytes
    size_bytes: int


class PackWriter:
    """Collects pieces until the pack is large enough."""

    def __init__(self) -> None:
        self._content = bytearray()
        self._hasher = hashlib.sha256()
        self._lengths: list[int] = []
        self._entries: list[tuple[bytes, int]] = []

    @property
    def is_empty(self) -> bool:
        """Whether nothing was added yet."""
        return not self._lengths

    @property
    def is_full(self) -> bool:
        """Whether it is time to finish."""
        return len(self._content) >= PACK_TARGET_BYTES

    def add(self, piece: bytes, keys: Sequence[bytes]) -> None:
        """Append a piece in which the objects of these digests are."""
        self._entries += [(key, len(self._lengths)) for key in keys]
        self._lengths.append(len(piece))
        self._content += piece
        self._hasher.update(piece)

    def finish(self) -> Pack:
        """The pack."""
        index = encode_index(self._entries, self._lengths)
        return Pack(self._hasher.hexdigest(), self._content, index, len(self._content))


class ObjectWriter:
    """Collects objects into blocks, and these into a pack."""

    def __init__(self) -> None:
        self._writer = PackWriter()
        self._block = BlockWriter()

    @property
    def is_full(self) -> bool:
        """Whether it is time to finish."""
        return self._writer.is_full

    def add(self, kind: ObjectKind, key: bytes, content: bytes) -> None:
        """Append an object; rows just before their leaf."""
        self._block.add(kind, key, content)
        is_full = self._block.n_bytes >= BLOCK_TARGET_BYTES and kind != "row"
        if is_full or self._block.n_bytes >= 4 * BLOCK_TARGET_BYTES:
            self._close_block()

    def finish(self) -> Pack | None:
        """The pack; None when nothing was added."""
        self._close_block()
        return None if self._writer.is_empty else self._writer.finish()

    def _close_block(self) -> None:
        if self._block.keys:
            self._writer.add(self._block.finish(), self._block.keys)
            self._block = BlockWriter()


def pack_objects(objects: Iterable[tuple[ObjectKind, bytes, bytes]]) -> Pack | None:
    """Kinds, digests and contents as one pack, however large; None when there are none."""
    writer = ObjectWriter()
    for kind, key, content in objects:
        writer.add(kind, key, content)
    return writer.finish()


class MetadataSpool:
    """Packs of objects, kept in files until they are sent: they are sent last."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer = ObjectWriter()
        self._packs: list[Pack] = []
        self.n_objects = 0

    def add(self, kind: ObjectKind, key: bytes, content: bytes) -> None:
        """Append an object; rows just before their leaf."""
        self._writer.add(kind, key, content)
        self.n_objects += 1
        if self._writer.is_full:
            self._close_pack()

    def finish(self) -> list[Pack]:
        """All packs, in order."""
        self._close_pack()
        return self._packs

    def _close_pack(self) -> None:
        pack = self._writer.finish()
        self._writer = ObjectWriter()
        if pack is not None:
            assert isinstance(pack.content, bytearray), "it was just made"
            path = self._folder / f"{pack.digits}.pack"
            path.write_bytes(pack.content)  # no barrier: what a crash loses is made again
            self._packs.append(pack._replace(content=path))


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
            put_checked(self._remote, name, pack.content, size_bytes=pack.size_bytes)
        index = index_name(self._area, pack.digits)
        put_checked(self._remote, index, pack.index_content, size_bytes=len(pack.index_content))


def put_checked(
    remote: Remote, name: str, content: bytes | bytearray | Path, *, size_bytes: int
) -> None:
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
