"""Writing runs as others read them: event files for `tensorboard --logdir`.

A run is a folder with one event file, named after the run: exporting again replaces it, and a
reader sees the old file or the new one.
"""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.files import disk_errors, sync_folder
from sightloop.kernel.workspace import Call, Workspace
from sightloop.tracking.artifacts import list_artifacts
from sightloop.tracking.errors import ExportBlocked
from sightloop.tracking.importing.naming import logged_histograms, logged_image, quoted
from sightloop.tracking.points import latest_metrics, metric_columns
from sightloop.tracking.store import find_run
from sightloop.tracking.tensorboard.events import Histogram
from sightloop.tracking.tensorboard.records import MAX_RECORD_BYTES, frame_all
from sightloop.tracking.tensorboard.writing import (
    histogram_event,
    image_event,
    scalar_events,
    version_event,
)
from sightloop.tracking.values import Run, RunArtifact

_BYTES_AT_ONCE = 4 << 20
_MAX_SEGMENT_BYTES = 200
_PICTURES = (".png", ".jpg", ".jpeg")


class ExportRuns(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs, and the folder to write them to on the machine that holds the workspace."""

    runs: list[str]
    folder: str
    format: Literal["tensorboard"] = "tensorboard"


class ExportedRun(msgspec.Struct, kw_only=True):
    """A run as it was written."""

    run: str
    file: str
    n_points: int = 0
    n_images: int = 0
    n_histograms: int = 0
    n_left_out: int = 0
    """Artifacts that TensorBoard has no place for; they stay in the workspace."""


class ExportedRuns(msgspec.Struct, frozen=True, kw_only=True):
    """All runs that were written."""

    runs: list[ExportedRun]


def export_runs(workspace: Workspace, call: Call, request: ExportRuns) -> ExportedRuns:
    """Write each run as an event file in a folder of its own, for TensorBoard to show.

    Raises:
        NotAllowed: the actor may not read.
        RunUnknown: there is no such run; nothing was written.
        ExportBlocked: the folder is a file.
        BlobDamaged: an image has changed in the store; earlier runs were written.
        DiskFull: no room; earlier runs were written.
    """
    require(call.actor, Permission.READ)
    folder = Path(request.folder)
    if folder.exists() and not folder.is_dir():
        raise ExportBlocked(path=str(folder))
    with workspace.db.read() as tx:
        runs = [find_run(tx, run) for run in dict.fromkeys(request.runs)]
    told = []
    for number, run in enumerate(runs):
        call.progress("runs", number, len(runs))
        told.append(_export(workspace, run, folder))
    call.progress("runs", len(runs), len(runs))
    return ExportedRuns(runs=told)


def _export(workspace: Workspace, run: Run, folder: Path) -> ExportedRun:
    file = _place(run, folder)
    told = ExportedRun(run=run.id, file=str(file))
    with disk_errors(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        # Not named like an event file: TensorBoard may be watching.
        temporary = file.parent / f".sightloop-{secrets.token_hex(6)}.part"
        try:
            with temporary.open("xb") as target, workspace.db.read() as tx:
                for events in _in_parts(_events(workspace, tx, run, told)):
                    target.write(frame_all(events))
                target.flush()
                os.fsync(target.fileno())
            temporary.replace(file)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(file.parent)
    return told


def _place(run: Run, folder: Path) -> Path:
    """The run's event file, in a folder that no other run's events lie in."""
    file = f"events.out.tfevents.{run.started_at_ms // 1000:010d}.sightloop.{run.id}"
    name = quoted(run.name)
    if max(len(part.encode()) for part in name.split("/")) > _MAX_SEGMENT_BYTES:
        return folder / run.id / file
    others = (folder / name).glob("*tfevents*") if (folder / name).is_dir() else iter(())
    is_shared = any(other.name != file for other in others)
    return folder / (f"{name}-{run.id[-8:]}" if is_shared else name) / file


def _events(workspace: Workspace, tx: Tx, run: Run, told: ExportedRun) -> Iterator[bytes]:
    begun_s = run.started_at_ms / 1000
    yield version_event(begun_s)
    for key in latest_metrics(tx, run.id):
        found = metric_columns(tx, run.id, key)
        told.n_points += len(found.steps)
        yield from scalar_events(key, found.steps, found.at_ms / 1000, found.values)
    for artifact in list_artifacts(tx, run.id):
        tag = logged_histograms(artifact.name)
        if tag is not None:
            yield from _histograms(workspace, artifact, tag, begun_s, told)
        elif not artifact.name.endswith(_PICTURES) or artifact.size_bytes > MAX_RECORD_BYTES // 2:
            told.n_left_out += 1
        else:
            told.n_images += 1
            content = workspace.blobs.read(artifact.digest)
            logged = logged_image(artifact.name)
            tag, step = logged or (artifact.name.rpartition(".")[0], 0)
            yield image_event(tag, step, begun_s, content)


def _in_parts(events: Iterator[bytes]) -> Iterator[list[bytes]]:
    part, size = [], 0
    for event in events:
        part.append(event)
        size += len(event)
        if size >= _BYTES_AT_ONCE:
            yield part
            part, size = [], 0
    yield part


class _Line(msgspec.Struct, frozen=True):
    """A histogram as an import wrote it."""

    step: int
    at_ms: int | None
    limits: list[float | None]
    """None for what is not a number, here and below; JSON has no word for it."""
    counts: list[float | None]


def _histograms(
    workspace: Workspace, artifact: RunArtifact, tag: str, begun_s: float, told: ExportedRun
) -> Iterator[bytes]:
    for text in workspace.blobs.read(artifact.digest).splitlines():
        try:
            line = msgspec.json.decode(text, type=_Line)
        except msgspec.DecodeError:  # a file of somebody else that has such a name
            told.n_left_out += 1
            return
        told.n_histograms += 1
        histogram = Histogram(_numbers(line.limits), _numbers(line.counts))
        at_s = begun_s if line.at_ms is None else line.at_ms / 1000
        yield histogram_event(tag, line.step, at_s, histogram)


def _numbers(values: list[float | None]) -> list[float]:
    return [math.nan if value is None else value for value in values]
