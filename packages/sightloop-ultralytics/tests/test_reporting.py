from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from sightloop.contracts.job import CheckpointLine, JobLine, MetricLine, ProgressLine
from sightloop.contracts.job_lines import LineWriter
from sightloop.testing.clock import ManualClock
from sightloop_ultralytics.reporting import Reporter


@dataclass
class PlayedTrainer:
    """What the reporter sees of Ultralytics' trainer, at a moment the test chooses."""

    last: Path
    epoch: int = 0
    epochs: int = 2
    fitness: float | None = None
    metrics: dict[str, float] = field(default_factory=lambda: {"metrics/mAP50(B)": 0.5})
    lr: dict[str, float] = field(default_factory=lambda: {"lr/pg0": 0.01})
    tloss: dict[str, float] = field(default_factory=lambda: {"box_loss": 1.5})
    train_loader: list[object] = field(default_factory=lambda: [None, None])

    def label_loss_items(self, loss_items: dict[str, float], prefix: str) -> dict[str, float]:
        return {f"{prefix}/{name}": value for name, value in loss_items.items()}


class Stage:
    """A reporter and the trainer it listens to."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.clock = ManualClock()
        self.trainer = PlayedTrainer(last=output / "train/weights/last.pt")
        self.reporter = Reporter(LineWriter(output, self.clock), output, self.clock)

    def fire(self, event: str) -> None:
        self.reporter.callbacks()[event](self.trainer)

    def play_epoch(self, epoch: int, *, validated: bool = True) -> None:
        self.trainer.epoch = epoch
        self.fire("on_train_epoch_start")
        for _ in self.trainer.train_loader:
            self.clock.advance(1.0)
            self.fire("on_train_batch_end")
        if validated:
            self.reporter.note_validation(None)
        self.fire("on_model_save")
        self.fire("on_fit_epoch_end")

    def lines(self, kind: type[JobLine]) -> list[JobLine]:
        content = (self.output / "events.jsonl").read_bytes()
        read = [msgspec.json.decode(text, type=JobLine) for text in content.splitlines()]
        return [line for line in read if isinstance(line, kind)]

    def metrics(self) -> list[tuple[str, float, int]]:
        return [(line.name, line.measured, line.step) for line in self.lines(MetricLine)]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_an_epoch_reports_losses_rates_and_metrics_under_its_number(stage: Stage):
    stage.play_epoch(0)
    assert stage.metrics() == [
        ("train/box_loss", 1.5, 1),
        ("lr/pg0", 0.01, 1),
        ("metrics/mAP50(B)", 0.5, 1),
    ]


def test_an_epoch_that_was_not_validated_reports_no_metrics_of_an_earlier_one(stage: Stage):
    stage.play_epoch(0)
    stage.play_epoch(1, validated=False)
    assert [name for name, _, step in stage.metrics() if step == 2] == ["train/box_loss", "lr/pg0"]


def test_the_last_validation_of_the_best_weights_is_told_apart(stage: Stage):
    stage.play_epoch(0)
    stage.play_epoch(1)
    stage.trainer.epoch = 2  # as Ultralytics does before it fires once more
    stage.trainer.metrics = {"metrics/mAP50(B)": 0.75}
    stage.fire("on_fit_epoch_end")
    assert stage.metrics()[-1] == ("best/metrics/mAP50(B)", 0.75, 2)


def test_a_metric_may_be_no_number(stage: Stage):
    stage.trainer.tloss = {"box_loss": float("nan")}
    stage.play_epoch(0)
    assert str(stage.metrics()[0][1]) == "nan"


def test_progress_is_counted_in_batches_over_all_epochs(stage: Stage):
    stage.play_epoch(0)
    stage.play_epoch(1)
    told = [(line.done, line.total) for line in stage.lines(ProgressLine)]
    assert told[0] == (1, 4)
    assert told[-1] == (4, 4)
    assert told == sorted(told)


def test_progress_within_an_epoch_is_told_about_once_a_second(stage: Stage):
    stage.trainer.train_loader = [None] * 100
    stage.fire("on_train_epoch_start")
    for _ in range(100):
        stage.clock.advance(0.1)
        stage.fire("on_train_batch_end")
    assert 9 <= len(stage.lines(ProgressLine)) <= 11


def test_a_checkpoint_is_named_from_the_output_folder(stage: Stage):
    stage.play_epoch(0)
    (line,) = stage.lines(CheckpointLine)
    assert isinstance(line, CheckpointLine)
    assert (line.file, line.epoch) == ("train/weights/last.pt", 1)
