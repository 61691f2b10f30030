"""Tags: names for commits that stay where they are."""

from __future__ import annotations

import msgspec

from sightloop.datasets.branches import check_branch_name, resolve_ref
from sightloop.datasets.errors import NoSuchRef
from sightloop.datasets.store import Ref, create_ref, delete_ref, find_ref, list_refs
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.workspace import Call, Workspace

TAG_CREATED = EventKind("tag.created")
TAG_DELETED = EventKind("tag.deleted")


class CreateTag(msgspec.Struct, frozen=True, kw_only=True):
    """A new tag at what `at` names."""

    name: str
    at: str = "main"


class DeleteTag(msgspec.Struct, frozen=True, kw_only=True):
    """A tag to take away."""

    name: str


class ListTags(msgspec.Struct, frozen=True, kw_only=True):
    """Every tag."""


def create_tag(workspace: Workspace, call: Call, request: CreateTag) -> Ref:
    """Name a commit. A tag never moves: to have it elsewhere, delete it first.

    Raises:
        BadRefName: no tag can have that name.
        RefExists: a tag has it already.
        NoSuchRef: nothing is called `request.at`.
    """
    require(call.actor, Permission.WRITE_DATA)
    check_branch_name(request.name)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        ref = Ref("tag", request.name, resolve_ref(tx, request.at), now_ms)
        create_ref(tx, ref, by=call.actor.id)
        data = {"tag": ref.name, "commit": ref.commit}
        tell(tx, TAG_CREATED, ref.name, by=call.actor, at_ms=now_ms, data=data)
    return ref


def delete_tag(workspace: Workspace, call: Call, request: DeleteTag) -> Ref:
    """Take the tag away; its commit stays until `gc` and is named in the ref log.

    Raises:
        NoSuchRef: there is no such tag.
    """
    require(call.actor, Permission.WRITE_DATA)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        ref = find_ref(tx, "tag", request.name)
        if ref is None:
            raise NoSuchRef(name=request.name)
        delete_ref(tx, ref, now_ms=now_ms, by=call.actor.id)
        data = {"tag": ref.name, "commit": ref.commit}
        tell(tx, TAG_DELETED, ref.name, by=call.actor, at_ms=now_ms, data=data)
    return ref


def list_tags(workspace: Workspace, call: Call, request: ListTags) -> list[Ref]:  # noqa: ARG001
    """Every tag and its commit, by name."""
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        return list_refs(tx, "tag")
