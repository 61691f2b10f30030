"""Bringing a remote's rows, trees and commits here; images stay there until they are pulled.

The remote's refs are read before its packs are listed: a push moves a ref after its packs are
there, so whatever a ref leads to is in the list. Here, too, refs move last.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from sightloop.datasets.errors import ObjectMissing, RemoteDamaged
from sightloop.datasets.keys import ObjectKey, digest_of_key, object_key
from sightloop.datasets.remotes.blocks import BadBlock, Record, read_blocks
from sightloop.datasets.remotes.connecting import Remote, connect
from sightloop.datasets.remotes.erasures import take_erasures
from sightloop.datasets.remotes.histories import ancestors, commits_beyond, is_here, new_nodes
from sightloop.datasets.remotes.known_packs import damaged
from sightloop.datasets.remotes.layout import (
    METADATA,
    REFS,
    RemoteRefKind,
    pack_name,
    parse_ref_name,
    tracking_name,
)
from sightloop.datasets.remotes.packs import encode_index
from sightloop.datasets.remotes.sending import AT_ONCE
from sightloop.datasets.remotes.sources import Source, commit_of, reading
from sightloop.datasets.remotes.store import promise
from sightloop.datasets.remotes.windows import in_window
from sightloop.datasets.store import (
    Ref,
    RefKind,
    StoredObject,
    create_ref,
    find_ref,
    list_refs,
    note_split_keys,
    present_objects,
    set_ref,
    write_objects,
)
from sightloop.datasets.tombstones import erased_keys, find_tombstones
from sightloop.datasets.values import Sample, decode_row
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest
from sightloop.kernel.errors import SightloopError
from sightloop.kernel.progress import Progress
from sightloop.kernel.workspace import Call, Workspace

_AT_ONCE = 2_000
"""Objects per transaction."""
_MAX_TRIES = 3


class Fetch(msgspec.Struct, frozen=True, kw_only=True):
    """A remote."""

    remote: str = "origin"


class FetchedRef(msgspec.Struct, frozen=True, kw_only=True):
    """A branch (as REMOTE/BRANCH) or tag that is new or has moved."""

    kind: RefKind
    name: str
    before: Digest | None
    commit: Digest


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """What came."""

    remote: str
    refs: list[FetchedRef]
    kept_tags: list[str] = []
    """Tags that are elsewhere here than there; ours stay."""
    n_objects: int = 0
    """Rows, tree nodes, taxonomies and commits."""
    size_bytes: int = 0
    """As they were sent, compressed."""
    n_erased: int = 0
    """Images and rows that were erased elsewhere; the next pull destroys them here."""


def fetch(workspace: Workspace, call: Call, request: Fetch) -> Fetched:
    """Bring every branch and tag of the remote here, as REMOTE/BRANCH, without their images.

    Raises:
        NoSuchRemote: no remote has that name.
        NotFound: nothing was pushed there yet.
        RemoteUnavailable: it does not answer; what came so far is kept.
        RemoteDenied: the credentials do not allow it.
        RemoteDamaged: it lacks something, or something there has changed; no ref was moved.
        DiskFull: no room here; what came before is kept.
    """
    require(call.actor, Permission.WRITE_DATA)
    with reading(connect(workspace, request.remote)) as source:
        return fetch_from(workspace, call, source)


def fetch_from(workspace: Workspace, call: Call, source: Source) -> Fetched:
    """As `fetch`, from a remote that is being read already."""
    there = _refs_of(source)
    n_erased = take_erasures(workspace, source)
    heads = [ref.commit for ref in there]
    n_objects = size_bytes = 0
    missing: list[Digest] = []
    for _ in range(_MAX_TRIES):
        more, more_bytes = _absorb(workspace, source, call.progress)
        n_objects, size_bytes = n_objects + more, size_bytes + more_bytes
        missing = list(_missing(workspace, heads))
        moved = None if missing else _move(workspace, call, there)
        if moved is not None:
            return Fetched(
                remote=source.remote.name,
                refs=moved.refs,
                kept_tags=moved.kept_tags,
                n_objects=n_objects,
                size_bytes=size_bytes,
                n_erased=n_erased,
            )
        # What came before was cleared away here since, as nothing led to it: read it anew.
        _forget(source)
    problem = "belongs to a commit there but is in no pack"
    raise RemoteDamaged(remote=source.remote.name, objects=missing or heads, problem=problem)


def _refs_of(source: Source) -> list[FetchedRef]:
    store = source.remote.store
    named = [(one.name, parse_ref_name(one.name)) for one in store.list(REFS)]
    names = [(name, parts) for name, parts in named if parts is not None]
    held = source.requests.map(store.get, [name for name, _ in names])
    found = []
    for (name, (kind, ref)), one in zip(names, held, strict=True):
        if one is not None:
            commit = commit_of(source.remote, name, one)
            found.append(_fetched_ref(source.remote, kind, ref, commit))
    return found


def _fetched_ref(remote: Remote, kind: RemoteRefKind, name: str, commit: Digest) -> FetchedRef:
    if kind == "tags":
        return FetchedRef(kind="tag", name=name, before=None, commit=commit)
    tracking = tracking_name(remote.name, name)
    return FetchedRef(kind="remote", name=tracking, before=None, commit=commit)


def _absorb(workspace: Workspace, source: Source, progress: Progress) -> tuple[int, int]:
    """Take in every metadata pack that is new; returns how many objects and bytes came."""
    listed = source.metadata.listed_packs()
    unread = [one for one in listed if not _absorbed(source, one).exists()]
    n_objects = size_bytes = 0
    names = (pack_name(METADATA, one) for one in unread)
    fetched = in_window(source.requests, source.remote.store.get, names, n=AT_ONCE)
    for done, (digits, (_, held)) in enumerate(zip(unread, fetched, strict=True)):
        progress("fetching labels", done, len(unread))
        if held is None:
            continue  # written anew since it was listed; the new pack comes with the next fetch
        n_objects += _absorb_pack(workspace, source, digits, held.content)
        size_bytes += len(held.content)
    return n_objects, size_bytes


def _absorb_pack(workspace: Workspace, source: Source, digits: str, content: bytes) -> int:
    if hashlib.sha256(content).hexdigest() != digits:
        raise damaged(source.remote, METADATA, [digits], "has other bytes than its name says")
    entries: list[tuple[bytes, int]] = []
    lengths: list[int] = []
    waiting: list[Record] = []
    try:
        for block in read_blocks(content):
            entries += [(record.key, len(lengths)) for record in block.records]
            lengths.append(block.length)
            waiting += block.records
            if len(waiting) >= _AT_ONCE:
                _store(workspace, source.remote, waiting)
                waiting = []
    except BadBlock as error:
        raise damaged(source.remote, METADATA, [digits], f"cannot be read: {error}") from error
    _store(workspace, source.remote, waiting)
    source.metadata.note(digits, encode_index(entries, lengths))
    _absorbed(source, digits).touch()
    return len(entries)


def _store(workspace: Workspace, remote: Remote, records: list[Record]) -> None:
    samples = [_decoded(record) for record in records if record.kind == "row"]
    absent = {object_key(one.image) for one in samples if not workspace.blobs.has(one.image)}
    with workspace.db.write() as tx:
        erased = find_tombstones(tx, {one.image for one in samples})
        samples = [one for one in samples if one.image not in erased]
        write_objects(tx, (StoredObject(ObjectKey(key), kind, row) for key, kind, row in records))
        note_split_keys(tx, ((one.split_key, one.id) for one in samples))
        promise(tx, remote.name, absent - {object_key(one) for one in erased})


def _decoded(record: Record) -> Sample:
    try:
        return decode_row(record.content)
    except (msgspec.MsgspecError, SightloopError) as error:
        raise BadBlock(f"row {record.key.hex()} breaks its rules: {error}") from error


def _missing(workspace: Workspace, heads: list[Digest]) -> Iterator[Digest]:
    """Objects that these commits lead to and that are not here: of each gap, the first few.

    What a ref of ours leads to is here, so only what goes beyond it is looked at.
    """
    kinds: tuple[RefKind, ...] = ("branch", "tag", "remote")
    with workspace.db.read() as tx:
        ours = [ref.commit for kind in kinds for ref in list_refs(tx, kind)]
        new = [one for one in heads if one not in ours]
        known = ancestors(tx, ours) if new else set()
        for head in new:
            if head in known:
                continue
            try:
                yield from _missing_of(tx, head, known)
            except ObjectMissing as error:
                yield Digest(str(error.facts["digest"]))


def _missing_of(tx: Tx, head: Digest, known: set[Digest]) -> Iterator[Digest]:
    if not is_here(tx, head):
        yield head
        return
    for commit in commits_beyond(tx, head, known):
        if not is_here(tx, commit.record.taxonomy):
            yield commit.record.taxonomy
        for some in new_nodes(tx, commit):
            rows = [row for node in some.nodes for _, row in node.rows]
            missing = set(rows) - present_objects(tx, rows)
            if missing:
                yield from map(digest_of_key, sorted(missing - erased_keys(tx, missing)))


class _Moved(NamedTuple):
    refs: list[FetchedRef]
    kept_tags: list[str]


def _move(workspace: Workspace, call: Call, there: list[FetchedRef]) -> _Moved | None:
    """Point our refs at what came; None when some of it is gone again: commits go first."""
    moved = _Moved([], [])
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        if not all(is_here(tx, one.commit) for one in there):
            return None
        for one in there:
            found = find_ref(tx, one.kind, one.name)
            if found is not None and found.commit == one.commit:
                continue
            ref = Ref(one.kind, one.name, one.commit, now_ms)
            if one.kind == "remote":
                set_ref(tx, ref, by=call.actor.id)
            elif found is None:
                create_ref(tx, ref, by=call.actor.id)
            else:
                moved.kept_tags.append(one.name)
                continue
            before = found.commit if found else None
            moved.refs.append(msgspec.structs.replace(one, before=before))
    return moved


def _absorbed(source: Source, digits: str) -> Path:
    """A file that says that all of the pack's objects have come."""
    return source.cache / METADATA / f"{digits}.absorbed"


def _forget(source: Source) -> None:
    for path in (source.cache / METADATA).glob("*.absorbed"):
        path.unlink(missing_ok=True)
