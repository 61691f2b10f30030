"""From a run to a process: the folder is filled, the engine is started or found again.

Everything here can be done twice. Until `process.json` exists nothing has been trained, so an
interrupted preparation is thrown away and repeated; from then on the job is only ever watched.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from sightloop.contracts.decode import encode
from sightloop.contracts.job import Job, View, ViewImage
from sightloop.datasets.views import WrittenView, write_view
from sightloop.kernel.digests import Digest
from sightloop.kernel.files import write_atomic
from sightloop.kernel.progress import Progress
from sightloop.kernel.workspace import Workspace
from sightloop.tracking.values import Run
from sightloop.training.engines import Engine
from sightloop.training.errors import JobCrashed, NothingToTrainOn
from sightloop.training.folders import JobFolder
from sightloop.training.launcher import ALREADY_RUNNING
from sightloop.training.process import JobProcess, find_process, reap, start_process
from sightloop.training.requests import TrainRequest
from sightloop.training.weights import place_weights

NICENESS = 10
"""Training yields to whatever else the machine does: it has hours, a page has milliseconds."""
START_TIMEOUT_S = 60.0
START_POLL_S = 0.01
WEIGHTS_DIGEST = "weights_digest"
"""Under this parameter a run names the blob with the weights it started from."""


def prepare_job(
    workspace: Workspace,
    folder: JobFolder,
    request: TrainRequest,
    *,
    run: Run,
    progress: Progress,
) -> None:
    """Fill the folder with all an engine needs; `job.json` comes last.

    Raises:
        NothingToTrainOn: the commit has no image to train on, or none to validate on.
    """
    folder.clear()
    written = write_view(
        workspace,
        run.training.dataset_commit,
        folder.view,
        repeats=request.repeats,
        progress=progress,
    )
    _require_images(written.view)
    write_atomic(folder.written_file, msgspec.json.encode(written))
    folder.output.mkdir()
    kept = run.training.parameters.get(WEIGHTS_DIGEST)
    job = Job(
        id=run.id,
        view=str(folder.view),
        output=str(folder.output),
        weights=place_weights(
            workspace,
            request.weights,
            kept=None if kept is None else Digest(kept),
            folder=folder.start,
        ),
        epochs=request.epochs,
        image_size_px=request.image_size_px,
        batch_size=request.batch_size,
        seed=request.seed,
        threads=run.training.threads,
        device=request.device,
        parameters=request.parameters,
        parity_images=choose_parity_images(written.view.images, request.parity_images),
    )
    write_atomic(folder.job_file, encode(job))


def start_job(
    workspace: Workspace,
    folder: JobFolder,
    engine: Engine,
    *,
    variables: Mapping[str, str] | None = None,
) -> JobProcess:
    """The engine's process, known by now to every worker that looks into the folder.

    Args:
        workspace: whose clock is waited by.
        folder: with a job that is prepared.
        engine: the program to start.
        variables: of its environment, that are to differ from ours.

    Raises:
        JobCrashed: the process ended before it could write down who it is.
    """
    command = [*engine.command, str(folder.job_file)]
    pid = start_process(folder.root, command, niceness=NICENESS, variables=variables)
    deadline_s = workspace.clock.monotonic_s() + START_TIMEOUT_S
    while (process := find_process(folder.root)) is None:
        status = reap(pid)
        has_failed = status is not None and status.code != ALREADY_RUNNING
        if has_failed or workspace.clock.monotonic_s() > deadline_s:
            raise JobCrashed(
                run=folder.root.name, how="could not be started", log=folder.log_tail()
            )
        workspace.clock.sleep(START_POLL_S)
    return process


def read_written_view(folder: JobFolder) -> WrittenView:
    """What the view held when it was written, possibly by an earlier worker."""
    return msgspec.json.decode(folder.written_file.read_bytes(), type=WrittenView)


def choose_parity_images(images: list[ViewImage], n_wanted: int) -> list[str]:
    """The files to compare checkpoint and export on: the first of the validation images.

    Files are named after sample ids, which are hashes, so the first ones are no worse a choice
    than any others, and the same on every attempt.
    """
    return sorted(image.file for image in images if image.split == "val")[:n_wanted]


def _require_images(view: View) -> None:
    for split in ("train", "val"):
        if not any(image.split == split for image in view.images):
            raise NothingToTrainOn(dataset_commit=view.dataset_commit, split=split)
