"""Looking at tasks: what waits for people, and what they said."""

from __future__ import annotations

import msgspec

from sightloop.kernel.actors import Permission, require
from sightloop.kernel.workspace import Call, Workspace
from sightloop.review.bundles import read_bundles
from sightloop.review.labels import find_labels
from sightloop.review.tasks import count_tasks, find_task, list_tasks_where
from sightloop.review.values import Purpose, Task, TaskLabels, TaskState


class ListTasks(msgspec.Struct, frozen=True, kw_only=True):
    """Which tasks to list; None selects every value."""

    states: list[TaskState] | None = None
    purpose: Purpose | None = None
    incident: str | None = None
    limit: int = 100


class TaskList(msgspec.Struct, frozen=True, kw_only=True):
    """Tasks, the most urgent first, and how many there are in each state in all."""

    tasks: list[Task]
    counts: dict[TaskState, int]


class ShowTask(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one task."""

    task: str


class TaskDetails(msgspec.Struct, frozen=True, kw_only=True):
    """A task, the classes its pre-labels index, and its labels once it has any."""

    task: Task
    class_ids: list[str]
    class_names: list[str]
    labels: TaskLabels | None


def list_tasks(workspace: Workspace, call: Call, request: ListTasks) -> TaskList:
    """Tasks in the order in which people should take them.

    Raises:
        NotAllowed: the caller may not read.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        return TaskList(
            tasks=list_tasks_where(
                tx,
                states=request.states,
                purpose=request.purpose,
                incident=request.incident,
                limit=request.limit,
            ),
            counts=count_tasks(tx),
        )


def show_task(workspace: Workspace, call: Call, request: ShowTask) -> TaskDetails:
    """One task with its labels.

    Raises:
        NotAllowed: the caller may not read.
        NoSuchTask: there is none.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        task = find_task(tx, request.task)
        labels = find_labels(tx, request.task)
    bundle = read_bundles(workspace, [task.bundle])[task.bundle]
    return TaskDetails(
        task=task, class_ids=bundle.class_ids, class_names=bundle.class_names, labels=labels
    )
