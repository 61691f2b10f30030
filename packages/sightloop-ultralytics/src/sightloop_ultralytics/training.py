"""Driving Ultralytics' trainer: what it is given, and what it is kept from doing."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import msgspec

from sightloop.contracts.bundle import Task
from sightloop.contracts.job import Job
from sightloop_ultralytics.cancelling import Cancellation
from sightloop_ultralytics.dataset_tree import DatasetTree
from sightloop_ultralytics.errors import (
    BadParameter,
    ImagesRefused,
    MemoryExhausted,
    WeightsDamaged,
    WrongTask,
)
from sightloop_ultralytics.parameters import EngineSettings, Parameters
from sightloop_ultralytics.reporting import Reporter

if TYPE_CHECKING:
    from ultralytics.models import YOLO

CHARTS_TIMEOUT_S = 60.0
RUN_NAME = "train"
_NO_MEMORY = ("out of memory", "can't allocate memory", "alloc_fail", "bad_alloc")


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """What a training left on the disk."""

    best: Path
    folder: Path
    n_epochs: int
    batch_size: int
    """Smaller than asked for where a GPU's memory was too small for the first batches."""


TRAINED_TASKS: tuple[Task, ...] = ("detect",)
"""Views hold boxes; a checkpoint of any task can be exported."""
EXPORTED_TASKS: tuple[Task, ...] = get_args(Task)


def load_model(weights: str, *, tasks: Sequence[Task] = TRAINED_TASKS) -> YOLO:
    """The model to start from.

    Raises:
        WeightsDamaged: the file is no checkpoint of Ultralytics.
        WrongTask: it is one, of a task that is not among `tasks`.
    """
    from ultralytics.models import YOLO  # takes seconds, and only after the environment is secluded

    try:
        model = YOLO(weights)
    except Exception as error:  # a damaged pickle can raise anything at all
        raise WeightsDamaged(weights=weights, problem=f"{type(error).__name__}: {error}") from error
    if model.task not in tasks:
        raise WrongTask(weights=weights, task=str(model.task))
    return model


def train(
    model: YOLO,
    job: Job,
    parameters: Parameters,
    *,
    tree: DatasetTree,
    reporter: Reporter,
    cancellation: Cancellation,
) -> Trained:
    """Train the model and leave its best weights, its charts and its tables in the output folder.

    Raises:
        BadParameter: Ultralytics refuses a value.
        ImagesRefused: it would not train on all of the images.
        MemoryExhausted: there was not enough memory.
        Cancelled: the job was asked to stop.
    """
    arguments = training_arguments(job, parameters, tree=tree)
    _check_arguments(arguments)
    keep_threads(model, job.threads)
    for event in ("on_train_batch_end", "on_val_batch_end"):
        model.add_callback(event, cancellation.check)
    for event, callback in reporter.callbacks().items():
        model.add_callback(event, callback)
    model.add_callback("on_val_end", reporter.note_validation)
    model.add_callback("on_train_epoch_start", _validate_now_and_then(parameters.engine))
    model.add_callback("on_train_start", _require_all_images(tree))
    try:
        model.train(**arguments)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError) or _tells_of_memory(error):
            raise MemoryExhausted(
                problem=str(error)[:200],
                batch_size=job.batch_size,
                image_size_px=job.image_size_px,
            ) from error
        raise
    wait_for_charts()
    trainer: Any = model.trainer
    return Trained(
        best=trainer.best,
        folder=trainer.save_dir,
        n_epochs=trainer.epoch + 1,
        batch_size=trainer.batch_size,
    )


def training_arguments(job: Job, parameters: Parameters, *, tree: DatasetTree) -> dict[str, Any]:
    """What `YOLO.train` is called with: the job's settings over the parameters'."""
    return parameters.ultralytics | {
        "data": str(tree.data_file),
        "epochs": job.epochs,
        "batch": job.batch_size,
        "imgsz": job.image_size_px,
        "device": job.device,
        "seed": job.seed,
        "project": job.output,
        "name": RUN_NAME,
        "exist_ok": True,
        # The head that will be exported is the one by which the best epoch is chosen.
        "nms": nms_argument(parameters.engine),
    }


def nms_argument(settings: EngineSettings) -> bool | None:
    """How Ultralytics is told which head to use: None for the raw one, False for the other."""
    return None if settings.head == "raw" else False


def keep_threads(model: YOLO, n_threads: int) -> None:
    """Compute with this many threads wherever the model goes from here.

    Ultralytics sets its own number (one, on two cores) whenever it selects a device, so it has
    to be set again after each time: that is where these events are.
    """
    import torch

    def set_threads(_: object) -> None:
        torch.set_num_threads(n_threads)

    for event in ("on_train_start", "on_val_start", "on_predict_start", "on_export_start"):
        model.add_callback(event, set_threads)


def _check_arguments(arguments: dict[str, Any]) -> None:
    from ultralytics.cfg import get_cfg

    try:
        get_cfg(overrides=arguments)
    except (TypeError, ValueError, SyntaxError) as error:
        raise BadParameter(problem=str(error)) from error


def _validate_now_and_then(settings: EngineSettings) -> Any:  # noqa: ANN401 - Ultralytics' callback
    def decide(trainer: Any) -> None:  # noqa: ANN401 - Ultralytics' trainer
        trainer.args.val = (trainer.epoch + 1) % settings.validate_every == 0
        if not trainer.args.val:
            # Else the fitness of the last validated epoch would make these weights the best.
            trainer.fitness = None

    return decide


def _require_all_images(tree: DatasetTree) -> Any:  # noqa: ANN401 - Ultralytics' callback
    def require(trainer: Any) -> None:  # noqa: ANN401 - Ultralytics' trainer
        n_wanted = tree.n_train + tree.n_val
        n_kept = len(trainer.train_loader.dataset) + len(trainer.test_loader.dataset)
        if n_kept < n_wanted and trainer.args.fraction == 1.0:
            raise ImagesRefused(n_refused=n_wanted - n_kept, n_images=n_wanted)

    return require


def _tells_of_memory(error: RuntimeError) -> bool:
    return any(words in str(error).lower() for words in _NO_MEMORY)


def wait_for_charts() -> None:
    """Charts are drawn by threads; a chart that is told of has to be complete."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(CHARTS_TIMEOUT_S)
