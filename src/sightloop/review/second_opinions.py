"""Second opinions: how far two people who did not see each other's boxes agree.

An opinion is compared with the labels once, when it is given: neither changes afterwards. It is
evidence about the labels, never a correction of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from sightloop.datasets.geometry import SizePx
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.workspace import Call, Workspace
from sightloop.review.agreement import compare
from sightloop.review.boxes import TaskBox, check_boxes
from sightloop.review.claims import drop_claim
from sightloop.review.errors import BadLabels, NoLabelsYet, OpinionGiven, OwnLabels
from sightloop.review.labelling import taxonomy_of
from sightloop.review.labels import find_labels, labels_of_tasks
from sightloop.review.opinions import add_opinion, find_opinions, least_agreed, opinion_totals
from sightloop.review.tasks import find_task, find_tasks
from sightloop.review.values import LabelBox, Opinion, Task, TaskLabels

OPINION_GIVEN = EventKind("opinion.given")


class GiveOpinion(msgspec.Struct, frozen=True, kw_only=True):
    """What a second person saw on the image of a labelled task."""

    task: str
    boxes: list[TaskBox]
    duration_ms: int | None = None


class OpinionSaved(msgspec.Struct, frozen=True, kw_only=True):
    """How far the two agree; `is_new` is False when this very opinion was saved before."""

    task: str
    n_boxes: int
    agreement: float
    mean_iou: float | None
    is_new: bool


class ListDisagreements(msgspec.Struct, frozen=True, kw_only=True):
    """A page of second opinions, from the one after the task `after`."""

    after: str | None = None
    limit: Annotated[int, Meta(ge=1, le=5000)] = 30


class Disagreement(msgspec.Struct, frozen=True, kw_only=True):
    """A task, what was labelled first, and the second opinion."""

    task: Task
    labels: TaskLabels
    opinion: Opinion


class Disagreements(msgspec.Struct, frozen=True, kw_only=True):
    """The least agreed first. The mean is over all second opinions, None before the first."""

    tasks: list[Disagreement]
    n_opinions: int
    mean_agreement: float | None


def give_opinion(workspace: Workspace, call: Call, request: GiveOpinion) -> OpinionSaved:
    """Save a second, independent set of boxes beside the labels of a task, which stay.

    Boxes of classes that the first person did not look for are saved and not compared.

    Raises:
        NotAllowed: the caller may not label.
        NoSuchTask, NoLabelsYet: nothing to have a second opinion on.
        OwnLabels: the caller gave the first.
        OpinionGiven: there is a second one already.
        BadLabels: lists every box that cannot be right.
    """
    require(call.actor, Permission.LABEL)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        task = find_task(tx, request.task)
        labels = _first_labels(tx, task, by=call.actor.id)
        boxes = _checked(tx, task, request, branch=labels.branch)
        before = find_opinions(tx, [task.id]).get(task.id)
        if before is not None:
            if (before.given_by, before.boxes) != (call.actor.id, boxes):
                raise OpinionGiven(
                    task=task.id, given_by=before.given_by, given_at_ms=before.given_at_ms
                )
            return _saved(before, is_new=False)
        agreed = compare(labels.boxes, _looked_for(boxes, labels))
        opinion = Opinion(
            task=task.id,
            boxes=boxes,
            given_by=call.actor.id,
            given_at_ms=now_ms,
            duration_ms=request.duration_ms,
            agreement=agreed.agreement,
            mean_iou=agreed.mean_iou,
        )
        add_opinion(tx, opinion)
        drop_claim(tx, task.id)
        data = {"task": task.id, "agreement": opinion.agreement, "n_boxes": len(boxes)}
        tell(tx, OPINION_GIVEN, task.id, by=call.actor, at_ms=now_ms, data=data)
    return _saved(opinion, is_new=True)


def list_disagreements(
    workspace: Workspace, call: Call, request: ListDisagreements
) -> Disagreements:
    """Tasks with two drawings, those whose drawings agree least first.

    Raises:
        NotAllowed: the caller may not read.
        NoLabelsYet: `after` has no second opinion.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        after = None
        if request.after is not None:
            state = find_task(tx, request.after).state
            after = find_opinions(tx, [request.after]).get(request.after)
            if after is None:
                raise NoLabelsYet(task=request.after, state=state)
        opinions = least_agreed(tx, after=after, limit=request.limit)
        ids = [opinion.task for opinion in opinions]
        tasks, labels = find_tasks(tx, ids), labels_of_tasks(tx, ids)
        n_opinions, mean_agreement = opinion_totals(tx)
    return Disagreements(
        tasks=[
            Disagreement(task=tasks[one.task], labels=labels[one.task], opinion=one)
            for one in opinions
        ],
        n_opinions=n_opinions,
        mean_agreement=mean_agreement,
    )


def _first_labels(tx: Tx, task: Task, *, by: str) -> TaskLabels:
    labels = find_labels(tx, task.id)
    if labels is None:
        raise NoLabelsYet(task=task.id, state=task.state)
    if labels.labelled_by == by:
        raise OwnLabels(task=task.id, labelled_by=by)
    return labels


def _checked(tx: Tx, task: Task, request: GiveOpinion, *, branch: str) -> list[LabelBox]:
    size = SizePx(task.width_px, task.height_px)
    checked = check_boxes(request.boxes, size=size, taxonomy=taxonomy_of(tx, branch))
    if checked.problems:
        raise BadLabels(task=task.id, problems=checked.problems)
    return checked.boxes


def _looked_for(boxes: Sequence[LabelBox], labels: TaskLabels) -> list[LabelBox]:
    return [box for box in boxes if box.class_id in labels.labelled_for]


def _saved(opinion: Opinion, *, is_new: bool) -> OpinionSaved:
    return OpinionSaved(
        task=opinion.task,
        n_boxes=len(opinion.boxes),
        agreement=opinion.agreement,
        mean_iou=opinion.mean_iou,
        is_new=is_new,
    )
