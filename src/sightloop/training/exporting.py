"""Exporting a checkpoint that somebody else's program trained, by the engine's own process.

The checkpoint is foreign code until proven otherwise, so only the engine's child process ever
opens it: under the limits of trainings, in a folder of its own, without tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from sightloop.contracts.decode import encode
from sightloop.contracts.job import PARITY_ARTIFACT, DoneLine, ExportJob
from sightloop.kernel.digests import Digest
from sightloop.kernel.environment import usable_cores
from sightloop.kernel.files import write_atomic
from sightloop.kernel.workspace import Call, Workspace
from sightloop.training.attempts import limits_of
from sightloop.training.deliveries import check_parity_file, own_file
from sightloop.training.endings import error_of
from sightloop.training.engines import find_engine
from sightloop.training.folders import JobFolder, claimed, folder_of
from sightloop.training.jobs import start_job
from sightloop.training.ledgers import NoLedger
from sightloop.training.supervision import Ended, Supervision

CHECKPOINT_NAME = "checkpoint.pt"


class ExportCheckpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Which checkpoint, and what the exported file is to be."""

    run: str
    """The run it belongs to; it names the job's folder."""
    engine: str
    weights: Digest
    image_size_px: int
    parameters: dict[str, Any] = {}
    images: dict[str, Digest] = {}
    """Images on which the checkpoint's own answers are wanted, by the names they get."""


class Exported(NamedTuple):
    """What came of it, in the blob store."""

    model_file: Digest
    parity: Digest | None
    """None when no images were given."""
    declared_licence: str


def export_checkpoint(
    workspace: Workspace,
    call: Call,
    request: ExportCheckpoint,
    *,
    should_stop: Callable[[], bool] = lambda: False,
) -> Exported:
    """The exported file; an export that was interrupted begins anew.

    Raises:
        EngineUnknown: there is no such engine.
        Interrupted: `should_stop` said so.
        JobFailed, JobCrashed, JobHung, TimeLimitReached, OutOfMemory: as named; a checkpoint that
            the engine cannot export makes it fail.
        ProtocolBroken: the engine does not speak as it should.
        BlobMissing, BlobDamaged: the store lost the checkpoint or an image.
    """
    engine = find_engine(request.engine, workspace.config.training)
    folder = folder_of(workspace, f"export-{request.run}")
    with claimed(folder, clock=workspace.clock, should_stop=should_stop):
        folder.clear()
        try:
            _prepare(workspace, folder, request)
            process = start_job(workspace, folder, engine)
            supervision = Supervision(
                workspace,
                folder,
                process,
                ledger=NoLedger(),
                limits=limits_of(workspace),
                progress=call.progress,
            )
            return _conclude(workspace, folder, request, supervision.until_end(should_stop))
        finally:
            folder.clear()


def _prepare(workspace: Workspace, folder: JobFolder, request: ExportCheckpoint) -> None:
    for one in (folder.view, folder.start, folder.output):
        one.mkdir()
    weights = folder.start / CHECKPOINT_NAME
    weights.write_bytes(workspace.blobs.read(request.weights))
    for name, image in request.images.items():
        path = folder.view / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(workspace.blobs.read(image))
    job = ExportJob(
        id=request.run,
        view=str(folder.view),
        output=str(folder.output),
        weights=str(weights),
        image_size_px=request.image_size_px,
        threads=workspace.config.training.threads or usable_cores(),
        parameters=request.parameters,
        parity_images=sorted(request.images),
    )
    write_atomic(folder.job_file, encode(job))


def _conclude(
    workspace: Workspace, folder: JobFolder, request: ExportCheckpoint, ended: Ended
) -> Exported:
    failure = error_of(
        ended.ending,
        run=request.run,
        last=ended.told.last,
        limits=limits_of(workspace),
        peak_memory_bytes=ended.peak_memory_bytes,
        log=folder.log_tail(),
    )
    if failure is not None:
        raise failure
    done = ended.told.last
    assert isinstance(done, DoneLine), "only a done line makes a job done"
    model_file = own_file(folder, done.model_file)
    parity_name = ended.told.artifacts.get(PARITY_ARTIFACT)
    parity_file = None if parity_name is None else own_file(folder, parity_name)
    if request.images:
        check_parity_file(parity_file, folder)
    with workspace.blobs.batch() as batch:
        return Exported(
            model_file=batch.put_file(model_file),
            parity=batch.put_file(parity_file) if parity_file and request.images else None,
            declared_licence=done.declared_licence,
        )
