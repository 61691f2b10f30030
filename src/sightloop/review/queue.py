"""The queue as people see it: page by page, with why each image is there and who works on it."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from sightloop.kernel.actors import Permission, require
from sightloop.kernel.workspace import Call, Workspace
from sightloop.review.blinding import second_draw
from sightloop.review.claiming import SECOND_SHARE
from sightloop.review.claims import find_claims, held_tasks
from sightloop.review.labels import labels_of_tasks, tasks_for_second
from sightloop.review.opinions import find_opinions, tasks_with_opinion
from sightloop.review.tasks import count_progress, find_task, page_of_tasks, streams_with_tasks
from sightloop.review.values import (
    HUMAN,
    Claim,
    Opinion,
    ProgressCount,
    Task,
    TaskFilter,
    TaskLabels,
)
from sightloop.telemetry.store import uncertainties_of
from sightloop.telemetry.values import StreamKey

N_STREAMS = 500
N_SECOND_COUNTED = 100


class ListQueue(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the tasks that match, from the one after the task `after`."""

    wanted: TaskFilter = TaskFilter()
    after: str | None = None
    limit: Annotated[int, Meta(ge=1, le=5000)] = 48


class QueuedTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task with what is known around it.

    `uncertainty` is in [0, 1], None for an audited image, which chance chose. `awaits_second`
    says that somebody else than the first labeller is to label it again, without having seen
    the labels.
    """

    task: Task
    uncertainty: float | None
    claim: Claim | None
    labels: TaskLabels | None
    opinion: Opinion | None
    awaits_second: bool


class QueuePage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the queue. `after` continues it, None on its last page.

    `n_second` is how many second opinions the caller could give, counted up to a hundred.
    """

    tasks: list[QueuedTask]
    after: str | None
    progress: list[ProgressCount]
    streams: list[StreamKey]
    n_second: int


def list_queue(workspace: Workspace, call: Call, request: ListQueue) -> QueuePage:
    """What waits comes by urgency, what is over the latest first.

    Raises:
        NotAllowed: the caller may not read.
        NoSuchTask: `after` is none.
    """
    require(call.actor, Permission.READ)
    now_ms = workspace.clock.now_ms()
    with workspace.db.read() as tx:
        after = None if request.after is None else find_task(tx, request.after)
        tasks = page_of_tasks(tx, request.wanted, after=after, limit=request.limit + 1)
        shown = tasks[: request.limit]
        ids = [task.id for task in shown]
        claims = find_claims(tx, ids, now_ms=now_ms)
        labels, opinions = labels_of_tasks(tx, ids), find_opinions(tx, ids)
        unsure = uncertainties_of(tx, [task.kept for task in shown if task.lane != "audit"])
        due = tasks_for_second(
            tx,
            share=SECOND_SHARE,
            labelled_by_other_than=call.actor.id,
            outside=[tasks_with_opinion(), held_tasks(now_ms=now_ms)],
            limit=N_SECOND_COUNTED,
        )
        progress, streams = count_progress(tx), streams_with_tasks(tx, limit=N_STREAMS)
    return QueuePage(
        tasks=[
            QueuedTask(
                task=task,
                uncertainty=unsure.get(task.kept),
                claim=claims.get(task.id),
                labels=labels.get(task.id),
                opinion=opinions.get(task.id),
                awaits_second=awaits_second(labels.get(task.id), opinions.get(task.id)),
            )
            for task in shown
        ],
        after=ids[-1] if len(tasks) > len(shown) else None,
        progress=progress,
        streams=streams,
        n_second=len(due),
    )


def awaits_second(labels: TaskLabels | None, opinion: Opinion | None) -> bool:
    """Whether a person labelled the task, it is asked for twice, and nobody has done so yet."""
    if labels is None or opinion is not None or not labels.source.startswith(HUMAN):
        return False
    return second_draw(labels.task) < SECOND_SHARE
