"""A remote that is read from: blobs and objects by their digests, each checked before it counts."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from sightloop.datasets.errors import RemoteDamaged
from sightloop.datasets.keys import ObjectKey, digest_of_key
from sightloop.datasets.remotes.backend import Held
from sightloop.datasets.remotes.blocks import (
    BadBlock,
    EarlierBlocksNeeded,
    Record,
    read_block,
    read_blocks,
)
from sightloop.datasets.remotes.connecting import (
    Remote,
    cache_of,
    read_marker,
    transfer,
)
from sightloop.datasets.remotes.key_columns import KeyColumn
from sightloop.datasets.remotes.known_packs import KnownPacks
from sightloop.datasets.remotes.layout import (
    LARGE_BLOBS,
    METADATA,
    PACKS,
    RemoteRef,
    large_blob_name,
    pack_name,
)
from sightloop.datasets.remotes.packs import MAX_SPAN_BYTES, Piece, Place, Span, spans
from sightloop.datasets.remotes.sending import AT_ONCE
from sightloop.datasets.remotes.windows import in_window
from sightloop.datasets.store import StoredObject
from sightloop.kernel.digests import Digest, MalformedDigest, parse_digest

_Found = TypeVar("_Found")

Complain = Callable[[str], object]
"""Told what is wrong with the pack at hand."""


@contextmanager
def reading(remote: Remote) -> Iterator[Source]:
    """The remote, ready to be read from; one transfer with it at a time.

    Raises:
        NotFound: nothing was pushed there yet.
    """
    with transfer(remote) as incoming, ThreadPoolExecutor(AT_ONCE) as requests:
        yield Source(remote, requests, cache_of(remote, read_marker(remote)), incoming)


class Source:
    """A remote that is read from. Its packs must be refreshed before they are asked for."""

    def __init__(self, remote: Remote, requests: Executor, cache: Path, incoming: Path) -> None:
        self.remote = remote
        self.requests = requests
        self.cache = cache
        self.incoming = incoming
        self.packs = KnownPacks(remote, PACKS, cache)
        self.metadata = KnownPacks(remote, METADATA, cache)

    def blobs(self, keys: KeyColumn) -> Iterator[tuple[int, bytes | Path]]:
        """Those of the blobs that the remote has, by their number among the keys.

        A large one comes as a file that does not outlast the next step.

        Raises:
            RemoteDamaged: after all else, when a pack or blob is not what it was.
        """
        bad: dict[str, str] = {}
        is_found = np.zeros(len(keys), bool)

        def unpack(
            name: str, span: Span, content: memoryview, complain: Complain
        ) -> Iterator[tuple[int, bytes]]:
            del name
            for number, (start, length) in span.pieces:
                blob = content[start - span.start :][:length]
                if hashlib.sha256(blob).digest() == keys[number]:
                    yield number, bytes(blob)
                else:
                    complain("holds other bytes than its index says")

        for number, blob in self._unpacked(self.packs, keys, unpack, bad):
            is_found[number] = True
            yield number, blob
        if not is_found.all():
            yield from self._large(keys, np.flatnonzero(~is_found).tolist(), bad)
        self._raise_if(bad)

    def objects(self, keys: KeyColumn) -> Iterator[StoredObject]:
        """Those of the objects that the remote has.

        Raises:
            RemoteDamaged: after all else, when a pack is not what it was.
        """
        bad: dict[str, str] = {}

        def unpack(
            name: str, span: Span, content: memoryview, complain: Complain
        ) -> Iterator[StoredObject]:
            wanted: dict[Place, list[bytes]] = defaultdict(list)
            for number, place in span.pieces:
                wanted[place].append(keys[number])
            for place, here in wanted.items():
                try:
                    records = self._records(name, place, content[place.start - span.start :])
                except BadBlock as error:
                    complain(f"cannot be read: {error}")
                    continue
                by_key = {one.key: one for one in records}
                for key in here:
                    if key in by_key:
                        yield StoredObject(ObjectKey(key), by_key[key].kind, by_key[key].content)
                    else:
                        complain("holds other objects than its index says")

        yield from self._unpacked(self.metadata, keys, unpack, bad)
        self._raise_if(bad)

    def _records(self, name: str, place: Place, content: memoryview) -> list[Record]:
        """The records of the block that lies there; `content` begins with it."""
        try:
            return read_block(content[: place.length])
        except EarlierBlocksNeeded:
            start = self.remote.store.get_range(name, 0, place.start + place.length)
            return list(read_blocks(start or b""))[-1].records

    def _unpacked(
        self,
        known: KnownPacks,
        keys: KeyColumn,
        unpack: Callable[[str, Span, memoryview, Complain], Iterator[_Found]],
        bad: dict[str, str],
    ) -> Iterator[_Found]:
        """What `unpack` finds in the spans; packs that were written anew are looked for again."""
        wanted = np.arange(len(keys))
        for is_last in (False, True):
            gone: list[int] = []
            jobs = (
                (pack_name(known.area, packed.digits), _renumbered(span, wanted))
                for packed in known.locate(keys.take(wanted))
                for span in spans(packed.pieces)
            )
            for (name, span), content in in_window(self.requests, self._read, jobs, n=AT_ONCE):
                if content is not None:
                    yield from unpack(name, span, content, partial(bad.setdefault, name))
                elif is_last:
                    bad.setdefault(name, "is gone")
                else:
                    gone += [piece.wanted for piece in span.pieces]
            if not gone:
                return
            known.refresh(self.requests)
            wanted = np.array(gone)

    def _read(self, job: tuple[str, Span]) -> memoryview | None:
        name, span = job
        return self.remote.store.get_range(name, span.start, span.length)

    def _large(
        self, keys: KeyColumn, numbers: list[int], bad: dict[str, str]
    ) -> Iterator[tuple[int, Path]]:
        there = {one.name: one.size_bytes for one in self.remote.store.list(LARGE_BLOBS)}
        for number in numbers if there else ():
            name = large_blob_name(digest_of_key(ObjectKey(keys[number])))
            if name not in there:
                continue
            path = self.incoming / keys[number].hex()
            try:
                if self._download(name, there[name], path) == keys[number]:
                    yield number, path
                else:
                    bad[name] = "has other bytes than its name says"
            finally:
                path.unlink(missing_ok=True)

    def _download(self, name: str, size_bytes: int, path: Path) -> bytes:
        """Write the object to the file; returns the digest of what came."""
        hasher = hashlib.sha256()
        starts = range(0, size_bytes, MAX_SPAN_BYTES)
        with path.open("wb") as file:
            for _, content in in_window(
                self.requests,
                lambda start: self.remote.store.get_range(name, start, MAX_SPAN_BYTES),
                starts,
                n=AT_ONCE,
            ):
                hasher.update(content or b"")
                file.write(content or b"")
        return hasher.digest()

    def _raise_if(self, bad: dict[str, str]) -> None:
        if bad:
            problem = " and ".join(sorted(set(bad.values())))
            raise RemoteDamaged(remote=self.remote.name, objects=sorted(bad), problem=problem)


def _renumbered(span: Span, wanted: NDArray[np.int64]) -> Span:
    pieces = [Piece(int(wanted[piece.wanted]), piece.place) for piece in span.pieces]
    return Span(span.start, span.length, pieces)


def commit_of(remote: Remote, name: str, held: Held) -> Digest:
    """Where a ref of the remote points.

    Raises:
        RemoteDamaged: it does not say.
    """
    try:
        return parse_digest(msgspec.json.decode(held.content, type=RemoteRef).commit)
    except (msgspec.MsgspecError, MalformedDigest) as error:
        raise RemoteDamaged(remote=remote.name, objects=[name], problem="is no ref") from error
