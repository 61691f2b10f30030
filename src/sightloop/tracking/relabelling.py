"""What people say of runs afterwards: names, tags, notes, and which runs they want out of sight.

Nothing a run measured, was given or left is touched by it, and a deleted run can be restored.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from sightloop.kernel.actors import Permission, require
from sightloop.kernel.workspace import Call, Workspace
from sightloop.tracking import store
from sightloop.tracking.labels import remove_tag, set_tags, tags_of
from sightloop.tracking.limits import MAX_TAG_CHARACTERS, check_key, check_value
from sightloop.tracking.recording import ChangeRun, active_run, change_run
from sightloop.tracking.values import Run

NOTE_TAG = "mlflow.note.content"
"""Where MLflow keeps what people write about a run."""
MAX_NAME_CHARACTERS = 250


class TagRun(msgspec.Struct, frozen=True, kw_only=True):
    """Tags to set, whatever they were, and tags to remove; one that is not there is no error."""

    run: str
    tags: Annotated[dict[str, str], Meta(max_length=100)] = {}
    removed: Annotated[list[str], Meta(max_length=100)] = []


class RunTags(msgspec.Struct, frozen=True, kw_only=True):
    """All tags of a run."""

    run: str
    tags: dict[str, str]


class RenameRun(msgspec.Struct, frozen=True, kw_only=True):
    """The new name of which run."""

    run: str
    name: str


class NameRuns(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs."""

    runs: Annotated[list[str], Meta(min_length=1, max_length=1000)]


class MarkedRuns(msgspec.Struct, frozen=True, kw_only=True):
    """How many runs this changed; the others were so before."""

    n_changed: int


def tag_run(workspace: Workspace, call: Call, request: TagRun) -> RunTags:
    """The run has these tags.

    Raises:
        NotAllowed: the actor may not track.
        RunUnknown: there is no such run.
        RunDeleted: it was deleted.
        BadName: a tag cannot be called this.
        TooMuch: a value is too long.
    """
    require(call.actor, Permission.TRAIN)
    for key, value in request.tags.items():
        check_key(key, what="tag")
        check_value(value, MAX_TAG_CHARACTERS, what="tag", key=key)
    with workspace.db.write() as tx:
        active_run(tx, request.run)
        for key in request.removed:
            remove_tag(tx, request.run, key)
        set_tags(tx, request.run, request.tags)
        return RunTags(run=request.run, tags=tags_of(tx, request.run))


def rename_run(workspace: Workspace, call: Call, request: RenameRun) -> Run:
    """The run has this name.

    Raises:
        NotAllowed: the actor may not track.
        RunUnknown: there is no such run.
        RunDeleted: it was deleted.
        BadName: the name is empty.
        TooMuch: the name is too long.
    """
    name = request.name.strip()
    check_value(name, MAX_NAME_CHARACTERS, what="the name of run", key=request.run)
    return change_run(workspace, call, ChangeRun(run=request.run, name=name)).run


def delete_runs(workspace: Workspace, call: Call, request: NameRuns) -> MarkedRuns:
    """The runs are out of sight, all of them or, with an error, none.

    Raises:
        NotAllowed: the actor may not track.
        RunUnknown: there is no such run.
    """
    return _mark(workspace, call, request, is_deleted=True)


def restore_runs(workspace: Workspace, call: Call, request: NameRuns) -> MarkedRuns:
    """The runs are listed again, all of them or, with an error, none.

    Raises:
        NotAllowed: the actor may not track.
        RunUnknown: there is no such run.
    """
    return _mark(workspace, call, request, is_deleted=False)


def _mark(workspace: Workspace, call: Call, request: NameRuns, *, is_deleted: bool) -> MarkedRuns:
    require(call.actor, Permission.TRAIN)
    with workspace.db.write() as tx:
        found = [store.find_run(tx, run) for run in dict.fromkeys(request.runs)]
        changed = [one for one in found if one.is_deleted != is_deleted]
        for one in changed:
            store.change_run(tx, msgspec.structs.replace(one, is_deleted=is_deleted))
    return MarkedRuns(n_changed=len(changed))
