"""Erasing samples from every version for good.

1. **Decide**: tombstones for the images and for every row that shows one, with the event, in one
   transaction. From then on nothing brings them back.
2. **Commit**: every branch that holds one gets a commit without it.
3. **Destroy**: rows, split keys, blobs, indexes and laid-out copies go; then the database is
   written anew, because what is deleted in it stays readable in its gaps and in its log.
4. The tombstones are finished.

A crash after the first step leaves tombstones that are not finished, and the next call begins by
finishing them. Old commits still verify: a tombstone stands where the row was.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from sightloop.datasets import comparing, indexes
from sightloop.datasets.changes import Change
from sightloop.datasets.curation.fingerprints import forget_fingerprints
from sightloop.datasets.drafts import Target, commit_change
from sightloop.datasets.errors import NoSuchRef
from sightloop.datasets.keys import digest_of_key, object_key, sample_key
from sightloop.datasets.merges import forget_merges_about
from sightloop.datasets.records import CommitRecord
from sightloop.datasets.store import list_refs
from sightloop.datasets.tombstones import (
    Tombstone,
    find_tombstones,
    finish_tombstones,
    unfinished_tombstones,
    write_tombstones,
)
from sightloop.datasets.upkeep import mentions, store
from sightloop.datasets.upkeep.errors import NothingToErase
from sightloop.datasets.upkeep.selecting import (
    RowFacts,
    Selection,
    Wanted,
    rows_of_images,
    select_rows,
)
from sightloop.datasets.upkeep.whereabouts import places_of
from sightloop.datasets.values import SampleId
from sightloop.datasets.working_copies.copies import Copy, copies_with, write_copy
from sightloop.datasets.working_copies.layout import has_own_labels, label_path_of
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.blobs import BlobMissing
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest, digest_of
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.workspace import Call, Workspace

DATA_ERASED = EventKind("data.erased")
N_LISTED = 20


class EraseData(msgspec.Struct, frozen=True, kw_only=True):
    """Erase what is wanted, for a reason that stays on record; name nobody in it."""

    wanted: Wanted
    reason: Annotated[str, Meta(min_length=1, max_length=500)]
    is_dry_run: bool = False


class BranchWithout(msgspec.Struct, frozen=True, kw_only=True):
    """A branch that held some of the samples."""

    branch: str
    n_samples: int
    commit: Digest | None
    """The new commit without them; None in a dry run."""


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """A table of the workspace with records that name the images, or commits that held them."""

    table: str
    n_of_images: int
    n_of_commits: int


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """What was erased, or would be, and what else knows of it. File names are only shown."""

    is_dry_run: bool
    n_samples: int
    n_images: int
    n_rows: int
    """Versions of the samples, over all commits."""
    image_bytes: int
    file_names: list[str]
    """The first few."""
    branches: list[BranchWithout]
    n_commits: int
    """Old commits that held any of them; they stay, with tombstones in its place."""
    named_by: list[Named]
    """Records that stay: of images kept or labelled, of models trained on those commits."""
    n_linked: int
    """Images whose bytes a hard link outside the store still holds: a working copy, a view."""
    copies: list[str]
    """Files in the workspace's state folder with the same bytes; they go too."""
    in_folders: list[str]
    """Files in checkouts that show or label them. They stay, no longer tracked: delete them."""
    in_sources: list[str]
    """The same in folders that were imported where they lie, and may be somebody's archive."""
    is_log_empty: bool
    """False when somebody was reading the database all the time: erase again to finish."""


def erase_data(workspace: Workspace, call: Call, request: EraseData) -> Erased:
    """Erase the images that fit, with all samples that show them, from every version for good.

    What an earlier call began and did not finish is finished first.

    Raises:
        NothingNamed: everything would fit.
        NothingToErase: no version has a sample that fits.
        BadFilter: a slice is not `field=value`.
        NoSuchRef, AmbiguousRef: `ref` names no commit.
        BlobsInUse: somebody stored images all the time; call again to finish.
        DatabaseBusy: another process kept the database; call again to finish.
        DiskFull: no room to write the database anew; call again to finish.
    """
    require(call.actor, Permission.ADMINISTER)
    with workspace.db.read() as tx:
        is_resumed = bool(unfinished_tombstones(tx)) and not request.is_dry_run
        found = select_rows(tx, request.wanted)
        digests = found.images | {digest_of_key(key) for key in found.rows}
        is_decided = digests <= find_tombstones(tx, digests).keys()
        images = {one for one in found.images if workspace.blobs.has(one)}
        if not (found.rows or images or is_resumed):
            raise NothingToErase(wanted=request.wanted.told)
        account = _look(workspace, tx, found)
    if request.is_dry_run:
        return account.told(is_dry_run=True)
    if not is_decided:
        _decide(workspace, call, found, reason=request.reason)
    account.finish(call)
    return account.told(is_dry_run=False)


def finish_erasures(workspace: Workspace, call: Call) -> bool:
    """Destroy what is decided to go, here or at a remote; True when there was anything.

    Raises:
        BlobsInUse, DatabaseBusy, DiskFull: as `erase_data`; call again to finish.
    """
    with workspace.db.read() as tx:
        is_needed = bool(unfinished_tombstones(tx))
    if is_needed:
        _Account(workspace, Selection(set(), {})).finish(call)
    return is_needed


def _decide(workspace: Workspace, call: Call, found: Selection, *, reason: str) -> None:
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        _put_up(tx, found, by=call.actor.id, reason=reason, now_ms=now_ms)
        tell(
            tx,
            DATA_ERASED,
            "data",
            by=call.actor,
            at_ms=now_ms,
            data={
                "n_samples": len(found.samples),
                "n_images": len(found.images),
                "reason": reason,
            },
        )


def _put_up(tx: Tx, found: Selection, *, by: str, reason: str, now_ms: int) -> None:
    def tombstone(digest: Digest, row: RowFacts | None) -> Tombstone:
        return Tombstone(
            digest=digest,
            kind="image" if row is None else "row",
            sample=None if row is None else row.sample,
            erased_at_ms=now_ms,
            erased_by=by,
            reason=reason,
            is_finished=False,
        )

    write_tombstones(tx, [tombstone(one, None) for one in sorted(found.images)])
    write_tombstones(
        tx, [tombstone(digest_of_key(key), row) for key, row in sorted(found.rows.items())]
    )


def _look(workspace: Workspace, tx: Tx, found: Selection) -> _Account:
    account = _Account(workspace, found)
    rows = set(found.rows)
    commits = store.every_commit(tx)
    held = {one.commit: one for one in places_of(tx, rows, commits)}
    account.n_commits = len(held)
    for ref in list_refs(tx, "branch"):
        if ref.commit in held:
            samples = {found.rows[key].sample for key in held[ref.commit].found}
            account.at_heads[ref.name] = len(samples)
    images, commit_keys = ({object_key(one) for one in some} for some in (found.images, held))
    for mention in mentions.in_tables(tx):
        account.n_of_images[mention.holder] += mention.key in images
        account.n_of_commits[mention.holder] += mention.key in commit_keys
    account.weigh()
    return account


@dataclass(slots=True)
class _Account:
    """What is known of one erasure, before and after it."""

    workspace: Workspace
    found: Selection
    n_commits: int = 0
    at_heads: dict[str, int] = field(default_factory=dict)
    new_commits: dict[str, Digest] = field(default_factory=dict)
    n_of_images: Counter[str] = field(default_factory=Counter)
    n_of_commits: Counter[str] = field(default_factory=Counter)
    image_bytes: int = 0
    n_linked: int = 0
    copies: list[Path] = field(default_factory=list)
    in_folders: list[str] = field(default_factory=list)
    in_sources: list[str] = field(default_factory=list)
    is_log_empty: bool = True

    def weigh(self) -> None:
        """Look at the files."""
        stored = _stored(self.workspace, self.found.images)
        self.image_bytes = sum(facts.st_size for facts in stored.values())
        self.n_linked = sum(facts.st_nlink > 1 for facts in stored.values())
        self.copies = _copies_of(self.workspace, stored)
        tracked = copies_with(self.workspace.state, _sample_keys(self.found.samples))
        for copy, images in tracked:
            there = self.in_sources if copy.facts.is_imported else self.in_folders
            root = Path(copy.facts.folder)
            there += [str(root / one) for one in _with_labels(copy, images)]

    def finish(self, call: Call) -> None:
        """Take every step that is left, for this request and any before it."""
        workspace = self.workspace
        with workspace.db.read() as tx:
            pending = unfinished_tombstones(tx)
        images = {one.digest for one in pending if one.kind == "image"}
        pending += _late_rows(workspace, pending, images)
        samples = {one.sample for one in pending if one.sample is not None}
        self._commit(call, samples)
        with workspace.db.write() as tx:
            rows = [object_key(one.digest) for one in pending if one.kind == "row"]
            store.delete_objects(tx, rows)
            store.delete_split_keys(tx, [sample_key(one) for one in samples])
            forget_merges_about(tx, samples)
        _untrack(workspace, samples)
        self._destroy_files(call, images)
        self.is_log_empty = workspace.db.forget_deleted()
        if self.is_log_empty:
            with workspace.db.write() as tx:
                finish_tombstones(tx, [one.digest for one in pending])

    def _commit(self, call: Call, samples: Collection[SampleId]) -> None:
        with self.workspace.db.read() as tx:
            branches = [ref.name for ref in list_refs(tx, "branch")]
        n_samples = len(samples)
        message = f"Erase {n_samples} sample{'' if n_samples == 1 else 's'}"

        def change_on(head: CommitRecord | None) -> Change:
            if head is None:
                raise NoSuchRef(name=target.branch)
            return Change([], head.taxonomy, removals=samples)

        for branch in branches:
            target = Target(branch, message)
            try:
                draft = commit_change(self.workspace, call, target=target, change_on=change_on)
            except NoSuchRef:  # taken away since it was listed
                continue
            if draft.is_new:
                self.new_commits[branch] = draft.commit
                self.at_heads.setdefault(branch, draft.n_removed)

    def _destroy_files(self, call: Call, images: Collection[Digest]) -> None:
        # Before the blobs, whose sizes lead to them.
        for path in _copies_of(self.workspace, _stored(self.workspace, images)):
            path.unlink(missing_ok=True)
        for done, some in enumerate(store.chunks(sorted(images), 100)):
            call.progress("erasing images", done * 100, len(images))
            with self.workspace.blobs.removal() as removal:
                for image in some:
                    removal.erase(image)
        with self.workspace.blobs.removal() as removal:
            # Nobody is writing now, so whatever is half written never will be whole.
            removal.remove_leftovers(written_before_ms=_END_OF_TIME_MS)
        for path in indexes.index_files(self.workspace):
            path.unlink(missing_ok=True)
        forget_fingerprints(self.workspace, images)
        indexes.forget_indexes()
        comparing.forget_comparisons()

    def told(self, *, is_dry_run: bool) -> Erased:
        """All of it, for people."""
        tables = sorted(name for name, n in (self.n_of_images + self.n_of_commits).items() if n)
        names = sorted({row.file_name for row in self.found.rows.values()})
        return Erased(
            is_dry_run=is_dry_run,
            n_samples=len(self.found.samples),
            n_images=len(self.found.images),
            n_rows=len(self.found.rows),
            image_bytes=self.image_bytes,
            file_names=names[:N_LISTED],
            branches=[
                BranchWithout(branch=name, n_samples=n, commit=self.new_commits.get(name))
                for name, n in sorted(self.at_heads.items())
            ],
            n_commits=self.n_commits,
            named_by=[
                Named(
                    table=name,
                    n_of_images=self.n_of_images[name],
                    n_of_commits=self.n_of_commits[name],
                )
                for name in tables
            ],
            n_linked=self.n_linked,
            copies=[str(path.relative_to(self.workspace.root)) for path in self.copies],
            in_folders=self.in_folders,
            in_sources=self.in_sources,
            is_log_empty=self.is_log_empty,
        )


_END_OF_TIME_MS = 1 << 62


def _late_rows(
    workspace: Workspace, pending: list[Tombstone], images: set[Digest]
) -> list[Tombstone]:
    """Rows that were committed between the look and the decision; no more can come."""
    if not images:
        return []
    like = {one.digest: one for one in pending}
    with workspace.db.read() as tx:
        rows = rows_of_images(tx, images)
    late = [
        msgspec.structs.replace(
            like[row.image], digest=digest_of_key(key), kind="row", sample=row.sample
        )
        for key, row in rows.items()
        if digest_of_key(key) not in like
    ]
    with workspace.db.write() as tx:
        write_tombstones(tx, late)
    return late


def _untrack(workspace: Workspace, samples: Collection[SampleId]) -> None:
    """Forget the names of files in working copies; the files are their owner's to delete."""
    for copy, gone in copies_with(workspace.state, _sample_keys(samples)):
        names = set(_with_labels(copy, gone))
        files = {path: one for path, one in copy.files.items() if path not in names}
        write_copy(workspace.state, Copy(copy.facts, files))


def _with_labels(copy: Copy, images: Iterable[str]) -> list[str]:
    """The images' paths and those of the label files that the copy tracks beside them."""
    if not has_own_labels(copy.facts):
        return list(images)
    both = [one for path in images for one in (path, label_path_of(path))]
    return [path for path in both if path in copy.files]


def _sample_keys(samples: Collection[SampleId]) -> set[bytes]:
    return {sample_key(one) for one in samples}


def _stored(workspace: Workspace, images: Collection[Digest]) -> dict[Digest, os.stat_result]:
    """The files of those of the images that are in the store."""
    found = {}
    for image in images:
        with suppress(BlobMissing, FileNotFoundError):
            found[image] = workspace.blobs.local_path(image).stat()
    return found


def _copies_of(workspace: Workspace, stored: Mapping[Digest, os.stat_result]) -> list[Path]:
    """Files of the state folder with an image's very bytes: laid out for a training, say."""
    sizes = {facts.st_size for facts in stored.values()}
    return [
        path
        for _, path in mentions.state_files(workspace)
        if path.stat().st_size in sizes and digest_of(path.read_bytes()) in stored
    ]
