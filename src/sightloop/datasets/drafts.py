"""A commit in the making: worked out on a read view, then published in one transaction.

Reading, comparing and hashing happen before the write lock is taken. Publishing writes the new
objects, moves the branch by compare-and-swap and tells of it, all or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from sightloop.contracts.decode import encode
from sightloop.datasets import tree
from sightloop.datasets.branches import check_branch_name, head_of
from sightloop.datasets.changes import Change, Parent, Row, RowChanges
from sightloop.datasets.errors import HeadMoved, ImageErased, NothingToCommit, SplitRuleDiffers
from sightloop.datasets.keys import ObjectKind, object_key
from sightloop.datasets.records import CommitRecord, encode_commit
from sightloop.datasets.samples import load_commit
from sightloop.datasets.splits import SplitRule
from sightloop.datasets.store import (
    StoredObject,
    advance_branch,
    note_split_keys,
    write_objects,
)
from sightloop.datasets.tombstones import find_tombstones
from sightloop.datasets.values import SampleId
from sightloop.kernel.actors import Actor
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest, digest_of
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.workspace import Call, Workspace

DATASET_COMMITTED = EventKind("dataset.committed")

ChangeOn = Callable[[CommitRecord | None], Change]
"""What to do to a head, given its record; None while the branch does not exist."""

_MAX_TRIES = 10
"""How often a commit that is not pinned to a head starts anew because the head moved."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a commit goes and what it says of itself."""

    branch: str
    message: str
    expected_head: Digest | None = None
    """With one, the commit is made on exactly this head or not at all."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A commit with everything it needs. Nothing of it is stored before `publish`."""

    branch: str
    commit: Digest
    parent: Digest | None
    n_added: int
    n_changed: int
    n_removed: int
    objects: list[StoredObject]
    split_keys: list[tuple[str, SampleId]]
    images: list[Digest] = field(default_factory=list)
    """Of the rows it writes."""
    merged: Digest | None = None
    """Of a merge: its second parent, the commit that came in."""

    @property
    def is_new(self) -> bool:
        """False when the change changes nothing: the commit is then the parent itself."""
        return self.commit != self.parent


def commit_change(
    workspace: Workspace, call: Call, *, target: Target, change_on: ChangeOn
) -> Draft:
    """Put a change onto the head of a branch.

    Raises:
        BadRefName: no branch can have that name.
        HeadMoved: the branch is not at the expected head; nothing was committed.
        NothingToCommit: a first commit without samples.
        SplitRuleDiffers: the branch splits by another rule.
        ImageErased: it would bring back what was erased for good.
    """
    check_branch_name(target.branch)
    for _ in range(_MAX_TRIES - 1):
        try:
            return _commit_once(workspace, call, target=target, change_on=change_on)
        except HeadMoved:
            if target.expected_head is not None:
                raise
    return _commit_once(workspace, call, target=target, change_on=change_on)


def check_target(workspace: Workspace, *, branch: str, split_rule: SplitRule | None) -> None:
    """Return when a commit there has a chance: before hours of reading, not after.

    Raises:
        BadRefName: no branch can have that name.
        SplitRuleDiffers: the branch splits by another rule.
    """
    check_branch_name(branch)
    with workspace.db.read() as tx:
        head = head_of(tx, branch)
        _rule_on(None if head is None else load_commit(tx, head), split_rule, branch=branch)


def draft_commit(tx: Tx, change_on: ChangeOn, *, target: Target, by: Actor, now_ms: int) -> Draft:
    """Work out the commit on the branch's present head.

    Raises:
        HeadMoved: the branch is not at the expected head.
        NothingToCommit: a first commit without samples.
        SplitRuleDiffers: the branch splits by another rule.
    """
    parent = head_of(tx, target.branch)
    if target.expected_head not in (None, parent):
        raise HeadMoved(branch=target.branch, expected=target.expected_head, found=parent)
    head = None if parent is None else load_commit(tx, parent)
    change = change_on(head)
    rule = _rule_on(head, change.split_rule, branch=target.branch)
    samples = Parent(tx, head)
    rows = samples.compare(change, rule)
    if head is None and not rows.added:
        raise NothingToCommit(branch=target.branch)
    grown = samples.grow(rows)
    record = CommitRecord(
        root=grown.root,
        n_samples=grown.n_entries,
        taxonomy=change.taxonomy,
        split_rule=rule,
        parents=[] if parent is None else [parent],
        actor=by.id,
        message=target.message,
        committed_at_ms=now_ms,
    )
    if head is not None and _content(record) == _content(head):
        return Draft(target.branch, record.parents[0], parent, 0, 0, 0, [], [], [])
    return _draft(target.branch, record, rows, grown)


def publish(tx: Tx, draft: Draft, *, by: Actor, now_ms: int) -> None:
    """Write the commit, move its branch and tell of it.

    Raises:
        HeadMoved: the branch is no longer at the draft's parent; let the transaction roll back.
        ImageErased: it would bring back what was erased for good.
    """
    if erased := find_tombstones(tx, draft.images):
        first = next(iter(erased.values()))
        raise ImageErased(image=first.digest, told=first.told)
    write_objects(tx, draft.objects)
    note_split_keys(tx, draft.split_keys)
    # The pointer moves last: whoever sees the new head sees all that it leads to.
    advance_branch(
        tx, draft.branch, expected=draft.parent, to=draft.commit, now_ms=now_ms, by=by.id
    )
    tell(
        tx,
        DATASET_COMMITTED,
        draft.commit,
        by=by,
        at_ms=now_ms,
        data={
            "branch": draft.branch,
            "commit": draft.commit,
            "parent": draft.parent,
            "n_added": draft.n_added,
            "n_changed": draft.n_changed,
            "n_removed": draft.n_removed,
            **({"merged": draft.merged} if draft.merged else {}),
        },
    )


def objects_of(record: CommitRecord, grown: tree.Grown, rows: Iterable[Row]) -> list[StoredObject]:
    """Everything that a commit leads to and that may not be stored yet."""
    return [
        _object("commit", encode_commit(record)),
        _object("taxonomy", encode(record.taxonomy)),
        *(StoredObject(key, "node", node) for key, node in grown.new_nodes.items()),
        *(StoredObject(object_key(row.digest), "row", row.content) for row in rows),
    ]


def split_keys_of(rows: Iterable[Row]) -> list[tuple[str, SampleId]]:
    """The entries of the split-key index for these rows."""
    return [(row.sample.split_key, row.sample.id) for row in rows]


def _commit_once(workspace: Workspace, call: Call, *, target: Target, change_on: ChangeOn) -> Draft:
    now_ms = workspace.clock.now_ms()
    with workspace.db.read() as tx:
        draft = draft_commit(tx, change_on, target=target, by=call.actor, now_ms=now_ms)
    if draft.is_new:
        with workspace.db.write() as tx:
            publish(tx, draft, by=call.actor, now_ms=now_ms)
    return draft


def _rule_on(head: CommitRecord | None, wanted: SplitRule | None, *, branch: str) -> SplitRule:
    if head is None:
        return wanted or SplitRule()
    if wanted not in (None, head.split_rule):
        raise SplitRuleDiffers(branch=branch, has=str(head.split_rule), wanted=str(wanted))
    return head.split_rule


def _content(record: CommitRecord) -> tuple[object, ...]:
    """What makes a commit worth making."""
    return (record.root, record.taxonomy, record.split_rule)


def _draft(branch: str, record: CommitRecord, rows: RowChanges, grown: tree.Grown) -> Draft:
    return Draft(
        branch=branch,
        commit=digest_of(encode_commit(record)),
        parent=record.parents[0] if record.parents else None,
        n_added=len(rows.added),
        n_changed=len(rows.changed),
        n_removed=len(rows.removed),
        objects=objects_of(record, grown, rows.written),
        split_keys=split_keys_of(rows.written),
        images=[row.sample.image for row in rows.written],
    )


def _object(kind: ObjectKind, content: bytes) -> StoredObject:
    return StoredObject(object_key(digest_of(content)), kind, content)
