"""`data commit`: exactly what `data status` shows becomes one commit on the copy's branch."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sightloop.datasets.branches import CreateBranch, create_branch, head_of
from sightloop.datasets.changes import Change, Parent
from sightloop.datasets.drafts import Target, commit_change
from sightloop.datasets.errors import HeadMoved
from sightloop.datasets.records import CommitRecord
from sightloop.datasets.samples import load_commit
from sightloop.datasets.working_copies.copies import (
    Copy,
    find_copy,
    one_at_a_time,
    unfinished_switch,
    write_copy,
)
from sightloop.datasets.working_copies.edits import Edits, read_edits
from sightloop.datasets.working_copies.errors import (
    CopyBehind,
    FilesRefused,
    NoBranch,
    UnfinishedCheckout,
)
from sightloop.datasets.working_copies.folder_changes import FolderChanges, changes_in
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Call, Workspace


class CommitCopy(msgspec.Struct, frozen=True, kw_only=True):
    """Commit a working copy's changes."""

    folder: str = ""
    """Absolute; in it or below it. Empty: the only copy there is."""
    message: str = ""
    branch: str = ""
    """Another branch than the copy's; one that does not exist begins at the copy's commit."""
    strict: bool = False
    """One problem refuses all; otherwise everything that can be committed is."""


class CommittedCopy(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. Without any change there is no new commit and `commit` is the base."""

    folder: str
    branch: str
    commit: Digest
    is_new: bool
    n_added: int
    n_changed: int
    n_removed: int
    problems: list[str]
    """Files that were left out, and why."""


def commit_copy(workspace: Workspace, call: Call, request: CommitCopy) -> CommittedCopy:
    """Put what changed in the folder onto its branch, all or nothing.

    Only samples that the copy has are ever removed: what a sparse copy lacks stays. Annotations
    keep their ids through edits of label files, also where the format has no ids. After a crash
    the same command goes on where it was, or finds that all was done.

    Raises:
        NoWorkingCopy: the folder belongs to none.
        NotOneCopy: none was named and there are several.
        UnfinishedCheckout: a checkout into the folder was interrupted.
        NoBranch: the copy is of no branch and none was named.
        CopyBehind: the branch has moved on; nothing was committed.
        FilesRefused: files cannot be committed as they are, and `strict` is set or nothing else
            is to be committed.
        BadRefName: no branch can have that name.
        CopyBusy: another process is committing or switching it.
        DiskFull: no room; nothing was committed.
    """
    require(call.actor, Permission.WRITE_DATA)
    folder = find_copy(workspace.state, request.folder).facts.folder
    with one_at_a_time(workspace.state, folder):
        return _commit_folder(workspace, call, folder, request)


def _commit_folder(
    workspace: Workspace, call: Call, folder: str, request: CommitCopy
) -> CommittedCopy:
    copy = find_copy(workspace.state, folder)
    branch = _branch_of(workspace, copy, request)
    found = changes_in(copy)
    edits = read_edits(workspace, copy, found, progress=call.progress)
    if edits.problems and request.strict:
        raise _refused(copy, edits, is_strict=not edits.is_nothing)
    if edits.is_held and edits.is_nothing:
        raise _refused(copy, edits, is_strict=False)
    if found.is_empty and branch == copy.facts.branch:
        return _outcome(copy, branch, _Made(copy.facts.base, is_new=False), edits)
    _begin_branch(workspace, call, branch, copy)
    made = _commit(workspace, call, copy, branch, edits, request.message or _summary(edits))
    _move_labels(copy, edits)
    # Last on purpose: a crash above leaves a copy that is behind by its own commit, which the
    # next attempt recognises.
    write_copy(workspace.state, _after(copy, branch, made.commit, found, edits))
    if edits.is_held and made.commit == copy.facts.base:  # the rest was as it is already
        raise _refused(copy, edits, is_strict=False)
    return _outcome(copy, branch, made, edits)


def _refused(copy: Copy, edits: Edits, *, is_strict: bool) -> FilesRefused:
    folder = copy.facts.folder
    return FilesRefused(folder=folder, problems=list(edits.problems), is_strict=is_strict)


def _move_labels(copy: Copy, edits: Edits) -> None:
    """Label files follow their images; one that is where it belongs after a crash stays there."""
    root = Path(copy.facts.folder)
    for old, new in edits.moves:
        (root / new).parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            (root / old).rename(root / new)


@dataclass(frozen=True, slots=True)
class _Made:
    commit: Digest
    is_new: bool
    n_added: int = 0
    n_changed: int = 0
    n_removed: int = 0


def _branch_of(workspace: Workspace, copy: Copy, request: CommitCopy) -> str:
    folder = copy.facts.folder
    unfinished = unfinished_switch(workspace.state, folder)
    if unfinished is not None:
        raise UnfinishedCheckout(folder=folder, commit=unfinished.branch or unfinished.base)
    branch = request.branch or copy.facts.branch
    if not branch:
        raise NoBranch(folder=folder)
    return branch


def _begin_branch(workspace: Workspace, call: Call, branch: str, copy: Copy) -> None:
    with workspace.db.read() as tx:
        is_there = head_of(tx, branch) is not None
    if not is_there:
        create_branch(workspace, call, CreateBranch(name=branch, at=copy.facts.base))


def _commit(
    workspace: Workspace, call: Call, copy: Copy, branch: str, edits: Edits, message: str
) -> _Made:
    facts = copy.facts
    change = Change(edits.upserts, edits.taxonomy, removals=edits.removals)

    def change_on(head: CommitRecord | None) -> Change:
        assert head is not None, "the branch was there or was just begun"
        return change

    target = Target(branch, message, expected_head=facts.base)
    try:
        draft = commit_change(workspace, call, target=target, change_on=change_on)
    except HeadMoved as error:
        with workspace.db.read() as tx:
            head = head_of(tx, branch)
            if head is not None and _is_our_own(tx, facts.base, head, change):
                return _Made(head, is_new=False)
        raise CopyBehind(
            folder=facts.folder, branch=branch, base=facts.base, head=str(head)
        ) from error
    return _Made(draft.commit, draft.is_new, draft.n_added, draft.n_changed, draft.n_removed)


def _is_our_own(tx: Tx, base: Digest, head: Digest, change: Change) -> bool:
    """Whether the branch is at the commit that this very change makes of the base.

    It is after a crash between the commit and the note that it was made.
    """
    record, before = load_commit(tx, head), load_commit(tx, base)
    if record.parents != [base] or record.taxonomy != change.taxonomy:
        return False
    parent = Parent(tx, before)
    return parent.grow(parent.compare(change, before.split_rule)).root == record.root


def _after(copy: Copy, branch: str, commit: Digest, found: FolderChanges, edits: Edits) -> Copy:
    """The copy as it is once the commit is made."""
    files = dict(copy.files)
    for path in edits.forgotten:
        files.pop(path, None)
    for path, digest in found.digests.items():
        known = files.get(path)
        if known is not None and known.digest == digest:  # touched, not changed
            files[path] = found.tracked(path, digest, sample=known.sample, listed=known.listed)
    files.update(edits.files)
    facts = msgspec.structs.replace(copy.facts, branch=branch, base=commit)
    return Copy(facts, files)


def _outcome(copy: Copy, branch: str, made: _Made, edits: Edits) -> CommittedCopy:
    return CommittedCopy(
        folder=copy.facts.folder,
        branch=branch,
        commit=made.commit,
        is_new=made.is_new,
        n_added=made.n_added,
        n_changed=made.n_changed,
        n_removed=made.n_removed,
        problems=list(edits.problems),
    )


def _summary(edits: Edits) -> str:
    counts: Mapping[str, int] = {
        "upserted": len(edits.upserts),
        "removed": len(edits.removals),
    }
    told = ", ".join(f"{n} {what}" for what, n in counts.items() if n)
    return f"commit folder ({told or 'nothing'})"
