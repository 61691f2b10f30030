"""Names for commits: branches, which move, and what a text given by a person refers to."""

from __future__ import annotations

import re

import msgspec

from sightloop.datasets.errors import AmbiguousRef, BadRefName, NoSuchRef
from sightloop.datasets.store import Ref, RefKind, create_ref, find_commits, find_ref, list_refs
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.workspace import Call, Workspace

BRANCH_CREATED = EventKind("branch.created")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}")
_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{4,64})")
_DIGEST_DIGITS = 64


class CreateBranch(msgspec.Struct, frozen=True, kw_only=True):
    """A new branch at what `at` names."""

    name: str
    at: str


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


def head_of(tx: Tx, branch: str) -> Digest | None:
    """The commit the branch is at; None when there is no such branch yet."""
    ref = find_ref(tx, "branch", branch)
    return None if ref is None else ref.commit


def resolve_ref(tx: Tx, text: str) -> Digest:
    """The commit that a branch, a tag, a remote's branch (`origin/main`) or a digest names.

    The unique beginning of a digest is enough.

    Raises:
        NoSuchRef: nothing has that name.
        AmbiguousRef: several commits begin like this.
    """
    kinds: tuple[RefKind, ...] = ("branch", "tag", "remote")
    ref = next((found for kind in kinds if (found := find_ref(tx, kind, text))), None)
    if ref is not None:
        return ref.commit
    digits = _DIGEST.fullmatch(text)
    commits = find_commits(tx, digits[1]) if digits else []
    if not commits:
        raise NoSuchRef(name=text)
    if len(commits) > 1:
        raise AmbiguousRef(text=text, commits=list(commits))
    return commits[0]


def check_branch_name(name: str) -> None:
    """Return when a branch may be called this.

    Raises:
        BadRefName: it has odd characters, or could be taken for a digest.
    """
    digits = _DIGEST.fullmatch(name)
    is_digest = digits is not None and len(digits[1]) == _DIGEST_DIGITS
    if is_digest or not _NAME.fullmatch(name):
        raise BadRefName(name=name)
