"""`sightloop.autolog`: every training that a script starts with Ultralytics becomes a tracked run.

The settings are its parameters, the losses, rates and validation metrics its curves, and the run
folder (weights, charts, tables, settings) its artifacts. Nothing here can fail a training.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import sightloop
from sightloop.kernel.errors import SightloopError
from sightloop_ultralytics.training import wait_for_charts

if TYPE_CHECKING:
    from sightloop.client.runs import Run

SUFFIXES = frozenset({".csv", ".jpg", ".json", ".pt", ".png", ".yaml"})
"""Of the files in a run folder that are kept."""


class Trainer(Protocol):
    """What is used of Ultralytics' trainer."""

    args: object
    save_dir: Path
    epoch: int
    metrics: Mapping[str, float]
    lr: Mapping[str, float]
    tloss: object

    def label_loss_items(self, loss_items: object, prefix: str) -> dict[str, float]:
        """The losses by name."""
        ...


class Tracked:
    """One training and its run."""

    def __init__(self, trainer: Trainer, run: Run) -> None:
        self.run = run
        self._is_in_epoch = False
        self._told: Mapping[str, float] = trainer.metrics  # zeros, before the first validation

    def begin_epoch(self) -> None:
        """What comes at the epoch's end is this epoch's."""
        self._is_in_epoch = True

    def end_epoch(self, trainer: Trainer) -> None:
        """Log the epoch, under the names that the engine's own runs have.

        Ultralytics calls this once more after it has validated the best weights again; those
        numbers go under `best/`.
        """
        if not self._is_in_epoch:
            best = {f"best/{name}": value for name, value in trainer.metrics.items()}
            self.run.log(best, step=trainer.epoch)
            return
        self._is_in_epoch = False
        losses = trainer.label_loss_items(trainer.tloss, prefix="train")
        # Without a validation in this epoch, the trainer still holds an earlier one's metrics.
        metrics = {} if trainer.metrics is self._told else trainer.metrics
        self._told = trainer.metrics
        self.run.log({**losses, **trainer.lr, **metrics}, step=trainer.epoch + 1)

    def keep_folder(self, trainer: Trainer) -> None:
        """Keep the run folder's files under the names they have in it."""
        wait_for_charts()
        folder = Path(trainer.save_dir)
        for file in sorted(folder.rglob("*")):
            if file.suffix in SUFFIXES and file.is_file():
                self.run.log_artifact(file, file.relative_to(folder).as_posix())


_tracked: dict[int, Tracked] = {}
"""By the trainer's identity, from its begin to its teardown."""


# Functions of the module, not methods: with several GPUs Ultralytics pickles callbacks by name
# into the processes that train.
def on_pretrain_routine_end(trainer: Trainer) -> None:
    """The run begins."""
    arguments = vars(trainer.args)
    try:
        run = sightloop.run(
            Path(str(arguments.get("project") or "ultralytics")).name,
            name=Path(trainer.save_dir).name,
            params={key: value for key, value in arguments.items() if value is not None},
            tags={"sightloop.autolog": "ultralytics", "ultralytics.folder": trainer.save_dir},
        )
    except SightloopError as error:
        sys.stderr.write(f"sightloop: this training is not tracked: {error}\n")
        return
    place = run.url or f"`sightloop runs show {run.id}`"
    sys.stderr.write(f"sightloop: tracking as {run.id}, {place}\n")
    _tracked[id(trainer)] = Tracked(trainer, run)


def on_train_epoch_start(trainer: Trainer) -> None:
    """An epoch begins."""
    if tracked := _tracked.get(id(trainer)):
        tracked.begin_epoch()


def on_fit_epoch_end(trainer: Trainer) -> None:
    """An epoch, or the last validation, is over."""
    if tracked := _tracked.get(id(trainer)):
        tracked.end_epoch(trainer)


def on_train_end(trainer: Trainer) -> None:
    """The training came to its end."""
    if tracked := _tracked.pop(id(trainer), None):
        tracked.keep_folder(trainer)
        tracked.run.finish()


def teardown(trainer: Trainer) -> None:
    """Whatever ended the training: when it was an error, the run has failed by it."""
    if tracked := _tracked.pop(id(trainer), None):
        error = sys.exc_info()[1]
        tracked.keep_folder(trainer)
        reason = f"{type(error).__name__}: {error}"[:2000]
        tracked.run.finish(
            "cancelled" if isinstance(error, KeyboardInterrupt) else "failed", reason
        )


CALLBACKS: dict[str, Callable[[Trainer], None]] = {
    "on_pretrain_routine_end": on_pretrain_routine_end,
    "on_train_epoch_start": on_train_epoch_start,
    "on_fit_epoch_end": on_fit_epoch_end,
    "on_train_end": on_train_end,
    "teardown": teardown,
}


def install() -> str:
    """From now on every training of this process is tracked; what that means, in a word."""
    from ultralytics import __version__
    from ultralytics.utils import callbacks

    defaults = callbacks.base.default_callbacks
    if teardown not in defaults["teardown"]:
        for event, callback in CALLBACKS.items():
            defaults[event].append(callback)
        _cover_older_models(callbacks)
    return f"Ultralytics {__version__}"


def _cover_older_models(callbacks: object) -> None:
    """Also those that were made, with the callbacks of that time, before `install`."""
    original = callbacks.add_integration_callbacks  # type: ignore[attr-defined]

    def add(instance: object) -> None:
        original(instance)
        known = instance.callbacks  # type: ignore[attr-defined]
        if "Trainer" in type(instance).__name__:
            for event, callback in CALLBACKS.items():
                if callback not in known[event]:
                    known[event].append(callback)

    callbacks.add_integration_callbacks = add  # type: ignore[attr-defined]
