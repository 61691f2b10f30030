"""Looking at tasks: what waits for people, and what they said."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from sightloop.datasets.branches import head_of
from sightloop.datasets.samples import load_commit
from sightloop.datasets.values import TaxonomyClass
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.workspace import Call, Workspace
from sightloop.review.bundles import read_bundles
from sightloop.review.claims import find_claims
from sightloop.review.labels import find_labels
from sightloop.review.opinions import find_opinions
from sightloop.review.queue import awaits_second
from sightloop.review.tasks import count_tasks, find_task, list_tasks_where
from sightloop.review.values import Claim, Opinion, Purpose, Task, TaskLabels, TaskState
from sightloop.telemetry.store import find_loss, stratum_of, uncertainties_of


class ListTasks(msgspec.Struct, frozen=True, kw_only=True):
    """Which tasks to list; None selects every value."""

    states: list[TaskState] | None = None
    purpose: Purpose | None = None
    incident: str | None = None
    limit: Annotated[int, Meta(ge=1, le=5000)] = 100


class TaskList(msgspec.Struct, frozen=True, kw_only=True):
    """Tasks, the most urgent first, and how many there are in each state in all."""

    tasks: list[Task]
    counts: dict[TaskState, int]


class ShowTask(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one task; `branch` is the one whose classes to tell of."""

    task: str
    branch: str = "main"


class TaskDetails(msgspec.Struct, frozen=True, kw_only=True):
    """A task, the model and classes its pre-labels are of, and its labels once it has any.

    `classes` are those of the branch the labels are for, none when there is no such branch.
    `stratum` is what the stream is pointed at, as `field=value`, "" when nobody said. `loss` is
    what the image cost the model, None before it is labelled and where it was not audited.
    `uncertainty` is None for an audited image, which chance chose.
    """

    task: Task
    model: str
    class_ids: list[str]
    class_names: list[str]
    labels: TaskLabels | None
    branch: str
    classes: list[TaxonomyClass]
    stratum: str
    loss: float | None
    uncertainty: float | None
    claim: Claim | None
    opinion: Opinion | None
    awaits_second: bool


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
    """One task with its labels and all that is known around it.

    Raises:
        NotAllowed: the caller may not read.
        NoSuchTask: there is none.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        task = find_task(tx, request.task)
        labels = find_labels(tx, task.id)
        opinion = find_opinions(tx, [task.id]).get(task.id)
        branch = request.branch if labels is None else labels.branch
        head = head_of(tx, branch)
        loss = find_loss(tx, kept=task.kept)
        unsure = {} if task.lane == "audit" else uncertainties_of(tx, [task.kept])
        details = TaskDetails(
            task=task,
            model="",
            class_ids=[],
            class_names=[],
            labels=labels,
            branch=branch,
            classes=[] if head is None else load_commit(tx, head).taxonomy.classes,
            stratum=stratum_of(tx, task.camera, at_ms=task.captured_at_ms),
            loss=None if loss is None else loss.loss,
            uncertainty=unsure.get(task.kept),
            claim=find_claims(tx, [task.id], now_ms=workspace.clock.now_ms()).get(task.id),
            opinion=opinion,
            awaits_second=awaits_second(labels, opinion),
        )
    bundle = read_bundles(workspace, [task.bundle])[task.bundle]
    return msgspec.structs.replace(
        details,
        model=bundle.model,
        class_ids=bundle.class_ids,
        class_names=bundle.class_names,
    )
