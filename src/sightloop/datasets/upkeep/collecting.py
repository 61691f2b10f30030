"""Garbage collection: what no ref and no record needs any more leaves the disk.

Marking reads one view of the database and takes no lock. Sweeping goes in short steps, and each
looks again at where refs are by then, with writers of blobs shut out:

1. commits that nothing needs, after a second look at everything that could name one; from then on
   nobody can find them again, and whatever leads to another thing to be removed is gone first;
2. nodes, rows, taxonomies and split keys, a few thousand per transaction;
3. files: blobs that were not put again since, what writers left half written, old indexes;
4. the freed space goes back to the file system.

A crash anywhere leaves less garbage and a store that can be read; the next run takes the rest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated

import msgspec
from msgspec import Meta

from sightloop.datasets import indexes
from sightloop.datasets.keys import ObjectKey, SampleKey, object_key
from sightloop.datasets.store import recent_ref_targets
from sightloop.datasets.tombstones import erased_images
from sightloop.datasets.upkeep import store
from sightloop.datasets.upkeep.account import Collected, Kept, Tally
from sightloop.datasets.upkeep.marking import Marks, mark_all, roots_in_refs
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.blob_folder import BlobRemoval, StoredBlob
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.workspace import Call, Workspace

DATA_COLLECTED = EventKind("data.collected")
DEFAULT_GRACE_S = 14 * 86_400.0
YOUNG_S = 3_600.0
"""A file that was stored within the last hour may belong to a commit that is still being made, so
it stays whatever grace period was asked for."""

_FILES_AT_ONCE = 200
_ORDER = ("commit", "taxonomy", "node", "row")


class CollectGarbage(msgspec.Struct, frozen=True, kw_only=True):
    """Remove what nothing has needed for the grace period; a dry run only says what that is."""

    grace_s: Annotated[float, Meta(ge=0, le=3_650 * 86_400)] = DEFAULT_GRACE_S
    """How long to keep what a branch pointed at before it moved or was deleted."""
    is_dry_run: bool = False


def collect_garbage(workspace: Workspace, call: Call, request: CollectGarbage) -> Collected:
    """Free the disk of what no branch, tag, record or recent move needs.

    Raises:
        ObjectMissing: something needed is not there: verify first; nothing was removed.
        ObjectDamaged: something needed has changed, so what it leads to cannot be known: verify
            first; nothing was removed.
        BlobsInUse: somebody stored images all the time; what was removed stays removed.
    """
    require(call.actor, Permission.ADMINISTER)
    before_bytes = workspace.db.size_bytes()
    run = _begin(workspace, call, request)
    if not request.is_dry_run:
        run.sweep_objects()
    run.sweep_files()
    if not request.is_dry_run:
        run.tell()
        workspace.db.give_back_space()
    removed = run.tally.removed()
    return Collected(
        is_dry_run=request.is_dry_run,
        grace_s=request.grace_s,
        removed=removed,
        kept=run.kept(),
        n_young=run.n_young,
        young_bytes=run.young_bytes,
        database_before_bytes=before_bytes,
        database_after_bytes=workspace.db.size_bytes(),
    )


def _begin(workspace: Workspace, call: Call, request: CollectGarbage) -> _Run:
    now_ms = workspace.clock.now_ms()
    run = _Run(
        workspace=workspace,
        call=call,
        is_dry=request.is_dry_run,
        since_ms=round(now_ms - request.grace_s * 1000),
        used_before_ms=round(now_ms - max(request.grace_s, YOUNG_S) * 1000),
        marks=Marks(workspace.blobs, call.progress),
        tally=Tally(),
    )
    with workspace.db.read() as tx:
        run.mark(tx)
        run.plan(tx)
    return run


@dataclass(slots=True)
class _Run:
    """One collection under way."""

    workspace: Workspace
    call: Call
    is_dry: bool
    since_ms: int
    used_before_ms: int
    marks: Marks
    tally: Tally
    doomed: dict[str, list[ObjectKey]] = field(default_factory=dict)
    doomed_samples: list[SampleKey] = field(default_factory=list)
    file_bytes: dict[str, list[int]] = field(default_factory=dict)
    n_young: int = 0
    young_bytes: int = 0

    def mark(self, tx: Tx) -> None:
        """Look at every root."""
        recent = recent_ref_targets(tx, self.since_ms)
        mark_all(self.workspace, tx, self.marks, recent=recent)

    def plan(self, tx: Tx) -> None:
        """Note what nothing needs now; in a dry run that is the result."""
        doomed = [key for key in store.every_key(tx) if key not in self.marks.objects]
        for weighed in store.weigh_objects(tx, doomed).items():
            key, (kind, n, size_bytes) = weighed
            self.doomed.setdefault(kind, []).append(key)
            if self.is_dry:
                self.tally.add(kind, n=n, size_bytes=size_bytes)
        for some in store.chunks(store.every_split_key_sample(tx), store.AT_ONCE):
            needed = self.marks.needs_sample(some)
            self.doomed_samples += [one for one, has in zip(some, needed, strict=True) if not has]
        if self.is_dry:
            self.tally.add("split key", n=len(self.doomed_samples))

    def sweep_objects(self) -> None:
        """Remove objects, those first that lead to others."""
        self._sweep(self.doomed.get("commit", []), looks_everywhere=True)
        for kind in _ORDER[1:]:
            for some in store.chunks(self.doomed.get(kind, []), store.AT_ONCE):
                self._sweep(some)
        for samples in store.chunks(self.doomed_samples, store.AT_ONCE):
            with self._step() as (tx, _):
                needed = self.marks.needs_sample(samples)
                gone = [one for one, has in zip(samples, needed, strict=True) if not has]
                self.tally.add("split key", n=store.delete_split_keys(tx, gone))

    def _sweep(self, keys: Collection[ObjectKey], *, looks_everywhere: bool = False) -> None:
        if not keys:
            return
        with self._step() as (tx, _):
            if looks_everywhere:
                self.mark(tx)
            gone = [key for key in keys if key not in self.marks.objects]
            weighed = store.weigh_objects(tx, gone)
            store.delete_objects(tx, gone)
        for one in weighed.values():
            self.tally.add(one.kind, n=one.n, size_bytes=one.size_bytes)
        self.call.progress("removing objects", len(keys), 0)

    def sweep_files(self) -> None:
        """Remove blobs, half-written files and indexes that nothing needs."""
        with self.workspace.db.read() as tx:
            erased = {object_key(one) for one in erased_images(tx)}
        listed = self.workspace.blobs.list_blobs()
        doomed = (one for one in listed if self._is_doomed(one, erased))
        for some in store.chunks(doomed, _FILES_AT_ONCE):
            self._sweep_blobs(some, erased)
        self._sweep_leftovers()
        self._sweep_indexes()

    def _is_doomed(self, blob: StoredBlob, erased: Collection[ObjectKey]) -> bool:
        key = object_key(blob.digest)
        if key in erased:
            return True
        holder = self.marks.holder_of_blob(key)
        if holder is not None:
            amount = self.file_bytes.setdefault(holder, [0, 0])
            amount[0] += 1
            amount[1] += blob.disk_bytes
            return False
        if blob.used_at_ms < self.used_before_ms:
            return True
        self.n_young += 1
        self.young_bytes += blob.disk_bytes
        return False

    def _sweep_blobs(self, blobs: list[StoredBlob], erased: Collection[ObjectKey]) -> None:
        if self.is_dry:
            for one in blobs:
                self.tally.add("image or file", size_bytes=one.disk_bytes)
            return
        with self._step() as (_, removal):
            for one in blobs:
                gone = self._remove(removal, one.digest, erased)
                if gone is not None:
                    self.tally.add("image or file", size_bytes=gone.disk_bytes)
        self.call.progress("removing files", len(blobs), 0)

    def _remove(
        self, removal: BlobRemoval, digest: Digest, erased: Collection[ObjectKey]
    ) -> StoredBlob | None:
        key = object_key(digest)
        if key in erased:  # what a crashed or racing import brought back goes whatever its age
            return removal.erase(digest)
        if self.marks.holder_of_blob(key) is not None:
            return None
        return removal.remove_old(digest, used_before_ms=self.used_before_ms)

    def _sweep_leftovers(self) -> None:
        blobs = self.workspace.blobs
        if self.is_dry:
            old = [one for one in blobs.list_leftovers() if one.written_at_ms < self.used_before_ms]
        else:
            with blobs.removal() as removal:
                old = removal.remove_leftovers(written_before_ms=self.used_before_ms)
        for one in old:
            self.tally.add("unfinished", size_bytes=one.disk_bytes)

    def _sweep_indexes(self) -> None:
        """An index of a commit that is gone is no use; one that is missing is made anew."""
        for path in indexes.index_files(self.workspace):
            if object_key(Digest(f"sha256:{path.stem}")) not in self.marks.objects:
                self.tally.add("index", size_bytes=path.stat().st_blocks * 512)
                if not self.is_dry:
                    path.unlink(missing_ok=True)

    @contextmanager
    def _step(self) -> Iterator[tuple[Tx, BlobRemoval]]:
        """Nobody stores or moves anything, and what they did until now is marked."""
        with self.workspace.blobs.removal() as removal, self.workspace.db.write() as tx:
            recent = recent_ref_targets(tx, self.since_ms)
            self.marks.add_roots(tx, roots_in_refs(tx, recent))
            yield tx, removal

    def tell(self) -> None:
        """Put it on record, if anything went."""
        removed = {one.kind: one.n for one in self.tally.removed()}
        if removed:
            with self.workspace.db.write() as tx:
                now_ms = self.workspace.clock.now_ms()
                tell(
                    tx,
                    DATA_COLLECTED,
                    "data",
                    by=self.call.actor,
                    at_ms=now_ms,
                    data={"removed": removed},
                )

    def kept(self) -> list[Kept]:
        """What stays, by who needs it; those that need nothing of their own are left out."""
        kept = []
        for holder in self.marks.holders:
            n_files, disk_bytes = self.file_bytes.get(holder.name, (0, 0))
            if holder.n_objects or n_files:
                kept.append(
                    Kept(
                        holder=holder.name,
                        n_commits=holder.n_commits,
                        n_objects=holder.n_objects,
                        n_files=n_files,
                        size_bytes=holder.object_bytes + disk_bytes,
                    )
                )
        return kept
