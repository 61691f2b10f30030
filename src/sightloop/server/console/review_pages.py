"""Review: the queue of images that wait for labels, the editor, and where people disagree."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlencode

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from sightloop.contracts.bundle import Detection
from sightloop.kernel.actors import Permission, may
from sightloop.kernel.workspace import Workspace
from sightloop.loop.errors import BadPolicy
from sightloop.loop.policy_file import read_policy
from sightloop.monitoring.incidents import ListIncidents, list_incidents
from sightloop.review.boxes import TaskBox
from sightloop.review.claiming import (
    ClaimTask,
    ReleaseTask,
    claim_task,
    release_task,
)
from sightloop.review.labelling import SkipTask, SubmitLabels, skip_task, submit_labels
from sightloop.review.listing import ShowTask, TaskDetails, show_task
from sightloop.review.queue import ListQueue, QueuedTask, QueuePage, list_queue
from sightloop.review.second_opinions import (
    GiveOpinion,
    ListDisagreements,
    give_opinion,
    list_disagreements,
)
from sightloop.review.values import LabelBox, ProgressCount, Task, TaskFilter
from sightloop.server.console.formats import share
from sightloop.server.console.paging import whole
from sightloop.server.console.pictures import picture_address
from sightloop.server.console.rendering import page
from sightloop.server.console.session import Form, Viewer, form_of, viewer_of
from sightloop.server.context import workspace_of
from sightloop.server.errors import BadRequest
from sightloop.server.rendering import json_response

THUMBNAIL_PX = 320
FALLBACK_PX = 1024
"""The side of the copy that is shown where a browser cannot draw the original (TIFF, 16 bit)."""
NARROWS = ("purpose", "incident", "work")
"""What a person who labels one task after the other may have narrowed the work to."""
STATES = ("open", "done", "skipped", "flagged", "withdrawn")
LANES = ("audit", "uncertain", "novel", "drift", "operator")

Read = TypeVar("Read")


class Rect(NamedTuple):
    """A box as a thumbnail draws it, in pixels of the image."""

    kind: str
    x: float
    y: float
    width: float
    height: float
    title: str


class Row(NamedTuple):
    """A task of the queue and what to draw on its thumbnail."""

    queued: QueuedTask
    reason: str
    rects: list[Rect]
    picture: str


class Progress(NamedTuple):
    """How far the labels of a purpose are. Flagged and withdrawn tasks ask nothing of anybody."""

    purpose: str
    what_for: str
    n_open: int
    n_done: int
    n_skipped: int

    @property
    def n_asked(self) -> int:
        """Tasks people were asked for."""
        return self.n_open + self.n_done + self.n_skipped


class EditorBox(msgspec.Struct, frozen=True, kw_only=True):
    """A box in the editor; `score` is the model's, None where a person drew it."""

    cls: str
    x1: float
    y1: float
    x2: float
    y2: float
    score: float | None = None


class EditorClass(msgspec.Struct, frozen=True):
    """A class people can choose."""

    id: str
    name: str


class EditorWork(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the editor's script needs; `work` is "" when nothing can be changed."""

    task: str
    work: str
    width: int
    height: int
    image: str
    fallback: str
    classes: list[EditorClass]
    boxes: list[EditorBox]
    under: list[EditorBox]
    narrowed: str


@get("/review", sync_to_thread=True)
def queue(request: Request[Any, Any, Any]) -> Response[str]:
    """The queue, page by page."""
    viewer = viewer_of(request)
    return page(request, "review.html", viewer, **_queue_values(request, viewer))


@get("/review/queue", sync_to_thread=True)
def queue_piece(request: Request[Any, Any, Any]) -> Response[str]:
    """The part of the queue's page that changes by itself."""
    viewer = viewer_of(request)
    return page(request, "_review-queue.html", viewer, **_queue_values(request, viewer))


@post("/review/next", status_code=303)
async def next_task(request: Request[Any, Any, Any]) -> Response[Any]:
    """Take the next task and go to it; back to the queue when none is left."""
    viewer, form = await form_of(request)
    return await asyncio.to_thread(_go_to_next, workspace_of(request), viewer, form)


@get("/review/next", sync_to_thread=False)
def no_next_task(request: Request[Any, Any, Any]) -> Response[Any]:
    """Taking a task is a change, so an address that is typed in or followed takes none."""
    viewer_of(request)
    return Redirect("/review", status_code=303)


@get("/review/disagreements", sync_to_thread=True)
def disagreements(request: Request[Any, Any, Any]) -> Response[str]:
    """Tasks with two drawings, side by side, the least agreed first."""
    viewer = viewer_of(request)
    after = request.query_params.get("after") or None
    wanted = ListDisagreements(after=after, limit=20)
    found = list_disagreements(workspace_of(request), viewer.call, wanted)
    pairs = [
        (
            one,
            _label_rects(one.labels.boxes, "truth"),
            _label_rects(one.opinion.boxes, "found"),
            picture_address(one.task.image, side_px=2 * THUMBNAIL_PX),
        )
        for one in found.tasks
    ]
    return page(
        request,
        "review-disagreements.html",
        viewer,
        found=found,
        pairs=pairs,
        next_after=found.tasks[-1].task.id if len(found.tasks) == wanted.limit else None,
    )


@get("/review/{task:str}", sync_to_thread=True)
def task_page(task: FromPath[str], request: Request[Any, Any, Any]) -> Response[str]:
    """The editor, for a task that waits for labels; else what people said of it.

    Whoever could give the second opinion is not shown the first before they ask for it.
    """
    viewer, workspace = viewer_of(request), workspace_of(request)
    details = _details(workspace, viewer, task)
    may_label = may(viewer.actor, Permission.LABEL)
    if details.task.state in ("open", "skipped"):
        work = _work(request, details, _proposals(details), [], work="label" if may_label else "")
        return _editor_page(request, viewer, details, work)
    if _could_be_second(viewer, details) and request.query_params.get("labels") != "show":
        return page(request, "review-second.html", viewer, details=details)
    boxes = _labels(details)
    return _editor_page(
        request, viewer, details, _work(request, details, boxes, _proposals(details), work="")
    )


@get("/review/{task:str}/opinion", sync_to_thread=True)
def second_page(task: FromPath[str], request: Request[Any, Any, Any]) -> Response[Any]:
    """The editor for a second opinion: without pre-labels and without the first labels."""
    viewer = viewer_of(request)
    details = _details(workspace_of(request), viewer, task)
    if details.labels is None or details.opinion is not None:
        return Redirect(f"/review/{details.task.id}", status_code=303)
    is_other = details.labels.labelled_by != viewer.actor.id
    may_give = is_other and may(viewer.actor, Permission.LABEL)
    if not may_give:
        return Redirect(f"/review/{details.task.id}", status_code=303)
    return _editor_page(request, viewer, details, _work(request, details, [], [], work="opinion"))


@post("/review/{task:str}/labels", status_code=200)
async def label(task: FromPath[str], request: Request[Any, Any, Any]) -> Response[bytes]:
    """Save the labels, and say which task comes next."""
    viewer, form = await form_of(request)
    return await asyncio.to_thread(_save_labels, workspace_of(request), viewer, form, task)


@post("/review/{task:str}/opinion", status_code=200)
async def second(task: FromPath[str], request: Request[Any, Any, Any]) -> Response[bytes]:
    """Save the second opinion, and say which task comes next."""
    viewer, form = await form_of(request)
    return await asyncio.to_thread(_save_opinion, workspace_of(request), viewer, form, task)


@post("/review/{task:str}/skip", status_code=303)
async def skip(task: FromPath[str], request: Request[Any, Any, Any]) -> Response[Any]:
    """Leave the task to somebody else, and go to the next."""
    viewer, form = await form_of(request)
    reason = form.text("reason") or form.text("choice") or "no reason given"
    wanted = SkipTask(task=task, reason=reason[:500])

    def run() -> Response[Any]:
        skip_task(workspace_of(request), viewer.call, wanted)
        return _go_to_next(workspace_of(request), viewer, form)

    return await asyncio.to_thread(run)


@post("/review/{task:str}/claim", status_code=200)
async def claim(task: FromPath[str], request: Request[Any, Any, Any]) -> Response[bytes]:
    """Hold the task while its page is open."""
    viewer, _ = await form_of(request)
    wanted = ClaimTask(task=task)
    return json_response(
        await asyncio.to_thread(claim_task, workspace_of(request), viewer.call, wanted)
    )


@post("/review/{task:str}/release", status_code=200)
async def release(task: FromPath[str], request: Request[Any, Any, Any]) -> Response[bytes]:
    """Give the task back when its page is left."""
    viewer, form = await form_of(request)
    wanted = ReleaseTask(task=task, lease=form.text("lease"))
    return json_response(
        await asyncio.to_thread(release_task, workspace_of(request), viewer.call, wanted)
    )


def _queue_values(request: Request[Any, Any, Any], viewer: Viewer) -> dict[str, Any]:
    workspace = workspace_of(request)
    given = {key: value for key, value in request.query_params.items() if value}
    device, _, stream = given.pop("camera", "").partition("/")
    chosen = {name: given[name] for name in TaskFilter.__struct_fields__ if name in given}
    if device and stream:
        chosen |= {"device": device, "stream": stream}
    wanted = _read(chosen, TaskFilter, what="review.queue")
    found = list_queue(workspace, viewer.call, ListQueue(wanted=wanted, after=given.get("after")))
    incidents = list_incidents(workspace, viewer.call, ListIncidents(limit=50))
    return {
        "rows": [_row(one, viewer) for one in found.tasks],
        "found": found,
        "wanted": wanted,
        "progress": _progress(found.progress),
        "counts": _counts(found),
        "incidents": incidents,
        "states": STATES,
        "lanes": LANES,
        "may_label": may(viewer.actor, Permission.LABEL),
        "query_string": request.url.query,
        "command": _command(wanted),
    }


def _command(wanted: TaskFilter) -> str:
    words = ["review list"]
    words += [f"--state {wanted.state}"] if wanted.state != "open" else []
    words += [f"--purpose {wanted.purpose}"] if wanted.purpose else []
    words += [f"--incident {wanted.incident}"] if wanted.incident else []
    return " ".join(words)


def _row(queued: QueuedTask, viewer: Viewer) -> Row:
    task = queued.task
    if queued.labels is None:
        rects = _detection_rects(task.prelabels)
    elif queued.awaits_second and _is_other(viewer, queued.labels.labelled_by):
        rects = []  # whoever sees them cannot give a second opinion any more
    else:
        rects = _label_rects(queued.labels.boxes, "truth")
    picture = picture_address(task.image, side_px=THUMBNAIL_PX)
    return Row(queued, reason_of(task, queued.uncertainty), rects, picture)


def reason_of(task: Task, uncertainty: float | None) -> str:
    """Why the image is there, in words."""
    if task.lane == "audit":
        return f"chosen by chance, as {share(task.inclusion_probability)} are"
    unsure = "" if uncertainty is None else f", uncertainty {uncertainty:.2f}"
    words = {
        "uncertain": "the model was unsure",
        "novel": "unlike what it learnt from",
        "drift": "from a stream that drifted",
        "operator": "an operator asked for it",
    }
    return f"{words[task.lane]}{unsure}"


def _progress(counts: Sequence[ProgressCount]) -> list[Progress]:
    by_key: dict[tuple[str, str], int] = {(one.purpose, one.state): one.n_tasks for one in counts}
    return [
        Progress(
            purpose,
            what_for,
            by_key.get((purpose, "open"), 0),
            by_key.get((purpose, "done"), 0),
            by_key.get((purpose, "skipped"), 0),
        )
        for purpose, what_for in (("audit", "to measure"), ("train", "to learn from"))
    ]


def _counts(found: QueuePage) -> dict[str, int]:
    counts: dict[str, int] = dict.fromkeys(STATES, 0)
    for one in found.progress:
        counts[one.state] += one.n_tasks
    return counts


def _detection_rects(detections: Sequence[Detection]) -> list[Rect]:
    return [
        Rect("proposed", d.x1, d.y1, d.x2 - d.x1, d.y2 - d.y1, f"score {d.score:.2f}")
        for d in detections
    ]


def _label_rects(boxes: Sequence[LabelBox], kind: str) -> list[Rect]:
    return [
        Rect(
            kind,
            one.box.x1,
            one.box.y1,
            one.box.x2 - one.box.x1,
            one.box.y2 - one.box.y1,
            one.class_id,
        )
        for one in boxes
    ]


def _details(workspace: Workspace, viewer: Viewer, task: str) -> TaskDetails:
    """The task, with the classes of the branch that its model learns from."""
    details = show_task(workspace, viewer.call, ShowTask(task=task))
    branch = _branch_of(workspace, details.model)
    if branch == details.branch or details.labels is not None:
        return details
    return show_task(workspace, viewer.call, ShowTask(task=task, branch=branch))


def _branch_of(workspace: Workspace, model: str) -> str:
    try:
        policy = read_policy(workspace).models.get(model)
    except BadPolicy:  # said where the policy is shown; people can label all the same
        policy = None
    return "main" if policy is None else policy.branch


def _branch_to_save_to(workspace: Workspace, viewer: Viewer, task: str) -> str:
    """As `_branch_of`, but never a guess: labels on the wrong branch would teach another model.

    Raises:
        BadPolicy: `loop.yaml` cannot be used, so nobody knows which branch the model learns from.
    """
    details = show_task(workspace, viewer.call, ShowTask(task=task))
    policy = read_policy(workspace).models.get(details.model)
    return "main" if policy is None else policy.branch


def _proposals(details: TaskDetails) -> list[EditorBox]:
    """The pre-labels, as far as the branch still has their classes."""
    known = {one.id for one in details.classes}
    return [
        EditorBox(
            cls=details.class_ids[d.class_index],
            x1=d.x1,
            y1=d.y1,
            x2=d.x2,
            y2=d.y2,
            score=d.score,
        )
        for d in details.task.prelabels
        if d.class_index < len(details.class_ids) and details.class_ids[d.class_index] in known
    ]


def _labels(details: TaskDetails) -> list[EditorBox]:
    if details.labels is None:
        return []
    return [
        EditorBox(cls=one.class_id, x1=one.box.x1, y1=one.box.y1, x2=one.box.x2, y2=one.box.y2)
        for one in details.labels.boxes
    ]


def _work(
    request: Request[Any, Any, Any],
    details: TaskDetails,
    boxes: list[EditorBox],
    under: list[EditorBox],
    *,
    work: str,
) -> EditorWork:
    task = details.task
    return EditorWork(
        task=task.id,
        work=work,
        width=task.width_px,
        height=task.height_px,
        image=picture_address(task.image),
        fallback=picture_address(task.image, side_px=FALLBACK_PX),
        classes=[EditorClass(one.id, one.name) for one in details.classes],
        boxes=boxes,
        under=under,
        narrowed=_narrowed(request.query_params),
    )


def _editor_page(
    request: Request[Any, Any, Any], viewer: Viewer, details: TaskDetails, work: EditorWork
) -> Response[str]:
    field, is_slice, value = details.stratum.partition("=")
    return page(
        request,
        "review-task.html",
        viewer,
        details=details,
        work=work,
        work_json=msgspec.json.encode(work).decode(),
        reason=reason_of(details.task, details.uncertainty),
        slices={field: value} if is_slice else {},
        may_label=may(viewer.actor, Permission.LABEL),
        names={one.id: one.name for one in details.classes},
    )


def _could_be_second(viewer: Viewer, details: TaskDetails) -> bool:
    first = None if details.labels is None else details.labels.labelled_by
    return details.awaits_second and _is_other(viewer, first)


def _is_other(viewer: Viewer, labelled_by: str | None) -> bool:
    return may(viewer.actor, Permission.LABEL) and labelled_by != viewer.actor.id


def _save_labels(workspace: Workspace, viewer: Viewer, form: Form, task: str) -> Response[bytes]:
    saved = submit_labels(
        workspace,
        viewer.call,
        SubmitLabels(
            task=task,
            boxes=_read_json(form, "boxes", list[TaskBox]),
            slices=_read_json(form, "slices", dict[str, str]) if form.text("slices") else {},
            split_key=form.text("split_key") or None,
            branch=_branch_to_save_to(workspace, viewer, task),
            duration_ms=_duration_ms(form),
        ),
    )
    return json_response(
        {"n_boxes": saved.n_boxes, "loss": saved.loss, "next": _next(workspace, viewer, form)}
    )


def _save_opinion(workspace: Workspace, viewer: Viewer, form: Form, task: str) -> Response[bytes]:
    boxes = _read_json(form, "boxes", list[TaskBox])
    request = GiveOpinion(task=task, boxes=boxes, duration_ms=_duration_ms(form))
    saved = give_opinion(workspace, viewer.call, request)
    return json_response({"n_boxes": saved.n_boxes, "next": _next(workspace, viewer, form)})


def _go_to_next(workspace: Workspace, viewer: Viewer, form: Form) -> Response[Any]:
    return Redirect(_next(workspace, viewer, form), status_code=303)


def _next(workspace: Workspace, viewer: Viewer, form: Form) -> str:
    """The address of the next task, which is held for the viewer, or of the queue."""
    narrowed = {name: form.text(name) for name in NARROWS if form.text(name)}
    wanted = _read(narrowed, ClaimTask, what="review.claim")
    taken = claim_task(workspace, viewer.call, wanted)
    onward = f"?{urlencode(narrowed)}" if narrowed else ""
    if taken.claim is None:
        kept = {name: value for name, value in narrowed.items() if name != "work"}
        return f"/review?{urlencode(kept | {'finished': '1'})}"
    place = "/opinion" if taken.work == "opinion" else ""
    return f"/review/{taken.claim.task}{place}{onward}"


def _narrowed(given: Mapping[str, str]) -> str:
    return urlencode({name: given[name] for name in NARROWS if given.get(name)})


def _duration_ms(form: Form) -> int | None:
    return whole(form.text("duration_ms"))


def _read_json(form: Form, name: str, kind: type[Read]) -> Read:
    try:
        return msgspec.json.decode(form.text(name), type=kind)
    except msgspec.DecodeError as error:
        raise BadRequest(operation="review.submit", problem=f"{name}: {error}") from error


def _read(values: Mapping[str, str], kind: type[Read], *, what: str) -> Read:
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise BadRequest(operation=what, problem=str(error)) from error
