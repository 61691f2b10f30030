"""Names for commits: branches, which move, and what a text given by a person refers to.

As in Git, `NAME~3` is the commit three first parents back and `NAME^2` the second parent of a
merge; they may follow one another.
"""

from __future__ import annotations

import re
from itertools import repeat

import msgspec

from sightloop.datasets.ancestry import History
from sightloop.datasets.errors import AmbiguousRef, BadRefName, NoSuchAncestor, NoSuchRef
from sightloop.datasets.store import (
    Ref,
    RefKind,
    RefMove,
    create_ref,
    delete_ref,
    find_commits,
    find_ref,
    list_moves,
    list_refs,
)
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.workspace import Call, Workspace

BRANCH_CREATED = EventKind("branch.created")
BRANCH_DELETED = EventKind("branch.deleted")
BRANCH_RENAMED = EventKind("branch.renamed")

MAX_PAGE = 500

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}")
_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{4,64})")
_DIGEST_DIGITS = 64
_STEPS_BACK = re.compile(r"[~^]\d{0,9}")


class CreateBranch(msgspec.Struct, frozen=True, kw_only=True):
    """A new branch at what `at` names."""

    name: str
    at: str


class DeleteBranch(msgspec.Struct, frozen=True, kw_only=True):
    """A branch to take away."""

    name: str


class RenameBranch(msgspec.Struct, frozen=True, kw_only=True):
    """A branch and its new name."""

    name: str
    new_name: str


class ListMoves(msgspec.Struct, frozen=True, kw_only=True):
    """Where a branch or tag has been, whether it is still there or not."""

    name: str
    kind: RefKind = "branch"
    limit: int = 50


def create_branch(workspace: Workspace, call: Call, request: CreateBranch) -> Ref:
    """Point a new branch at an existing commit.

    Raises:
        BadRefName: no branch can have that name.
        RefExists: a branch has it already.
        NoSuchRef: nothing is called `request.at`.
    """
    require(call.actor, Permission.WRITE_DATA)
    check_branch_name(request.name)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        ref = Ref("branch", request.name, resolve_ref(tx, request.at), now_ms)
        create_ref(tx, ref, by=call.actor.id)
        tell(
            tx,
            BRANCH_CREATED,
            request.name,
            by=call.actor,
            at_ms=now_ms,
            data={"branch": request.name, "commit": ref.commit},
        )
    return ref


def list_branches(workspace: Workspace, call: Call) -> list[Ref]:
    """Every branch and the commit it is at, by name."""
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        return list_refs(tx, "branch")


def delete_branch(workspace: Workspace, call: Call, request: DeleteBranch) -> Ref:
    """Take the branch away; its commits stay until `gc` and are named in the ref log.

    Raises:
        NoSuchRef: there is no such branch.
    """
    require(call.actor, Permission.WRITE_DATA)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        ref = _branch(tx, request.name)
        delete_ref(tx, ref, now_ms=now_ms, by=call.actor.id)
        data = {"branch": ref.name, "commit": ref.commit}
        tell(tx, BRANCH_DELETED, ref.name, by=call.actor, at_ms=now_ms, data=data)
    return ref


def rename_branch(workspace: Workspace, call: Call, request: RenameBranch) -> Ref:
    """The branch under its new name, at the same commit.

    Raises:
        NoSuchRef: there is no such branch.
        BadRefName: no branch can have the new name.
        RefExists: a branch has the new name already.
    """
    require(call.actor, Permission.WRITE_DATA)
    check_branch_name(request.new_name)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        old = _branch(tx, request.name)
        new = Ref("branch", request.new_name, old.commit, now_ms)
        create_ref(tx, new, by=call.actor.id)
        delete_ref(tx, old, now_ms=now_ms, by=call.actor.id)
        data = {"branch": new.name, "before": old.name, "commit": new.commit}
        tell(tx, BRANCH_RENAMED, new.name, by=call.actor, at_ms=now_ms, data=data)
    return new


def list_ref_moves(workspace: Workspace, call: Call, request: ListMoves) -> list[RefMove]:
    """Where the branch or tag of that name has been, the latest move first."""
    require(call.actor, Permission.READ)
    limit = min(max(request.limit, 1), MAX_PAGE)
    with workspace.db.read() as tx:
        return list_moves(tx, request.kind, request.name, limit=limit)


def head_of(tx: Tx, branch: str) -> Digest | None:
    """The commit the branch is at; None when there is no such branch yet."""
    ref = find_ref(tx, "branch", branch)
    return None if ref is None else ref.commit


def resolve_ref(tx: Tx, text: str) -> Digest:
    """The commit that a branch, a tag, a remote's branch (`origin/main`) or a digest names.

    The unique beginning of a digest is enough.

    Any of them may be followed by steps back: `~N` along first parents, `^N` to the N-th parent.

    Raises:
        NoSuchRef: nothing has that name.
        NoSuchAncestor: the history does not reach back so far.
        AmbiguousRef: several commits begin like this.
    """
    name = text[: match.start()] if (match := _STEPS_BACK.search(text)) else text
    steps = text[len(name) :]
    commit = _named(tx, name)
    if not steps:
        return commit
    if "".join(_STEPS_BACK.findall(steps)) != steps:
        raise NoSuchRef(name=text)
    history = History(tx)
    for step in _STEPS_BACK.findall(steps):
        commit = _stepped(history, commit, step, text=text)
    return commit


def check_branch_name(name: str) -> None:
    """Return when a branch may be called this.

    Raises:
        BadRefName: it has odd characters, or could be taken for a digest.
    """
    digits = _DIGEST.fullmatch(name)
    is_digest = digits is not None and len(digits[1]) == _DIGEST_DIGITS
    if is_digest or not _NAME.fullmatch(name):
        raise BadRefName(name=name)


def _named(tx: Tx, name: str) -> Digest:
    kinds: tuple[RefKind, ...] = ("branch", "tag", "remote")
    ref = next((found for kind in kinds if (found := find_ref(tx, kind, name))), None)
    if ref is not None:
        return ref.commit
    digits = _DIGEST.fullmatch(name)
    commits = find_commits(tx, digits[1]) if digits else []
    if not commits:
        raise NoSuchRef(name=name)
    if len(commits) > 1:
        raise AmbiguousRef(text=name, commits=list(commits))
    return commits[0]


def _stepped(history: History, commit: Digest, step: str, *, text: str) -> Digest:
    """The commit that many steps back; a number that was left out is 1."""
    n = int(step[1:] or "1")
    # ~2 goes back twice by the first parent; ^2 once, by the second; both stay where they are at 0.
    for parent in repeat(1, n) if step[0] == "~" else [n] * (n > 0):
        parents = history.record(commit).parents
        if parent > len(parents):
            raise NoSuchAncestor(name=text, commit=commit)
        commit = parents[parent - 1]
    return commit


def _branch(tx: Tx, name: str) -> Ref:
    ref = find_ref(tx, "branch", name)
    if ref is None:
        raise NoSuchRef(name=name)
    return ref
