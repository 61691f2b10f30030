"""The images an incident is about: what its evidence names, and what it made people look at."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from sightloop.contracts.telemetry import Lane
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Call, Workspace
from sightloop.review.tasks import count_of_incident, tasks_of_incident, tasks_of_kept
from sightloop.review.values import Purpose, Task, TaskState
from sightloop.telemetry.store import kept_by_id, list_kept
from sightloop.telemetry.values import KeptImage, StreamKey


class ShowImages(msgspec.Struct, frozen=True, kw_only=True):
    """Kept images by id and, with `incident`, those that were chosen or opened for it."""

    kept: Annotated[list[str], Meta(max_length=500)] = []
    incident: str | None = None
    stream: StreamKey | None = None
    """With this, what the stream kept from `since_ms` to `until_ms` (None: to now)."""
    since_ms: int = 0
    until_ms: int | None = None
    limit: Annotated[int, Meta(ge=0, le=500)] = 48


class SeenImage(msgspec.Struct, frozen=True, kw_only=True):
    """A kept image, and the task it became if it did."""

    kept: str
    image: Digest
    device: str
    stream: str
    lane: Lane
    captured_at_ms: int
    task: str | None = None
    purpose: Purpose | None = None
    state: TaskState | None = None


class SeenImages(msgspec.Struct, frozen=True, kw_only=True):
    """The named images in their order, the incident's own tasks and their number by state, and
    the latest images of the stream.

    A named image that was erased since is left out.
    """

    named: list[SeenImage]
    of_incident: list[SeenImage]
    of_stream: list[SeenImage]
    counts: dict[TaskState, int]


def show_images(workspace: Workspace, call: Call, request: ShowImages) -> SeenImages:
    """Images for a page, each with its task.

    Raises:
        NotAllowed: the caller may not read.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        known = kept_by_id(tx, request.kept)
        named = _seen(tx, [known[kept] for kept in request.kept if kept in known])
        mine: list[Task] = []
        counts: dict[TaskState, int] = {}
        if request.incident is not None:
            mine = tasks_of_incident(tx, request.incident, limit=request.limit)
            counts = count_of_incident(tx, request.incident)
        of_stream = [] if request.stream is None else _seen(tx, _kept_by_stream(tx, request))
    return SeenImages(
        named=named,
        of_incident=[_of_task(task) for task in mine],
        of_stream=of_stream,
        counts=counts,
    )


def _kept_by_stream(tx: Tx, request: ShowImages) -> list[KeptImage]:
    assert request.stream is not None, "asked for only with a stream"
    return list_kept(
        tx,
        streams=[request.stream],
        since_ms=request.since_ms,
        until_ms=request.until_ms,
        limit=request.limit,
    )


def _seen(tx: Tx, kept: list[KeptImage]) -> list[SeenImage]:
    tasks = {task.kept: task for task in tasks_of_kept(tx, [one.id for one in kept])}
    found = []
    for one in kept:
        task = tasks.get(one.id)
        seen = SeenImage(
            kept=one.id,
            image=one.image,
            device=one.device,
            stream=one.stream,
            lane=one.lane,
            captured_at_ms=one.captured_at_ms,
        )
        found.append(seen if task is None else _with(seen, task))
    return found


def _with(seen: SeenImage, task: Task) -> SeenImage:
    return msgspec.structs.replace(seen, task=task.id, purpose=task.purpose, state=task.state)


def _of_task(task: Task) -> SeenImage:
    seen = SeenImage(
        kept=task.kept,
        image=task.image,
        device=task.device,
        stream=task.stream,
        lane=task.lane,
        captured_at_ms=task.captured_at_ms,
    )
    return _with(seen, task)
