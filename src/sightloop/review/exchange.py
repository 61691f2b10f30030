"""Tasks out to a labelling tool and labels back in, by folder."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec

from sightloop.datasets.errors import FolderInUse
from sightloop.kernel.actors import Actor, Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.errors import NotFound
from sightloop.kernel.files import disk_errors
from sightloop.kernel.workspace import Call, Workspace
from sightloop.review.bundles import read_bundles
from sightloop.review.coco import ImageLabels, coco_of, image_file_name, labels_in, parse_coco
from sightloop.review.errors import AlreadyLabelled, BadLabelFile, TaskNotOpen
from sightloop.review.labelling import (
    Prepared,
    SubmitLabels,
    prepare_labels,
    save_labels,
    taxonomy_of,
)
from sightloop.review.labels import find_labels, refuse_second_labels
from sightloop.review.tasks import find_tasks, list_tasks_where
from sightloop.review.values import Purpose, Task, TaskState

ANNOTATIONS_NAME = "annotations.json"


class ExportTasks(msgspec.Struct, frozen=True, kw_only=True):
    """Write tasks into a new folder, with the classes of the branch."""

    folder: str
    branch: str = "main"
    states: list[TaskState] = msgspec.field(default_factory=lambda: ["open"])
    purpose: Purpose | None = None
    incident: str | None = None
    limit: int = 1000


class ExportedTasks(msgspec.Struct, frozen=True, kw_only=True):
    """What was written."""

    folder: str
    annotations: str
    n_tasks: int
    n_prelabels: int


class ImportLabels(msgspec.Struct, frozen=True, kw_only=True):
    """Take the labels of a COCO file whose images are exported tasks.

    Every image of the file counts as labelled, one without boxes as empty. `skip_empty` leaves
    tasks without boxes open instead, for a file that is not finished.
    """

    annotations: str
    branch: str = "main"
    skip_empty: bool = False
    simulated: bool = False


class ImportedLabels(msgspec.Struct, frozen=True, kw_only=True):
    """What was saved; `n_known` tasks had these very labels before."""

    n_tasks: int
    n_boxes: int
    n_known: int
    n_skipped: int


def export_tasks(workspace: Workspace, call: Call, request: ExportTasks) -> ExportedTasks:
    """Write `annotations.json` and `images/` into the folder: all of it or nothing.

    Blind tasks come without boxes, as they do on the page.

    Raises:
        NotAllowed: the caller may not label.
        NoSuchRef: there is no such branch.
        FolderInUse: the folder exists and is not empty.
        BlobMissing, BlobDamaged: an image is lost.
        DiskFull: no room; nothing is left behind.
    """
    require(call.actor, Permission.LABEL)
    folder = Path(request.folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FolderInUse(folder=str(folder))
    with workspace.db.read() as tx:
        taxonomy = taxonomy_of(tx, request.branch)
        tasks = list_tasks_where(
            tx,
            states=request.states,
            purpose=request.purpose,
            incident=request.incident,
            limit=request.limit,
        )
    bundles = read_bundles(workspace, (task.bundle for task in tasks))
    bundle_classes = {digest: bundle.class_ids for digest, bundle in bundles.items()}
    coco = coco_of(tasks, taxonomy=taxonomy, bundle_classes=bundle_classes)
    _write_folder(workspace, call, folder, tasks, annotations=msgspec.json.encode(coco))
    return ExportedTasks(
        folder=str(folder),
        annotations=str(folder / ANNOTATIONS_NAME),
        n_tasks=len(tasks),
        n_prelabels=len(coco.annotations),
    )


def import_labels(workspace: Workspace, call: Call, request: ImportLabels) -> ImportedLabels:
    """Save the labels of every task in the file, as `submit_labels` would: all or none.

    Importing the same file again changes nothing.

    Raises:
        NotAllowed: the caller may not label.
        NotFound: there is no such file.
        NotCoco: it is of another shape.
        NoSuchRef: there is no such branch.
        BadLabelFile: lists everything in it that cannot be saved.
        AlreadyLabelled: somebody saved other labels just now; nothing was imported.
    """
    require(call.actor, Permission.LABEL)
    path = Path(request.annotations)
    try:
        content = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, ValueError) as error:  # a null byte in the name
        raise NotFound(what="label file", name=str(path)) from error
    found, problems = labels_in(parse_coco(content, file=str(path)))
    wanted = [labels for labels in found if labels.boxes or not request.skip_empty]
    ready = _prepare(workspace, wanted, request, by=call.actor, problems=problems)
    if problems:
        raise BadLabelFile(file=str(path), problems=problems)
    with workspace.db.write() as tx:
        saved = [save_labels(tx, prepared, by=call.actor) for prepared in ready]
    return ImportedLabels(
        n_tasks=sum(saved),
        n_boxes=sum(
            len(prepared.labels.boxes)
            for prepared, is_new in zip(ready, saved, strict=True)
            if is_new
        ),
        n_known=len(saved) - sum(saved),
        n_skipped=len(found) - len(wanted),
    )


def _prepare(
    workspace: Workspace,
    found: Sequence[ImageLabels],
    request: ImportLabels,
    *,
    by: Actor,
    problems: list[str],
) -> list[Prepared]:
    """Everything that can be saved; what cannot is added to `problems`."""
    with workspace.db.read() as tx:
        tasks = find_tasks(tx, [labels.task for labels in found])
    work = []
    for labels in found:
        task = tasks.get(labels.task)
        if task is None:
            problems.append(f"there is no task {labels.task!r}")
        elif labels.size != (task.width_px, task.height_px):
            problems.append(
                f"task {task.id}: the file says {labels.size.width_px} x {labels.size.height_px} "
                f"px, its image has {task.width_px} x {task.height_px} px; export without resizing"
            )
        else:
            work.append((task, _request_of(labels, request)))
    ready, refused = prepare_labels(workspace, work, by=by)
    problems.extend(f"task {task}: {'; '.join(each)}" for task, each in refused)
    with workspace.db.read() as tx:
        for prepared in ready:
            problems.extend(_state_problems(tx, prepared))
    return ready


def _request_of(labels: ImageLabels, request: ImportLabels) -> SubmitLabels:
    return SubmitLabels(
        task=labels.task,
        boxes=labels.boxes,
        slices=labels.slices,
        split_key=labels.split_key,
        branch=request.branch,
        simulated=request.simulated,
    )


def _state_problems(tx: Tx, prepared: Prepared) -> list[str]:
    if prepared.task.state in ("open", "skipped"):
        return []
    try:
        refuse_second_labels(find_labels(tx, prepared.task.id), prepared.labels, prepared.task)
    except (AlreadyLabelled, TaskNotOpen) as error:
        return [error.message]
    return []


def _write_folder(
    workspace: Workspace, call: Call, folder: Path, tasks: Sequence[Task], *, annotations: bytes
) -> None:
    """Write beside the folder and move it into place, so that nobody sees half of it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f".{folder.name}.{secrets.token_hex(6)}")
    with disk_errors(folder):
        try:
            (partial / "images").mkdir(parents=True)
            for n_written, task in enumerate(tasks):
                call.progress("images", n_written, len(tasks))
                (partial / image_file_name(task)).write_bytes(workspace.blobs.read(task.image))
            (partial / ANNOTATIONS_NAME).write_bytes(annotations)
            partial.replace(folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
