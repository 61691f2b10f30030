"""The everyday snippet, tracked by one line. Real trainings, in a process of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from sightloop.kernel.workspace import Workspace
from sightloop.testing.workspaces import LOCAL_CALL
from sightloop.tracking.points import metric_history
from sightloop.tracking.services import ListRuns, RunFacts, ShowRun, list_runs, show_run
from sightloop.wiring import create_workspace
from sightloop_ultralytics.autolog import Tracked

SNIPPET = """
import sightloop_ultralytics.autolog as integration  # what the entry point names
from ultralytics import YOLO

early = YOLO("yolo26n.yaml")
print(integration.install(), integration.install())
arguments = dict(data={data!r}, imgsz=64, batch=4, project={project!r}, exist_ok=True, plots=False)
early.train(epochs=2, name="run_v1", **arguments)
late = YOLO("yolo26n.yaml")

def fail(trainer):
    raise RuntimeError("the card fell out")

late.add_callback("on_train_batch_end", fail)
try:
    late.train(epochs=1, name="run_v2", **arguments)
except RuntimeError as error:
    print(error)
"""


@dataclass
class PlayedTrainer:
    """What is seen of Ultralytics' trainer, at a moment the test chooses."""

    metrics: dict[str, float]
    epoch: int = 0
    save_dir: Path = Path()
    args: object = field(default_factory=SimpleNamespace)
    lr: dict[str, float] = field(default_factory=lambda: {"lr/pg0": 0.01})
    tloss: object = None

    def label_loss_items(self, _: object, prefix: str) -> dict[str, float]:
        return {f"{prefix}/box_loss": 1.5}


class Notes:
    """Takes what would be logged."""

    def __init__(self) -> None:
        self.logged: list[tuple[int, dict[str, float]]] = []

    def log(self, metrics: dict[str, float], *, step: int) -> None:
        self.logged.append((step, metrics))


def test_metrics_of_an_earlier_validation_are_not_logged_again():
    trainer, notes = PlayedTrainer(metrics={"ap": 0.0}), Notes()
    tracked = Tracked(trainer, notes)  # type: ignore[arg-type]
    for epoch, metrics in enumerate([None, {"ap": 0.5}, None]):
        tracked.begin_epoch()
        trainer.epoch, trainer.metrics = epoch, metrics or trainer.metrics
        tracked.end_epoch(trainer)
    trainer.epoch, trainer.metrics = 3, {"ap": 0.6}
    tracked.end_epoch(trainer)
    assert [(step, logged.get("ap")) for step, logged in notes.logged[:3]] == [
        (1, None),
        (2, 0.5),
        (3, None),
    ]
    assert notes.logged[3] == (3, {"best/ap": 0.6})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    opened = create_workspace(tmp_path_factory.mktemp("place") / "workspace", {})
    yield opened
    opened.db.close()


@pytest.fixture(scope="module")
def played(place: Workspace) -> str:
    """What the script printed."""
    root = place.root.parent
    data = write_data(root / "data")
    script = SNIPPET.format(data=str(data), project=str(root / "runs" / "mlops_experiments"))
    environment = os.environ | {
        "SIGHTLOOP_SPOOL": str(root),
        "YOLO_CONFIG_DIR": str(root),
        "YOLO_OFFLINE": "true",
    }
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=place.root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def write_data(root: Path) -> Path:
    rng = np.random.default_rng(0)
    for folder in ("images", "labels"):
        (root / folder / "train").mkdir(parents=True)
    for n in range(8):
        picture = rng.integers(0, 60, (64, 64, 3), dtype=np.uint8)
        picture[20:44, 20:44] = (0, 0, 250)
        cv2.imwrite(str(root / "images" / "train" / f"{n}.png"), picture)
        (root / "labels" / "train" / f"{n}.txt").write_text("0 0.5 0.5 0.375 0.375\n")
    (root / "data.yaml").write_text(
        json.dumps(
            {"path": str(root), "train": "images/train", "val": "images/train", "names": ["block"]}
        )
    )
    return root / "data.yaml"


def run_named(place: Workspace, name: str) -> RunFacts:
    runs = list_runs(place, LOCAL_CALL, ListRuns(experiment="mlops_experiments")).runs
    (run,) = (run for run in runs if run.name == name)
    return show_run(place, LOCAL_CALL, ShowRun(run=run.id))


@pytest.mark.torch
@pytest.mark.processes
@pytest.mark.usefixtures("played")
def test_a_plain_training_becomes_a_run_with_everything(place: Workspace):
    shown = run_named(place, "run_v1")
    assert shown.run.state == "finished"
    assert {"epochs": "2", "imgsz": "64", "model": "yolo26n.yaml"}.items() <= shown.params.items()
    wanted = {"weights/best.pt", "weights/last.pt", "args.yaml", "results.csv"}
    assert wanted <= {artifact.name for artifact in shown.artifacts}
    for key in ("train/box_loss", "metrics/mAP50(B)", "val/box_loss", "lr/pg0"):
        with place.db.read() as tx:
            assert [point.step for point in metric_history(tx, shown.run.id, key)] == [1, 2]
    assert "best/metrics/mAP50(B)" in shown.metrics


@pytest.mark.torch
@pytest.mark.processes
def test_a_training_that_fails_is_a_run_that_failed(place: Workspace, played: str):
    assert "the card fell out" in played
    shown = run_named(place, "run_v2")
    assert (shown.run.state, shown.run.exit_reason) == ("failed", "RuntimeError: the card fell out")
    assert "args.yaml" in {artifact.name for artifact in shown.artifacts}
