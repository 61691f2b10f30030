"""`python -m sightloop_ultralytics job.json`: one training, from the job to its last line."""

from __future__ import annotations

import shutil
import sys
import traceback
from pathlib import Path

import msgspec

from sightloop.contracts.decode import encode
from sightloop.contracts.job import (
    CANCELLED_CODE,
    PARITY_ARTIFACT,
    ArtifactLine,
    DoneLine,
    ExportJob,
    FailedLine,
    Job,
    ProgressLine,
)
from sightloop.contracts.job_lines import LineWriter, heartbeats, read_any_job, read_view
from sightloop.kernel.clock import SystemClock
from sightloop.kernel.errors import SightloopError
from sightloop_ultralytics.cancelling import Cancellation, Cancelled
from sightloop_ultralytics.dataset_tree import DatasetTree, check_view, write_tree
from sightloop_ultralytics.errors import BadParameter
from sightloop_ultralytics.exporting import MODEL_FILE, export_model
from sightloop_ultralytics.numerics import numerics_of
from sightloop_ultralytics.parameters import Parameters, known_parameters, sort_parameters
from sightloop_ultralytics.parity import answer_images
from sightloop_ultralytics.reporting import Reporter
from sightloop_ultralytics.seclusion import seclude
from sightloop_ultralytics.training import (
    EXPORTED_TASKS,
    Trained,
    keep_threads,
    load_model,
    train,
)
from sightloop_ultralytics.weights import find_weights

UNEXPECTED_CODE = "ENGINE-099"
WORK_FOLDER = "work"
STRIDE_PX = 32


def main(arguments: list[str]) -> int:
    """Do the job named on the command line; 0 when it is done."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m sightloop_ultralytics JOB_FILE\n")
        return 2
    cancellation = Cancellation()
    cancellation.listen()
    job = read_any_job(Path(arguments[0]))
    writer = LineWriter(Path(job.output), SystemClock())
    with heartbeats(writer):
        last = _conclude(job, writer, cancellation)
    writer.write(last)
    return 0 if isinstance(last, DoneLine) else 1


def _conclude(
    job: Job | ExportJob, writer: LineWriter, cancellation: Cancellation
) -> DoneLine | FailedLine:
    try:
        if isinstance(job, ExportJob):
            return _export(job, writer, cancellation)
        return _do(job, writer, cancellation)
    except Cancelled:
        return FailedLine(code=CANCELLED_CODE, message="stopped by SIGTERM")
    except SightloopError as error:
        return FailedLine(code=error.code, message=error.message)
    except Exception as error:  # noqa: BLE001 - the process ends here, and its last line says why
        traceback.print_exc()
        message = f"{type(error).__name__}: {error}; engine.log has the whole story"
        return FailedLine(code=UNEXPECTED_CODE, message=message)


def _do(job: Job, writer: LineWriter, cancellation: Cancellation) -> DoneLine:
    # What can be refused is refused before the seconds that importing torch takes.
    work = Path(job.output) / WORK_FOLDER
    seclude(work)
    parameters = sort_parameters(job.parameters, known_parameters())
    _check_size(job)
    view = read_view(job)
    check_view(view)
    weights = find_weights(job.weights, folder=work / "weights")
    tree = write_tree(view, Path(job.view), folder=work / "data")
    cancellation.check()

    model = load_model(weights)
    cancellation.check()
    trained = train(
        model,
        job,
        parameters,
        tree=tree,
        reporter=Reporter(writer, Path(job.output), SystemClock()),
        cancellation=cancellation,
    )
    numerics = numerics_of(model, weights=weights)  # before the export selects a device anew
    _tell_artifacts(job, writer, trained)
    done = _deliver(job, writer, parameters, best=trained.best, cancellation=cancellation)
    last = _of_training(done, job, tree=tree, trained=trained)
    return msgspec.structs.replace(last, details=last.details | numerics)


def _export(job: ExportJob, writer: LineWriter, cancellation: Cancellation) -> DoneLine:
    """Somebody else's checkpoint as a file, with its own answers to the parity images."""
    work = Path(job.output) / WORK_FOLDER
    seclude(work)
    parameters = sort_parameters(job.parameters, frozenset())
    # The export is written beside the checkpoint, and the job's own is not ours to write to.
    weights = work / Path(job.weights).name
    shutil.copyfile(job.weights, weights)
    cancellation.check()
    return _deliver(job, writer, parameters, best=weights, cancellation=cancellation)


def _check_size(job: Job) -> None:
    if job.image_size_px % STRIDE_PX:
        # Ultralytics would round it up and train a larger model than was asked for.
        problem = f"image_size_px is {job.image_size_px}, not a multiple of {STRIDE_PX}"
        raise BadParameter(problem=problem)


def _deliver(
    job: Job | ExportJob,
    writer: LineWriter,
    parameters: Parameters,
    *,
    best: Path,
    cancellation: Cancellation,
) -> DoneLine:
    """The last line of a job that needs no more than the exported file and the answers."""
    import ultralytics

    cancellation.check()
    model = load_model(str(best), tasks=EXPORTED_TASKS)
    keep_threads(model, job.threads)
    exported = export_model(model, job, parameters.engine)
    writer.write(ProgressLine(what="export", done=1, total=1))
    if job.parity_images:
        _answer(job, writer, parameters, best=best, cancellation=cancellation)
    return DoneLine(
        model_file=MODEL_FILE,
        checkpoint="",
        engine_version=f"ultralytics {ultralytics.__version__}",
        declared_licence=exported.declared_licence,
        details={"head": parameters.engine.head, "opset": parameters.engine.opset},
    )


def _of_training(done: DoneLine, job: Job, *, tree: DatasetTree, trained: Trained) -> DoneLine:
    details = {
        "n_epochs": trained.n_epochs,
        "batch_size": trained.batch_size,
        "n_train_images": tree.n_train,
        "n_val_images": tree.n_val,
    }
    return msgspec.structs.replace(
        done,
        checkpoint=str(trained.best.relative_to(job.output)),
        details=done.details | details,
    )


def _answer(
    job: Job | ExportJob,
    writer: LineWriter,
    parameters: Parameters,
    *,
    best: Path,
    cancellation: Cancellation,
) -> None:
    # Loaded anew: the export has changed the model's layers for good.
    model = load_model(str(best), tasks=EXPORTED_TASKS)
    keep_threads(model, job.threads)
    parity = answer_images(model, job, parameters.engine, cancellation=cancellation)
    (Path(job.output) / PARITY_ARTIFACT).write_bytes(encode(parity))
    writer.write(ArtifactLine(name=PARITY_ARTIFACT, file=PARITY_ARTIFACT))
    writer.write(ProgressLine(what="parity", done=1, total=1))


def _tell_artifacts(job: Job, writer: LineWriter, trained: Trained) -> None:
    """Everything Ultralytics left beside the weights: charts, tables, its own settings."""
    for path in sorted(trained.folder.iterdir()):
        if path.is_file():
            file = str(path.relative_to(job.output))
            writer.write(ArtifactLine(name=path.name, file=file))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
