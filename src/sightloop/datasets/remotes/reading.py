"""Reading single blobs and objects of a remote by their digests, each checked before it counts."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from sightloop.datasets.errors import RemoteDamaged
from sightloop.datasets.keys import ObjectKey, object_key
from sightloop.datasets.remotes.blocks import BadBlock, read_block
from sightloop.datasets.remotes.connecting import (
    Remote,
    cache_of,
    connect,
    read_marker,
    transfer,
)
from sightloop.datasets.remotes.known_packs import KnownPacks
from sightloop.datasets.remotes.layout import (
    LARGE_BLOBS,
    METADATA,
    PACKS,
    large_blob_name,
    pack_name,
)
from sightloop.datasets.remotes.packs import MAX_SPAN_BYTES, Piece, Place, Span, spans
from sightloop.datasets.remotes.placing import digests_of
from sightloop.datasets.remotes.sending import AT_ONCE
from sightloop.datasets.remotes.store import redeem
from sightloop.datasets.remotes.windows import in_window
from sightloop.datasets.store import StoredObject, write_objects
from sightloop.kernel.digests import Digest
from sightloop.kernel.progress import Progress, silent
from sightloop.kernel.workspace import Workspace

_BATCH_BYTES = 32 << 20
_BATCH_BLOBS = 4_000
_Found = TypeVar("_Found")
Complain = Callable[[str], object]
"""Told what is wrong with the pack at hand."""


class FetchedObjects(NamedTuple):
    """What came of fetching objects or blobs by their digests."""

    n: int
    size_bytes: int
    missing: list[Digest]
    """Those that the remote does not have."""


def fetch_blobs(
    workspace: Workspace, remote: str, digests: Collection[Digest], *, progress: Progress = silent
) -> FetchedObjects:
    """Put these blobs of the remote into the blob store; those that are here stay as they are.

    Raises:
        NoSuchRemote: no remote has that name.
        NotFound: nothing was pushed there yet.
        RemoteUnavailable: it does not answer; what came so far is kept.
        RemoteDenied: the credentials do not allow it.
        RemoteDamaged: packs have changed; everything else was fetched and kept.
    """
    with reading(connect(workspace, remote)) as source:
        source.packs.refresh(source.requests)
        return store_blobs(workspace, source, digests, progress)


def fetch_objects(
    workspace: Workspace, remote: str, digests: Collection[Digest]
) -> list[StoredObject]:
    """Those of these rows, nodes, taxonomies and commits that the remote has, also stored here.

    Whoever mends a damaged object replaces it with what is returned.

    Raises:
        NoSuchRemote: no remote has that name.
        NotFound: nothing was pushed there yet.
        RemoteUnavailable: it does not answer.
        RemoteDenied: the credentials do not allow it.
        RemoteDamaged: packs have changed; everything else was fetched and kept.
    """
    with reading(connect(workspace, remote)) as source:
        source.metadata.refresh(source.requests)
        found: list[StoredObject] = []
        try:
            found.extend(source.objects([object_key(digest) for digest in digests]))
        finally:
            with workspace.db.write() as tx:
                write_objects(tx, found)
    return found


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

    def blobs(self, keys: Sequence[ObjectKey]) -> Iterator[tuple[ObjectKey, bytes | Path]]:
        """Those of the blobs that the remote has; a large one as a file that does not last.

        Raises:
            RemoteDamaged: after all else, when a pack or blob is not what it was.
        """
        keys = list(keys)
        bad: dict[str, str] = {}
        found: set[ObjectKey] = set()

        def unpack(
            span: Span, content: memoryview, complain: Complain
        ) -> Iterator[tuple[ObjectKey, bytes]]:
            for piece in span.pieces:
                at = piece.place.start - span.start
                blob = content[at : at + piece.place.length]
                if hashlib.sha256(blob).digest() == keys[piece.wanted]:
                    yield keys[piece.wanted], bytes(blob)
                else:
                    complain("holds other bytes than its index says")

        for key, blob in self._unpacked(self.packs, keys, unpack, bad):
            found.add(key)
            yield key, blob
        if left := [key for key in keys if key not in found]:
            yield from self._large(left, bad)
        self._raise_if(bad)

    def objects(self, keys: Sequence[ObjectKey]) -> Iterator[StoredObject]:
        """Those of the objects that the remote has.

        Raises:
            RemoteDamaged: after all else, when a pack is not what it was.
        """
        keys = list(keys)
        bad: dict[str, str] = {}

        def unpack(span: Span, content: memoryview, complain: Complain) -> Iterator[StoredObject]:
            wanted: dict[Place, list[ObjectKey]] = defaultdict(list)
            for piece in span.pieces:
                wanted[piece.place].append(keys[piece.wanted])
            for (start, length), here in wanted.items():
                block = content[start - span.start :][:length]
                try:
                    records = {one.key: one for one in read_block(block)}
                except BadBlock as error:
                    complain(f"cannot be read: {error}")
                    continue
                for key in here:
                    if key in records:
                        yield StoredObject(key, records[key].kind, records[key].content)
                    else:
                        complain("holds other objects than its index says")

        yield from self._unpacked(self.metadata, keys, unpack, bad)
        self._raise_if(bad)

    def _unpacked(
        self,
        known: KnownPacks,
        keys: Sequence[ObjectKey],
        unpack: Callable[[Span, memoryview, Complain], Iterator[_Found]],
        bad: dict[str, str],
    ) -> Iterator[_Found]:
        """What `unpack` finds in the spans; packs that were written anew are looked for again."""
        wanted: Sequence[int] = range(len(keys))
        for is_last in (False, True):
            gone: list[int] = []
            jobs = (
                (pack_name(known.area, packed.digits), _renumbered(span, wanted))
                for packed in known.locate([keys[at] for at in wanted])
                for span in spans(packed.pieces)
            )
            for (name, span), content in in_window(self.requests, self._read, jobs, n=AT_ONCE):
                if content is not None:
                    yield from unpack(span, content, partial(bad.setdefault, name))
                elif is_last:
                    bad.setdefault(name, "is gone")
                else:
                    gone += [piece.wanted for piece in span.pieces]
            if not gone:
                return
            known.refresh(self.requests)
            wanted = gone

    def _read(self, job: tuple[str, Span]) -> memoryview | None:
        name, span = job
        return self.remote.store.get_range(name, span.start, span.length)

    def _large(
        self, keys: Sequence[ObjectKey], bad: dict[str, str]
    ) -> Iterator[tuple[ObjectKey, Path]]:
        there = {one.name: one.size_bytes for one in self.remote.store.list(LARGE_BLOBS)}
        for key, digest in zip(keys, digests_of(keys), strict=True):
            name = large_blob_name(digest)
            if name not in there:
                continue
            path = self.incoming / key.hex()
            try:
                if self._download(name, there[name], path) == key:
                    yield key, path
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


def store_blobs(
    workspace: Workspace, source: Source, digests: Collection[Digest], progress: Progress
) -> FetchedObjects:
    """Fetch and keep these blobs, some at a time; see `fetch_blobs`."""
    keys = [object_key(one) for one in digests]
    done: set[ObjectKey] = set()
    size_bytes = 0
    batch: list[tuple[ObjectKey, bytes | Path]] = []
    batch_bytes = 0
    found = source.blobs(keys)
    try:
        for key, blob in found:
            batch.append((key, blob))
            batch_bytes += blob.stat().st_size if isinstance(blob, Path) else len(blob)
            # A file does not outlive the next step of the iterator.
            if batch_bytes >= _BATCH_BYTES or len(batch) >= _BATCH_BLOBS or isinstance(blob, Path):
                _keep(workspace, batch)
                done.update(one for one, _ in batch)
                size_bytes += batch_bytes
                batch, batch_bytes = [], 0
                progress("fetching images", len(done), len(keys))
    finally:
        # Also when the remote breaks off: what came is good and need not come again.
        _keep(workspace, batch)
    done.update(one for one, _ in batch)
    missing = list(digests_of([key for key in keys if key not in done]))
    return FetchedObjects(len(done), size_bytes + batch_bytes, missing)


def _keep(workspace: Workspace, blobs: list[tuple[ObjectKey, bytes | Path]]) -> None:
    if not blobs:
        return
    with workspace.blobs.batch() as batch:
        for _, blob in blobs:
            if isinstance(blob, Path):
                batch.put_file(blob)
            else:
                batch.put(blob)
    with workspace.db.write() as tx:
        redeem(tx, [key for key, _ in blobs])


def _renumbered(span: Span, wanted: Sequence[int]) -> Span:
    pieces = [Piece(wanted[piece.wanted], piece.place) for piece in span.pieces]
    return Span(span.start, span.length, pieces)
