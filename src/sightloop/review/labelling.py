"""The one way labels come in, whoever or whatever labelled: a page, a file, a simulated annotator.

What an audited image cost the model is known the moment its labels are saved, so its loss goes to
telemetry in that very transaction: monitors need not wait for the next data set commit, and saving
labels once is what makes the loss be there once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from sightloop.contracts.bundle import Bundle
from sightloop.datasets.branches import head_of
from sightloop.datasets.errors import NoSuchRef
from sightloop.datasets.geometry import SizePx
from sightloop.datasets.samples import load_commit
from sightloop.datasets.values import Taxonomy, strata_of
from sightloop.kernel.actors import Actor, Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.ids import derived_id
from sightloop.kernel.workspace import Call, Workspace
from sightloop.review.boxes import Checked, TaskBox, check_boxes, slice_problems
from sightloop.review.bundles import loss_on, read_bundles
from sightloop.review.claims import drop_claim
from sightloop.review.errors import BadLabels
from sightloop.review.labels import record_labels
from sightloop.review.tasks import end_task, find_task
from sightloop.review.values import HUMAN, Task, TaskLabels
from sightloop.telemetry.store import find_kept, record_loss, stratum_of
from sightloop.telemetry.values import AuditedLoss

LABELS_VERIFIED = EventKind("labels.verified")
TASK_SKIPPED = EventKind("task.skipped")

SIMULATED = "simulated annotator"
"""The source of labels that no person made: ground truth held back in a demonstration."""


class SubmitLabels(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody saw on a task's image: every object of every class of the branch.

    `slices` are added to what the stream is pointed at and win over it. `split_key` replaces the
    image's group. `blind` says that the labeller did not look at the pre-labels there were.
    """

    task: str
    boxes: list[TaskBox]
    slices: dict[str, str] = {}
    split_key: str | None = None
    blind: bool = False
    branch: str = "main"
    """The branch whose classes count, and to which the labels will be committed."""
    duration_ms: int | None = None
    simulated: bool = False


class Submitted(msgspec.Struct, frozen=True, kw_only=True):
    """What was saved. `loss` is None where the image was not audited.

    `is_new` is False when the very same labels of the same person were saved before.
    """

    task: str
    n_boxes: int
    strata: list[str]
    loss: float | None
    is_new: bool


class SkipTask(msgspec.Struct, frozen=True, kw_only=True):
    """Leave a task to somebody else, and say why."""

    task: str
    reason: str


class Prepared(NamedTuple):
    """Labels that were checked, and the loss they give an audited image."""

    task: Task
    labels: TaskLabels
    loss: AuditedLoss | None


class TaskProblems(NamedTuple):
    """Why one task's labels cannot be saved."""

    task: str
    problems: list[str]


class Preparation(NamedTuple):
    """Labels of several tasks, checked."""

    ready: list[Prepared]
    refused: list[TaskProblems]


def submit_labels(workspace: Workspace, call: Call, request: SubmitLabels) -> Submitted:
    """Save the labels of one task, and with an audited image its loss; all of it or nothing.

    Raises:
        NotAllowed: the caller may not label.
        NoSuchTask, NoSuchRef: no such task, no such branch.
        BadLabels: lists every box and slice that cannot be right.
        AlreadyLabelled: somebody else saved labels first, or the same person other ones.
        TaskNotOpen: the task is flagged only, or withdrawn.
    """
    require(call.actor, Permission.LABEL)
    with workspace.db.read() as tx:
        task = find_task(tx, request.task)
    ready, refused = prepare_labels(workspace, [(task, request)], by=call.actor)
    for problem in refused:
        raise BadLabels(task=problem.task, problems=problem.problems)
    (prepared,) = ready
    with workspace.db.write() as tx:
        is_new = save_labels(tx, prepared, by=call.actor)
    return Submitted(
        task=task.id,
        n_boxes=len(prepared.labels.boxes),
        strata=prepared.labels.strata,
        loss=None if prepared.loss is None else prepared.loss.loss,
        is_new=is_new,
    )


def skip_task(workspace: Workspace, call: Call, request: SkipTask) -> None:
    """Take the task off the list of open ones; it can still be labelled by whoever can tell.

    Skipping audited images because they are hard makes the model look better than it is, so what
    was skipped stays visible.

    Raises:
        NotAllowed: the caller may not label.
        NoSuchTask: there is none.
        TaskNotOpen: it does not wait for labels.
    """
    require(call.actor, Permission.LABEL)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        end_task(tx, request.task, "skipped", note=request.reason, now_ms=now_ms)
        drop_claim(tx, request.task)
        data = {"task": request.task, "reason": request.reason}
        tell(tx, TASK_SKIPPED, request.task, by=call.actor, at_ms=now_ms, data=data)


def prepare_labels(
    workspace: Workspace, work: Sequence[tuple[Task, SubmitLabels]], *, by: Actor
) -> Preparation:
    """Check labels and work out what saving them takes; nothing is written.

    Raises:
        NoSuchRef: a branch does not exist.
    """
    bundles = read_bundles(workspace, (task.bundle for task, _ in work if task.purpose == "audit"))
    preparation = Preparation([], [])
    now_ms = workspace.clock.now_ms()
    with workspace.db.read() as tx:
        taxonomies = {
            branch: taxonomy_of(tx, branch) for branch in sorted({each.branch for _, each in work})
        }
        for task, request in work:
            taxonomy = taxonomies[request.branch]
            checked = _check(task, request, taxonomy)
            if checked.problems:
                preparation.refused.append(TaskProblems(task.id, checked.problems))
                continue
            stratum = stratum_of(tx, task.camera, at_ms=task.captured_at_ms)
            labels = _labels(
                task, request, checked, taxonomy=taxonomy, stratum=stratum, by=by, now_ms=now_ms
            )
            loss = _loss(tx, task, labels, bundles, stratum=stratum)
            preparation.ready.append(Prepared(task, labels, loss))
    return preparation


def taxonomy_of(tx: Tx, branch: str) -> Taxonomy:
    """The classes of the branch as it stands.

    Raises:
        NoSuchRef: there is no such branch.
    """
    head = head_of(tx, branch)
    if head is None:
        raise NoSuchRef(name=branch)
    return load_commit(tx, head).taxonomy


def save_labels(tx: Tx, prepared: Prepared, *, by: Actor) -> bool:
    """Save prepared labels with their loss and event; False if these very labels are saved.

    Raises:
        AlreadyLabelled, TaskNotOpen: as `submit_labels`.
    """
    labels = prepared.labels
    if not record_labels(tx, labels):
        return False
    drop_claim(tx, labels.task)
    if prepared.loss is not None:
        record_loss(tx, prepared.loss)
    tell(
        tx,
        LABELS_VERIFIED,
        labels.task,
        by=by,
        at_ms=labels.labelled_at_ms,
        data={
            "task": labels.task,
            "kept": prepared.task.kept,
            "purpose": labels.purpose,
            "strata": labels.strata,
            "n_boxes": len(labels.boxes),
        },
    )
    return True


def _check(task: Task, request: SubmitLabels, taxonomy: Taxonomy) -> Checked:
    size = SizePx(task.width_px, task.height_px)
    checked = check_boxes(request.boxes, size=size, taxonomy=taxonomy)
    checked.problems.extend(slice_problems(request.slices))
    if request.split_key == "":
        checked.problems.append("split_key is empty; leave it out or name the board or scene")
    return checked


def _labels(
    task: Task,
    request: SubmitLabels,
    checked: Checked,
    *,
    taxonomy: Taxonomy,
    stratum: str,
    by: Actor,
    now_ms: int,
) -> TaskLabels:
    field, is_slice, value = stratum.partition("=")
    slices = ({field: value} if is_slice else {}) | request.slices
    return TaskLabels(
        task=task.id,
        purpose=task.purpose,
        branch=request.branch,
        boxes=checked.boxes,
        slices=slices,
        strata=strata_of(slices),
        split_key=request.split_key,
        blind=task.blind or request.blind,
        source=SIMULATED if request.simulated else f"{HUMAN}{by.id}",
        labelled_by=by.id,
        labelled_at_ms=now_ms,
        duration_ms=request.duration_ms,
        labelled_for=taxonomy.class_ids,
    )


def _loss(
    tx: Tx, task: Task, labels: TaskLabels, bundles: dict[Digest, Bundle], *, stratum: str
) -> AuditedLoss | None:
    if task.purpose != "audit":
        return None
    detections = find_kept(tx, task.kept).detections
    return AuditedLoss(
        id=derived_id("loss", task.kept),
        kept=task.kept,
        device=task.device,
        stream=task.stream,
        stratum_stream=stratum,
        strata=labels.strata,
        bundle=task.bundle,
        loss=loss_on(bundles[task.bundle], detections, labels.boxes),
        inclusion_probability=task.inclusion_probability,
        at_ms=labels.labelled_at_ms,
    )
