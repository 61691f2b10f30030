"""From kept images to tasks: all of the audit lane, and of the others what is worth the time."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sightloop.contracts.bundle import Bundle
from sightloop.contracts.telemetry import Lane
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.ids import derived_id
from sightloop.kernel.workspace import Call, Workspace
from sightloop.review.blinding import is_blind
from sightloop.review.bundles import read_bundles, reported
from sightloop.review.labels import audit_keys_among
from sightloop.review.selection import Candidate, select_candidates
from sightloop.review.tasks import (
    add_tasks,
    end_task,
    images_with_task,
    kept_with_task,
    list_tasks_where,
    open_tasks,
    tasks_opened_for,
    tasks_to_open,
    unlabelled_like,
)
from sightloop.review.values import AUDIT_PRIORITY, Purpose, Task
from sightloop.telemetry.store import audited_among, find_image, find_kept, list_kept
from sightloop.telemetry.values import KeptImage, StreamKey, UploadedImage

TASKS_FLAGGED = EventKind("tasks.flagged")
TASKS_OPENED = EventKind("tasks.opened")
TASKS_WITHDRAWN = EventKind("tasks.withdrawn")

CANDIDATE_LANES: tuple[Lane, ...] = ("uncertain", "novel", "drift", "operator")
N_CANDIDATES = 5_000
"""The latest kept images a choice is made from; older ones of a stream show what it used to see."""


class OpenAuditTasks(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for labels of these kept images, as far as the audit lane kept them."""

    kept: list[str]


class FlagImages(msgspec.Struct, frozen=True, kw_only=True):
    """Choose images for an incident; `streams` None means every stream.

    `budget` is how many may stand flagged for the incident in all, what was chosen before included.
    """

    incident: str
    budget: int
    streams: list[StreamKey] | None = None
    since_ms: int = 0
    bundle: Digest | None = None
    max_per_group: int = 4


class OpenFlagged(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for labels of what was flagged for the incident, or earlier on these streams.

    `budget` is how many may be opened for the incident in all, what was opened before included.
    """

    incident: str
    budget: int
    streams: list[StreamKey] = []


class WithdrawTasks(msgspec.Struct, frozen=True, kw_only=True):
    """Take back tasks that have no labels yet."""

    tasks: list[str]
    reason: str


class TasksMade(msgspec.Struct, frozen=True, kw_only=True):
    """All tasks the request asked for, the most urgent first, and how many of them are new."""

    tasks: list[str]
    n_new: int


def open_audit_tasks(workspace: Workspace, call: Call, request: OpenAuditTasks) -> TasksMade:
    """Make every audited image a task that is open at once; images of other lanes are passed over.

    A quarter of them carries no pre-labels (`blinding`). Training tasks without labels that show
    the same image, or are of the same group, are withdrawn: what measures the model must not
    teach it. Repeating the request changes nothing.

    Raises:
        NotAllowed: the caller may not run the loop.
        NotFound: a kept image is unknown.
    """
    require(call.actor, Permission.RUN_LOOP)
    with workspace.db.read() as tx:
        named = [find_kept(tx, kept) for kept in dict.fromkeys(request.kept)]
        audited = [kept for kept in named if kept.lane == "audit"]
        known = kept_with_task(tx, [kept.id for kept in audited])
        images = _images_of(tx, [kept for kept in audited if kept.id not in known])
    tasks = _new_tasks(workspace, images, purpose="audit", incident=None)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        added = add_tasks(tx, tasks)
        if added:
            data = {"purpose": "audit", "tasks": [task.id for task in added]}
            tell(tx, TASKS_OPENED, "audit", by=call.actor, at_ms=now_ms, data=data)
            alike = unlabelled_like(
                tx,
                images={task.image for task in added},
                groups={task.group for task in added},
            )
            reason = "an audited image shows the same"
            _withdraw(tx, [task.id for task in alike], call, reason=reason, now_ms=now_ms)
    return TasksMade(tasks=[_task_id(kept.id) for kept in audited], n_new=len(added))


def flag_images(workspace: Workspace, call: Call, request: FlagImages) -> TasksMade:
    """Choose kept images that are uncertain and unlike each other, and flag them as tasks.

    Left out are images that are tasks already or nearly repeat one, and those the audit lane
    holds an image of, or one of the same group. Nobody is asked for labels yet. Repeating the
    request fills the budget up with what came in since, and changes nothing when it is full.

    Raises:
        NotAllowed: the caller may not run the loop.
    """
    require(call.actor, Permission.RUN_LOOP)
    with workspace.db.read() as tx:
        before = _standing(list_tasks_where(tx, incident=request.incident))
        chosen = _choose(tx, request, budget=request.budget - len(before))
        images = _images_of(tx, chosen)
    tasks = _new_tasks(workspace, images, purpose="train", incident=request.incident)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        added = add_tasks(tx, tasks)
        if added:
            data = {"incident": request.incident, "tasks": [task.id for task in added]}
            tell(tx, TASKS_FLAGGED, request.incident, by=call.actor, at_ms=now_ms, data=data)
        flagged = _standing(list_tasks_where(tx, incident=request.incident))
    return TasksMade(tasks=[task.id for task in flagged], n_new=len(added))


def open_flagged(workspace: Workspace, call: Call, request: OpenFlagged) -> TasksMade:
    """Ask people for labels of flagged images, the most useful first.

    Repeating the request opens what was flagged since, and changes nothing when the budget is
    used up.

    Raises:
        NotAllowed: the caller may not run the loop.
    """
    require(call.actor, Permission.RUN_LOOP)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        before = _standing(tasks_opened_for(tx, request.incident))
        left = max(request.budget - len(before), 0)
        found = tasks_to_open(tx, request.incident, streams=request.streams, limit=left)
        opened = [task.id for task in found]
        if opened:
            open_tasks(tx, opened, opened_for=request.incident, now_ms=now_ms)
            data = {"purpose": "train", "incident": request.incident, "tasks": opened}
            tell(tx, TASKS_OPENED, request.incident, by=call.actor, at_ms=now_ms, data=data)
        standing = _standing(tasks_opened_for(tx, request.incident))
    return TasksMade(tasks=[task.id for task in standing], n_new=len(opened))


def withdraw_tasks(workspace: Workspace, call: Call, request: WithdrawTasks) -> None:
    """Take tasks back: all of them, or none when one has labels already.

    Withdrawing audit tasks by what they show makes the audit's numbers wrong.

    Raises:
        NotAllowed: the caller may not run the loop.
        NoSuchTask, TaskNotOpen: nothing was withdrawn.
    """
    require(call.actor, Permission.RUN_LOOP)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        _withdraw(tx, request.tasks, call, reason=request.reason, now_ms=now_ms)


def _choose(tx: Tx, request: FlagImages, *, budget: int) -> list[KeptImage]:
    if budget <= 0:
        return []
    latest = list_kept(
        tx,
        streams=request.streams,
        since_ms=request.since_ms,
        bundle=request.bundle,
        limit=N_CANDIDATES,
    )
    with_task = kept_with_task(tx, [kept.id for kept in latest])
    known = [kept for kept in latest if kept.id in with_task or kept.lane == "audit"]
    free = [kept for kept in latest if kept.lane in CANDIDATE_LANES and kept.id not in with_task]
    by_id = {kept.id: kept for kept in _outside_audit(tx, free)}
    chosen = select_candidates(
        [
            Candidate(kept.id, kept.group, kept.uncertainty, kept.descriptor)
            for kept in by_id.values()
        ],
        known=[kept.descriptor for kept in known],
        budget=budget,
        max_per_group=request.max_per_group,
    )
    return [by_id[candidate.id] for candidate in chosen]


def _outside_audit(tx: Tx, kept: list[KeptImage]) -> list[KeptImage]:
    """Those whose image is no task yet, and whose group no audited image is of."""
    audited = audited_among(tx, kept)
    groups = audited.groups | audit_keys_among(tx, {image.group for image in kept})
    images = audited.images | images_with_task(tx, {image.image for image in kept})
    return [image for image in kept if image.group not in groups and image.image not in images]


def _images_of(tx: Tx, kept: list[KeptImage]) -> list[tuple[KeptImage, UploadedImage]]:
    return [(image, find_image(tx, image.image)) for image in kept]


def _new_tasks(
    workspace: Workspace,
    images: Sequence[tuple[KeptImage, UploadedImage]],
    *,
    purpose: Purpose,
    incident: str | None,
) -> list[Task]:
    bundles = read_bundles(workspace, (kept.bundle for kept, _ in images))
    now_ms = workspace.clock.now_ms()
    tasks = []
    for rank, (kept, image) in enumerate(images):
        task = _new_task(kept, image, bundles[kept.bundle], now_ms=now_ms)
        if purpose == "train":
            # In the order of the choice, which already weighs score against likeness.
            priority = 1 - rank / len(images)
            task = msgspec.structs.replace(
                task,
                purpose="train",
                state="flagged",
                priority=priority,
                incident=incident,
            )
        elif is_blind(task.id):
            task = msgspec.structs.replace(task, blind=True, prelabels=[])
        tasks.append(task)
    return tasks


def _new_task(kept: KeptImage, image: UploadedImage, bundle: Bundle, *, now_ms: int) -> Task:
    return Task(
        id=_task_id(kept.id),
        kept=kept.id,
        purpose="audit",
        state="open",
        priority=AUDIT_PRIORITY,
        incident=None,
        opened_for=None,
        blind=False,
        prelabels=reported(bundle, kept.detections),
        image=kept.image,
        width_px=image.width_px,
        height_px=image.height_px,
        media_type=image.media_type,
        device=kept.device,
        stream=kept.stream,
        bundle=kept.bundle,
        group=kept.group,
        lane=kept.lane,
        inclusion_probability=kept.inclusion_probability,
        captured_at_ms=kept.captured_at_ms,
        created_at_ms=now_ms,
        changed_at_ms=now_ms,
    )


def _task_id(kept: str) -> str:
    return derived_id("task", kept)


def _standing(tasks: list[Task]) -> list[Task]:
    """What counts towards a budget: a withdrawn task gives its place to another."""
    return [task for task in tasks if task.state != "withdrawn"]


def _withdraw(tx: Tx, tasks: list[str], call: Call, *, reason: str, now_ms: int) -> None:
    for task in tasks:
        end_task(tx, task, "withdrawn", note=reason, now_ms=now_ms)
    if tasks:
        data = {"tasks": tasks, "reason": reason}
        tell(tx, TASKS_WITHDRAWN, tasks[0], by=call.actor, at_ms=now_ms, data=data)
