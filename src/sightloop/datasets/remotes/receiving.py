"""Blobs and objects of a remote, kept here: as many as are asked for, by their digests."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sightloop.datasets.keys import ObjectKey, digest_of_key, object_key
from sightloop.datasets.remotes.connecting import (
    connect,
)
from sightloop.datasets.remotes.key_columns import KeyColumn
from sightloop.datasets.remotes.sources import Source, reading
from sightloop.datasets.remotes.store import redeem
from sightloop.datasets.store import StoredObject, write_objects
from sightloop.kernel.digests import Digest
from sightloop.kernel.progress import Progress, silent
from sightloop.kernel.workspace import Workspace

_BATCH_BYTES = 16 << 20
_BATCH_BLOBS = 2_000


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
        keys = KeyColumn.of(object_key(one) for one in digests)
        return store_blobs(workspace, source, keys, progress)


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
            keys = KeyColumn.of(object_key(one) for one in digests)
            found.extend(source.objects(keys))
        finally:
            with workspace.db.write() as tx:
                write_objects(tx, found)
    return found


def store_blobs(
    workspace: Workspace, source: Source, keys: KeyColumn, progress: Progress
) -> FetchedObjects:
    """Fetch and keep these blobs, some at a time; see `fetch_blobs`."""
    is_here = np.zeros(len(keys), bool)
    size_bytes = 0
    batch = _Batch(workspace, keys)
    try:
        for number, blob in source.blobs(keys):
            size_bytes += batch.add(number, blob)
            is_here[number] = True
            # A file does not outlast the next step of the iterator.
            if batch.is_full or isinstance(blob, Path):
                batch.keep()
                progress("fetching images", int(is_here.sum()), len(keys))
    finally:
        # Also when the remote breaks off: what came is good and need not come again.
        batch.keep()
    missing = [digest_of_key(ObjectKey(key)) for key in keys.take(~is_here)]
    return FetchedObjects(int(is_here.sum()), size_bytes, missing)


class _Batch:
    """Blobs that have come and are not in the store yet."""

    def __init__(self, workspace: Workspace, keys: KeyColumn) -> None:
        self._workspace = workspace
        self._keys = keys
        self._blobs: list[tuple[int, bytes | Path]] = []
        self._size_bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether it is time to keep them."""
        return self._size_bytes >= _BATCH_BYTES or len(self._blobs) >= _BATCH_BLOBS

    def add(self, number: int, blob: bytes | Path) -> int:
        """One more; returns how many bytes it has."""
        size = blob.stat().st_size if isinstance(blob, Path) else len(blob)
        self._blobs.append((number, blob))
        self._size_bytes += size
        return size

    def keep(self) -> None:
        """Put them into the store, then forget that a remote promised them."""
        if not self._blobs:
            return
        with self._workspace.blobs.batch() as batch:
            for _, blob in self._blobs:
                if isinstance(blob, Path):
                    batch.put_file(blob)
                else:
                    batch.put(blob)
        with self._workspace.db.write() as tx:
            redeem(tx, [ObjectKey(self._keys[number]) for number, _ in self._blobs])
        self._blobs, self._size_bytes = [], 0
