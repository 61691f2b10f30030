"""Sending a branch or a tag to a remote.

Images go first, then rows, nodes and commits, and in the end the remote's branch moves by
compare-and-swap. Everything before that is named by its content and made once, so a push that was
interrupted is simply repeated and does not send again what is there.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sightloop.contracts.decode import encode
from sightloop.datasets.errors import NoSuchRef, PushedMeanwhile, RefExists
from sightloop.datasets.keys import ObjectKey, digest_of_key, object_key
from sightloop.datasets.remotes.backend import Held, Stale
from sightloop.datasets.remotes.connecting import Remote, cache_of, claim, connect, transfer
from sightloop.datasets.remotes.erasures import send_erasures
from sightloop.datasets.remotes.histories import (
    NewCommit,
    NewNodes,
    ancestors,
    commits_beyond,
    is_here,
    new_nodes,
)
from sightloop.datasets.remotes.key_columns import KeyColumn
from sightloop.datasets.remotes.known_packs import KnownPacks
from sightloop.datasets.remotes.layout import (
    LARGE_BLOB_BYTES,
    LARGE_BLOBS,
    METADATA,
    METADATA_PACK_TARGET_BYTES,
    PACK_TARGET_BYTES,
    PACKS,
    REFS,
    RemoteRef,
    RemoteRefKind,
    large_blob_name,
    ref_name,
    tracking_name,
)
from sightloop.datasets.remotes.placing import Placing
from sightloop.datasets.remotes.sending import (
    AT_ONCE,
    ObjectWriter,
    PackWriter,
    Sender,
    put_checked,
)
from sightloop.datasets.remotes.sources import Source, commit_of
from sightloop.datasets.store import Ref, find_ref, read_objects, read_rows, set_ref
from sightloop.datasets.values import decode_row
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest
from sightloop.kernel.progress import Progress
from sightloop.kernel.workspace import Call, Workspace

_TELL_EVERY = 100


class Push(msgspec.Struct, frozen=True, kw_only=True):
    """A branch or tag of this workspace, and the remote it goes to."""

    ref: str = "main"
    remote: str = "origin"


class Pushed(msgspec.Struct, frozen=True, kw_only=True):
    """What was sent. Nothing was when `before` is `commit`."""

    remote: str
    ref: str
    commit: Digest
    before: Digest | None
    """Where the remote's branch was; None if it had none."""
    n_commits: int = 0
    n_objects: int = 0
    """Rows, tree nodes, taxonomies and commits."""
    n_images: int = 0
    images_bytes: int = 0


def push(workspace: Workspace, call: Call, request: Push) -> Pushed:
    """Bring the remote's branch (or tag) of that name to where ours is.

    Raises:
        NoSuchRemote: no remote has that name.
        NoSuchRef: no branch or tag has that name.
        PushedMeanwhile: the remote's branch has commits that ours lacks, or it tells of an erasure
            that is not known here; nothing moved.
        RefExists: the remote's tag of that name is at another commit.
        RemoteUnfit: nothing may be kept there.
        RemoteUnavailable: it does not answer; what was sent so far is not sent again.
        RemoteDenied: the credentials do not allow it.
        RemoteDamaged: it holds something wrong under a name that was to be sent.
        BlobMissing: an image to be sent is not here.
        BlobDamaged: an image to be sent has changed.
    """
    require(call.actor, Permission.WRITE_DATA)
    return push_to(workspace, call, connect(workspace, request.remote), ref=request.ref)


def push_to(workspace: Workspace, call: Call, remote: Remote, *, ref: str) -> Pushed:
    """As `push`, to a remote that is connected already."""
    with workspace.db.read() as tx:
        target = _target_of(tx, ref)
    with transfer(remote) as outgoing, ThreadPoolExecutor(AT_ONCE) as requests:
        push_run = _Push(workspace, remote, target, outgoing, requests, call.progress)
        pushed = push_run.run()
    if target.kind == "heads":
        tracking = Ref(
            "remote",
            tracking_name(remote.name, ref),
            target.commit,
            workspace.clock.now_ms(),
        )
        with workspace.db.write() as tx:
            set_ref(tx, tracking, by=call.actor.id)
    return pushed


@dataclass(frozen=True, slots=True)
class _Target:
    kind: RemoteRefKind
    name: str
    commit: Digest


@dataclass(frozen=True, slots=True)
class _Load:
    """What the remote lacks."""

    commits: list[NewCommit]
    objects: ObjectWriter
    blobs: KeyColumn


@dataclass(frozen=True, slots=True)
class _Push:
    workspace: Workspace
    remote: Remote
    target: _Target
    outgoing: Path
    requests: Executor
    progress: Progress

    def run(self) -> Pushed:
        source = Source(
            self.remote, self.requests, cache_of(self.remote, claim(self.remote)), self.outgoing
        )
        send_erasures(self.workspace, source)
        name = ref_name(self.target.kind, self.target.name)
        held = self.remote.store.get(name)
        before = None if held is None else commit_of(self.remote, name, held)
        if before == self.target.commit:
            return self._pushed(before)
        heads = self._heads() if before is None else [before]
        packs, metadata = source.packs, source.metadata
        packs.refresh(self.requests)
        metadata.refresh(self.requests)
        with self.workspace.db.read() as tx:
            self._check(tx, before)
            load = self._load(tx, heads, packs, metadata)
        images_bytes = self._send_blobs(load.blobs, packs)
        self._send_metadata(load.objects, metadata)
        self._move(name, held)
        return self._pushed(
            before,
            n_commits=len(load.commits),
            n_objects=load.objects.n_objects,
            n_images=len(load.blobs),
            images_bytes=images_bytes,
        )

    def _pushed(self, before: Digest | None, **counts: int) -> Pushed:
        return Pushed(
            remote=self.remote.name,
            ref=self.target.name,
            commit=self.target.commit,
            before=before,
            **counts,
        )

    def _heads(self) -> list[Digest]:
        """Where the remote's other branches and tags are: what they lead to is there."""
        names = [one.name for one in self.remote.store.list(REFS)]
        held = zip(names, self.requests.map(self.remote.store.get, names), strict=True)
        return [commit_of(self.remote, name, one) for name, one in held if one is not None]

    def _check(self, tx: Tx, before: Digest | None) -> None:
        if before is None:
            return
        if self.target.kind == "tags":
            raise RefExists(kind="tag", name=self.target.name, commit=before)
        if not is_here(tx, before) or before not in ancestors(tx, [self.target.commit]):
            raise PushedMeanwhile(remote=self.remote.name, ref=self.target.name, at=before)

    def _load(
        self, tx: Tx, heads: Collection[Digest], packs: KnownPacks, metadata: KnownPacks
    ) -> _Load:
        commits = commits_beyond(tx, self.target.commit, ancestors(tx, heads))
        objects = ObjectWriter(self.outgoing, target_bytes=METADATA_PACK_TARGET_BYTES)
        placing = Placing()
        done = 0
        for new in commits:
            for some in new_nodes(tx, new):
                self._add(tx, new, some, objects=objects, placing=placing, metadata=metadata)
                done += some.n_rows
                self.progress("comparing", done, 0)
            self._add_record(tx, new, objects)
        return _Load(commits, objects, packs.lacking(placing.order()))

    def _add(
        self,
        tx: Tx,
        new: NewCommit,
        some: NewNodes,
        *,
        objects: ObjectWriter,
        placing: Placing,
        metadata: KnownPacks,
    ) -> None:
        # What was erased is not sent; its row keeps its place in the tree.
        rows = read_rows(tx, [row for node in some.nodes for _, row in node.rows])
        keys = KeyColumn.of([*rows, *(node.key for node in some.nodes)])
        wanted = {*metadata.lacking(keys)}
        for node in some.nodes:
            for _, row in node.rows:
                if row not in rows:
                    continue
                placing.add(decode_row(rows[row]), new.record.split_rule)
                if row in wanted:
                    objects.add("row", row, rows[row])
            if node.key in wanted:
                objects.add("node", node.key, node.content)

    def _add_record(self, tx: Tx, new: NewCommit, objects: ObjectWriter) -> None:
        keys = [object_key(new.commit)]
        if new.record.taxonomy not in new.parent_taxonomies:
            keys.insert(0, object_key(new.record.taxonomy))
        content = read_objects(tx, keys)
        for key in keys[:-1]:
            objects.add("taxonomy", key, content[key])
        objects.add("commit", keys[-1], content[keys[-1]])

    def _send_blobs(self, keys: KeyColumn, packs: KnownPacks) -> int:
        """Send these, which the remote's packs lack; returns how many bytes they have."""
        blobs = self.workspace.blobs
        # Before anything is sent: every image must be here.
        sizes = array("q", (blobs.size_bytes(_digest(key)) for key in keys))
        has_large = any(size >= LARGE_BLOB_BYTES for size in sizes)
        listed = self.remote.store.list(LARGE_BLOBS) if has_large else ()
        large_there = {one.name for one in listed}
        sender = Sender(self.remote, PACKS, packs, self.requests)
        writer = PackWriter(self.outgoing, target_bytes=PACK_TARGET_BYTES)
        for done, (key, size) in enumerate(zip(keys, sizes, strict=True)):
            if done % _TELL_EVERY == 0:
                self.progress("sending images", done, len(keys))
            if size >= LARGE_BLOB_BYTES:
                self._send_large(_digest(key), size, large_there)
                continue
            writer.add(blobs.read(_digest(key)), [key])
            if writer.is_full:
                sender.send(writer.finish())
        if not writer.is_empty:
            sender.send(writer.finish())
        sender.finish()
        return sum(sizes)

    def _send_large(self, digest: Digest, size_bytes: int, there: Collection[str]) -> None:
        name = large_blob_name(digest)
        if name in there:
            return
        for _ in self.workspace.blobs.stream(digest):
            pass  # checked before it is sent; it is too large to be held
        path = self.workspace.blobs.local_path(digest)
        put_checked(self.remote, name, path, size_bytes=size_bytes)

    def _send_metadata(self, objects: ObjectWriter, metadata: KnownPacks) -> None:
        sender = Sender(self.remote, METADATA, metadata, self.requests)
        packs = objects.finish()
        for done, pack in enumerate(packs):
            self.progress("sending labels", done, len(packs))
            sender.send(pack)
        sender.finish()

    def _move(self, name: str, held: Held | None) -> None:
        content = encode(RemoteRef(self.target.commit))
        expected = None if held is None else held.tag
        try:
            self.remote.store.compare_and_swap(name, content, expected=expected)
        except Stale:
            found = self.remote.store.get(name)
            at = Digest("") if found is None else commit_of(self.remote, name, found)
            raise PushedMeanwhile(remote=self.remote.name, ref=self.target.name, at=at) from None


def _target_of(tx: Tx, ref: str) -> _Target:
    if found := find_ref(tx, "branch", ref):
        return _Target("heads", ref, found.commit)
    if found := find_ref(tx, "tag", ref):
        return _Target("tags", ref, found.commit)
    raise NoSuchRef(name=ref)


def _digest(key: bytes) -> Digest:
    return digest_of_key(ObjectKey(key))
