"""From Ultralytics' callbacks to the lines of the job."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from sightloop.contracts.job import CheckpointLine, MetricLine, ProgressLine
from sightloop.contracts.job_lines import LineWriter
from sightloop.contracts.numbers import to_wire
from sightloop.kernel.clock import Clock

PROGRESS_EVERY_S = 1.0


class Trainer(Protocol):
    """What is used of Ultralytics' trainer."""

    epoch: int
    epochs: int
    fitness: float | None
    metrics: Mapping[str, float]
    lr: Mapping[str, float]
    tloss: Mapping[str, float]
    train_loader: list[object]
    last: Path

    def label_loss_items(self, loss_items: Mapping[str, float], prefix: str) -> dict[str, float]:
        """The losses by name."""
        ...


class Reporter:
    """Writes progress, metrics and checkpoints of one training.

    Ultralytics calls `on_fit_epoch_end` once per epoch and once more after it has validated the
    best weights again; those last numbers are reported under `best/`.
    """

    def __init__(self, writer: LineWriter, output: Path, clock: Clock) -> None:
        self._writer = writer
        self._output = output
        self._clock = clock
        self._n_batches_done = 0
        self._told_at_s = -PROGRESS_EVERY_S
        self._open_epoch: int | None = None
        self._is_validated = False

    def callbacks(self) -> dict[str, Callable[[Trainer], None]]:
        """The functions to register, by the event they belong to."""
        return {
            "on_train_epoch_start": self._begin_epoch,
            "on_train_batch_end": self._end_batch,
            "on_fit_epoch_end": self._end_epoch,
            "on_model_save": self._tell_checkpoint,
        }

    def note_validation(self, _validator: object) -> None:
        """Called when a validation ended: the metrics that follow are this epoch's own."""
        self._is_validated = True

    def _begin_epoch(self, trainer: Trainer) -> None:
        self._open_epoch = trainer.epoch
        self._is_validated = False
        self._n_batches_done = trainer.epoch * len(trainer.train_loader)

    def _end_batch(self, trainer: Trainer) -> None:
        self._n_batches_done += 1
        now_s = self._clock.monotonic_s()
        if now_s - self._told_at_s >= PROGRESS_EVERY_S:
            self._told_at_s = now_s
            self._tell_progress(trainer)

    def _end_epoch(self, trainer: Trainer) -> None:
        if self._open_epoch is None:
            best = {f"best/{name}": value for name, value in trainer.metrics.items()}
            return self._tell_metrics(best, step=trainer.epoch)
        self._open_epoch = None
        losses = trainer.label_loss_items(trainer.tloss, prefix="train")
        # Without a validation in this epoch, the trainer still holds an earlier one's metrics.
        metrics = trainer.metrics if self._is_validated else {}
        self._tell_metrics({**losses, **trainer.lr, **metrics}, step=trainer.epoch + 1)
        return self._tell_progress(trainer)

    def _tell_checkpoint(self, trainer: Trainer) -> None:
        file = str(trainer.last.relative_to(self._output))
        self._writer.write(CheckpointLine(file=file, epoch=trainer.epoch + 1))

    def _tell_metrics(self, metrics: Mapping[str, float], *, step: int) -> None:
        for name, value in metrics.items():
            self._writer.write(MetricLine(name=name, value=to_wire(float(value)), step=step))

    def _tell_progress(self, trainer: Trainer) -> None:
        total = trainer.epochs * len(trainer.train_loader)
        done = min(self._n_batches_done, total)
        self._writer.write(ProgressLine(what="training", done=done, total=total))
