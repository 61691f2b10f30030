"""Taking erased blobs and objects out of a remote's packs.

Each pack that holds one is written anew without it, then the old pack goes, then its index: at
every moment whatever is not erased is in a pack with an index, and repeating an interrupted
rewrite finishes it. Readers that still know the old pack find it gone and look again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from sightloop.datasets.keys import object_key
from sightloop.datasets.remotes.blocks import BadBlock, read_blocks
from sightloop.datasets.remotes.key_columns import KeyColumn
from sightloop.datasets.remotes.known_packs import KnownPacks, damaged
from sightloop.datasets.remotes.layout import (
    LARGE_BLOBS,
    METADATA_PACK_TARGET_BYTES,
    PACKS,
    index_name,
    large_blob_name,
    pack_name,
)
from sightloop.datasets.remotes.packs import Place
from sightloop.datasets.remotes.sending import ObjectWriter, Pack, PackWriter, put_checked
from sightloop.datasets.remotes.sources import Source
from sightloop.kernel.digests import Digest


class Rewritten(NamedTuple):
    """What an erasure did to a remote."""

    n_packs: int
    n_erased: int


def rewrite_without(source: Source, digests: Collection[Digest]) -> Rewritten:
    """Leave none of these blobs and objects in the remote.

    Raises:
        RemoteUnavailable: it does not answer; do it again.
        RemoteDenied: the credentials do not allow it.
        RemoteDamaged: a pack has changed, so it cannot be written anew.
    """
    erased = KeyColumn.of(object_key(one) for one in digests)
    n_packs = n_erased = 0
    for known in (source.packs, source.metadata):
        known.refresh(source.requests)
        for digits in sorted(known.orphaned):
            # Asked again: a list that is read while somebody writes may miss a file.
            if source.remote.store.size_bytes(pack_name(known.area, digits)) is None:
                source.remote.store.delete(index_name(known.area, digits))
        for digits in known.holding(erased):
            n_erased += _rewrite(source, known, digits, {*erased})
            n_packs += 1
    there = {one.name for one in source.remote.store.list(LARGE_BLOBS)}
    for name in sorted(there & {large_blob_name(one) for one in digests}):
        source.remote.store.delete(name)
        n_erased += 1
    return Rewritten(n_packs, n_erased)


def _rewrite(source: Source, known: KnownPacks, digits: str, erased: set[bytes]) -> int:
    store, area = source.remote.store, known.area
    held = store.get(pack_name(area, digits))
    if held is None or hashlib.sha256(held.content).hexdigest() != digits:
        problem = "is gone" if held is None else "has other bytes than its name says"
        raise damaged(source.remote, area, [digits], problem)
    places = known.index(digits).places_of_pieces
    try:
        packs = (
            without_blobs(held.content, places, erased, folder=source.incoming)
            if area == PACKS
            else without_objects(held.content, erased, folder=source.incoming)
        )
    except BadBlock as error:
        raise damaged(source.remote, area, [digits], f"cannot be read: {error}") from error
    n_left = 0
    for pack in packs:
        name, index = pack_name(area, pack.digits), index_name(area, pack.digits)
        put_checked(source.remote, name, pack.path, size_bytes=pack.size_bytes)
        put_checked(source.remote, index, pack.index_content, size_bytes=len(pack.index_content))
        known.note(pack.digits, pack.index_content)
        n_left += known.index(pack.digits).n_entries
    n_erased = known.index(digits).n_entries - n_left
    # The index last: without it nobody would know any more that the pack has to go.
    store.delete(pack_name(area, digits))
    store.delete(index_name(area, digits))
    known.forget(digits)
    return n_erased


def without_blobs(
    pack: bytes, places: list[Place], erased: set[bytes], *, folder: Path
) -> list[Pack]:
    """The pack without these blobs, in a file of the folder; none when nothing is left of it."""
    writer = PackWriter(folder, target_bytes=len(pack) + 1)
    for start, length in places:
        blob = pack[start : start + length]
        key = hashlib.sha256(blob).digest()
        if key not in erased:
            writer.add(blob, [key])
    return [] if writer.is_empty else [writer.finish()]


def without_objects(pack: bytes, erased: set[bytes], *, folder: Path) -> list[Pack]:
    """The pack without these objects, in files of the folder; none when nothing is left of it.

    Raises:
        BadBlock: it cannot be read.
    """
    writer = ObjectWriter(folder, target_bytes=METADATA_PACK_TARGET_BYTES)
    for block in read_blocks(pack):
        for record in block.records:
            if record.key not in erased:
                writer.add(record.kind, record.key, record.content)
    return writer.finish()
