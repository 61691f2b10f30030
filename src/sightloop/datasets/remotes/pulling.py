"""Bringing a branch here with its images, all of them or only those that are asked for.

Whatever is asked for, all rows come. An image that is left out is *promised*: reading it says
where it is, and a later pull fetches it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from sightloop.datasets.branches import head_of
from sightloop.datasets.browsing import ListSamples, filter_of
from sightloop.datasets.errors import BadFilter, MergeNeeded, NoSuchRef, RemoteDamaged
from sightloop.datasets.index import Index
from sightloop.datasets.indexes import index_of
from sightloop.datasets.keys import object_key
from sightloop.datasets.remotes.connecting import connect
from sightloop.datasets.remotes.fetching import Fetched, fetch_from
from sightloop.datasets.remotes.histories import ancestors, commits_beyond, new_nodes
from sightloop.datasets.remotes.key_columns import KeyColumn
from sightloop.datasets.remotes.layout import tracking_name
from sightloop.datasets.remotes.receiving import FetchedObjects, store_blobs
from sightloop.datasets.remotes.sources import Source, reading
from sightloop.datasets.remotes.store import count_promised, promised_among
from sightloop.datasets.samples import load_commit, load_samples
from sightloop.datasets.store import (
    RefKind,
    StoredNodes,
    advance_branch,
    find_ref,
    list_refs,
    read_rows,
)
from sightloop.datasets.upkeep.erasing import finish_erasures
from sightloop.datasets.values import decode_row
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.progress import Progress
from sightloop.kernel.workspace import Call, Workspace

DATASET_PULLED = EventKind("dataset.pulled")


class Pull(msgspec.Struct, frozen=True, kw_only=True):
    """A branch (or tag) of a remote, and which images of it; without a filter all of them."""

    ref: str = "main"
    remote: str = "origin"
    class_name: str = ""
    """With an object of this class; its id or name."""
    split: str = ""
    """train, val, test, audit or quarantined."""
    slices: Sequence[str] = ()
    """`field=value`, all of them."""
    tag: str = ""
    lane: str = ""

    @property
    def is_partial(self) -> bool:
        """Whether some images may stay where they are."""
        return bool(self.class_name or self.split or self.slices or self.tag or self.lane)


class Pulled(msgspec.Struct, frozen=True, kw_only=True):
    """What came, and where the branch is now."""

    fetched: Fetched
    ref: str
    before: Digest | None
    commit: Digest
    n_images: int
    images_bytes: int
    n_left: int
    """Images that this remote has and that are not here."""


def pull(workspace: Workspace, call: Call, request: Pull) -> Pulled:
    """Fetch the remote, then the images that are asked for, then move our branch forward to its.

    Raises:
        NoSuchRemote: no remote has that name.
        NotFound: nothing was pushed there yet.
        NoSuchRef: the remote has no such branch or tag.
        BadFilter: a filter's value is none that a sample can have.
        MergeNeeded: our branch has commits of its own; everything but images has come.
        HeadMoved: someone committed here meanwhile; pull again.
        RemoteUnavailable: it does not answer; what came so far is kept.
        RemoteDenied: the credentials do not allow it.
        RemoteDamaged: something there is missing or has changed; the branch was not moved.
        DiskFull: no room here; what came before is kept.
    """
    require(call.actor, Permission.WRITE_DATA)
    with reading(connect(workspace, request.remote)) as source:
        return pull_from(workspace, call, source, request)


def pull_from(workspace: Workspace, call: Call, source: Source, request: Pull) -> Pulled:
    """As `pull`, from a remote that is being read already."""
    complete = _complete_commits(workspace, request.remote)
    fetched = fetch_from(workspace, call, source)
    with workspace.db.read() as tx:
        theirs, is_branch = _theirs(tx, request)
        ours = head_of(tx, request.ref) if is_branch else theirs
        is_ahead = ours is not None and theirs in ancestors(tx, [ours])
        needs_merge = not is_ahead and ours is not None and ours not in ancestors(tx, [theirs])
    if needs_merge:
        finish_erasures(workspace, call)
        tracking = tracking_name(request.remote, request.ref)
        raise MergeNeeded(branch=request.ref, tracking=tracking)
    wanted = (
        _fitting(workspace, theirs, request, call.progress)
        if request.is_partial
        else _left_of_history(workspace, theirs, request.remote, complete)
    )
    blobs = _fetch_images(workspace, source, wanted, call.progress)
    if not is_ahead:
        _advance(workspace, call, request, before=ours, to=theirs)
    # After the branch moved on: the remote's may hold the commit without the erased already.
    finish_erasures(workspace, call)
    with workspace.db.read() as tx:
        n_left = count_promised(tx, request.remote)
        head = head_of(tx, request.ref) if is_branch else None
    return Pulled(
        fetched=fetched,
        ref=request.ref,
        before=ours,
        commit=head or theirs,
        n_images=blobs.n,
        images_bytes=blobs.size_bytes,
        n_left=n_left,
    )


def _theirs(tx: Tx, request: Pull) -> tuple[Digest, bool]:
    """Where the remote's branch or tag is, and whether it is a branch."""
    tracking = tracking_name(request.remote, request.ref)
    if branch := find_ref(tx, "remote", tracking):
        return branch.commit, True
    if tag := find_ref(tx, "tag", request.ref):
        return tag.commit, False
    raise NoSuchRef(name=tracking)


def _complete_commits(workspace: Workspace, remote: str) -> list[Digest]:
    """Commits all of whose images are here for certain: they need not be looked through."""
    kinds: tuple[RefKind, ...] = ("branch", "tag", "remote")
    with workspace.db.read() as tx:
        if count_promised(tx, remote):
            return []
        return [ref.commit for kind in kinds for ref in list_refs(tx, kind)]


def _left_of_history(
    workspace: Workspace, commit: Digest, remote: str, complete: list[Digest]
) -> KeyColumn:
    """Images that the remote promised, of the commit and those before it; in no order."""
    found = bytearray()
    with workspace.db.read() as tx:
        if not count_promised(tx, remote):
            return KeyColumn()
        for new in commits_beyond(tx, commit, ancestors(tx, complete)):
            for some in new_nodes(tx, new):
                rows = read_rows(tx, [row for node in some.nodes for _, row in node.rows])
                images = {object_key(decode_row(row).image) for row in rows.values()}
                found += b"".join(promised_among(tx, images, remote=remote))
    return KeyColumn(found).first_of_each()


def _fitting(workspace: Workspace, commit: Digest, request: Pull, progress: Progress) -> KeyColumn:
    with workspace.db.read() as tx:
        record = load_commit(tx, commit)
    known = [*record.taxonomy.class_ids, *record.taxonomy.class_names]
    if request.class_name and request.class_name not in known:
        names = record.taxonomy.class_names
        raise BadFilter(what="class", value=request.class_name, known=names)
    listing = ListSamples(
        ref=commit,
        class_name=request.class_name,
        split=request.split,
        slices=request.slices,
        tag=request.tag,
        lane=request.lane,
    )
    index = index_of(workspace, commit, progress=progress)
    assert isinstance(index, Index), "it was waited for"
    ids = index.ids_of(np.flatnonzero(index.matching(filter_of(listing, record.taxonomy))).tolist())
    with workspace.db.read() as tx:
        samples = load_samples(tx, StoredNodes(tx), record.root, ids)
        images = {object_key(one.image) for one in samples.values()}
        return KeyColumn.of(promised_among(tx, images, remote=request.remote))


def _fetch_images(
    workspace: Workspace, source: Source, keys: KeyColumn, progress: Progress
) -> FetchedObjects:
    if not keys:
        return FetchedObjects(0, 0, [])
    source.packs.refresh(source.requests)
    fetched = store_blobs(workspace, source, keys, progress)
    if fetched.missing:
        raise RemoteDamaged(
            remote=source.remote.name, objects=fetched.missing, problem="is in no pack"
        )
    return fetched


def _advance(
    workspace: Workspace, call: Call, request: Pull, *, before: Digest | None, to: Digest
) -> None:
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        advance_branch(tx, request.ref, expected=before, to=to, now_ms=now_ms, by=call.actor.id)
        tell(
            tx,
            DATASET_PULLED,
            to,
            by=call.actor,
            at_ms=now_ms,
            data={
                "branch": request.ref,
                "commit": to,
                "parent": before,
                "remote": request.remote,
            },
        )
