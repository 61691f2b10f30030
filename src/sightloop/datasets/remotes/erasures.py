"""Erasures travel too: what was erased in one workspace goes from the remote and from the others.

Each push of new tombstones writes one list of them, named by its content; then packs that hold
something erased are written anew. Whoever fetches takes the tombstones over before anything else,
so that nothing erased is let in, and whoever pulls destroys what is here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from sightloop.datasets.errors import PushedMeanwhile, RemoteDamaged
from sightloop.datasets.keys import object_key
from sightloop.datasets.remotes.layout import TOMBSTONES
from sightloop.datasets.remotes.rewriting import rewrite_without
from sightloop.datasets.remotes.sources import Source
from sightloop.datasets.remotes.store import redeem
from sightloop.datasets.tombstones import (
    ErasedKind,
    Tombstone,
    every_tombstone,
    find_tombstones,
    write_tombstones,
)
from sightloop.datasets.values import SampleId
from sightloop.kernel.digests import Digest, canonical_json
from sightloop.kernel.files import write_atomic
from sightloop.kernel.workspace import Workspace


class SentTombstone(msgspec.Struct, frozen=True, kw_only=True):
    """An image or row that was erased, as others are told."""

    digest: Digest
    kind: ErasedKind
    sample: SampleId | None
    erased_at_ms: int
    erased_by: str
    reason: str


class TombstoneList(msgspec.Struct, frozen=True):
    """What one push told of."""

    tombstones: list[SentTombstone]


def take_erasures(workspace: Workspace, source: Source) -> int:
    """Take over the remote's tombstones; returns how many are new.

    What they stand for is decided to go from then on; `upkeep.erasing.finish_erasures` destroys it.

    Raises:
        RemoteDamaged: a list is not what its name says.
    """
    told = [one for some in _lists(source) for one in some.tombstones]
    with workspace.db.read() as tx:
        known = find_tombstones(tx, [one.digest for one in told])
    new = [one for one in told if one.digest not in known]
    if new:
        with workspace.db.write() as tx:
            write_tombstones(tx, (_received(one) for one in new))
            redeem(tx, [object_key(one.digest) for one in new])
    return len(new)


def send_erasures(workspace: Workspace, source: Source) -> int:
    """Tell the remote of this workspace's tombstones and erase there; returns how many packs.

    Raises:
        PushedMeanwhile: it tells of an erasure that is not known here.
        RemoteDamaged: a list or a pack is not what its name says.
    """
    with workspace.db.read() as tx:
        ours = {one.digest: one for one in every_tombstone(tx)}
    theirs = {one.digest for some in _lists(source) for one in some.tombstones}
    if unknown := sorted(theirs - ours.keys()):
        raise PushedMeanwhile(remote=source.remote.name, ref="an erasure", at=unknown[0])
    if not ours:
        return 0
    if new := [ours[digest] for digest in sorted(ours.keys() - theirs)]:
        content = canonical_json(TombstoneList([_sent(one) for one in new]))
        name = hashlib.sha256(content).hexdigest()
        source.remote.store.put_new(f"{TOMBSTONES}{name}.json", content)
    return rewrite_without(source, ours.keys()).n_packs


def _lists(source: Source) -> Iterator[TombstoneList]:
    """Every list the remote has, those read before out of the cache."""
    for one in list(source.remote.store.list(TOMBSTONES)):
        path = source.cache / TOMBSTONES / Path(one.name).name
        content = path.read_bytes() if path.exists() else _read(source, one.name)
        yield _decoded(source, one.name, content)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, content)


def _read(source: Source, name: str) -> bytes:
    held = source.remote.store.get(name)
    if held is not None and hashlib.sha256(held.content).hexdigest() == Path(name).stem:
        return held.content
    problem = "is gone" if held is None else "has other bytes than its name says"
    raise RemoteDamaged(remote=source.remote.name, objects=[name], problem=problem)


def _decoded(source: Source, name: str, content: bytes) -> TombstoneList:
    try:
        return msgspec.json.decode(content, type=TombstoneList)
    except msgspec.MsgspecError as error:
        problem = "is no list of tombstones"
        raise RemoteDamaged(remote=source.remote.name, objects=[name], problem=problem) from error


def _sent(one: Tombstone) -> SentTombstone:
    return SentTombstone(
        digest=one.digest,
        kind=one.kind,
        sample=one.sample,
        erased_at_ms=one.erased_at_ms,
        erased_by=one.erased_by,
        reason=one.reason,
    )


def _received(one: SentTombstone) -> Tombstone:
    return Tombstone(**msgspec.structs.asdict(one), is_finished=False)
