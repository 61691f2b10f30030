"""Real trainings of YOLO26, as small as they get: the slowest tests there are.

Weights start from a checkpoint whose class scores were made large, because after one epoch from
nothing a model finds nothing, and an export that agrees on nothing proves nothing.
"""

import fcntl
import json
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from sightloop.contracts.bundle import HeadLayout, Thresholds
from sightloop.contracts.decode import decode, encode
from sightloop.contracts.job import (
    CANCELLED_CODE,
    CHECKPOINT_ARTIFACT,
    MODEL_ARTIFACT,
    PARITY_ARTIFACT,
    DoneLine,
    ExportJob,
    FailedLine,
    Job,
    JobLine,
    Parity,
    View,
)
from sightloop.datasets.views import write_view
from sightloop.inference.detector import open_model
from sightloop.inference.images import decode_picture
from sightloop.kernel.blobs import LocalBlobs
from sightloop.kernel.clock import SystemClock
from sightloop.kernel.config import STATE_FOLDER, Config, TrainingConfig
from sightloop.kernel.database import Database, sqlite_url
from sightloop.kernel.digests import Digest
from sightloop.kernel.worker import StepControl
from sightloop.kernel.workspace import Workspace
from sightloop.testing.blob_commits import CLASSES, commit_blobs
from sightloop.testing.clock import CountingIds
from sightloop.testing.workspaces import LOCAL_CALL, fresh_workspace
from sightloop.tracking import store as tracking
from sightloop.tracking.artifacts import artifacts_of
from sightloop.tracking.points import latest_metrics
from sightloop.tracking.values import Run
from sightloop.training.folders import JobFolder
from sightloop.training.reproducing.originals import read_original
from sightloop.training.reproducing.planning import Choices
from sightloop.training.reproducing.rebuilding import rebuilt
from sightloop.training.requests import TrainRequest
from sightloop.training.services import train

pytestmark = [pytest.mark.torch, pytest.mark.processes]

N_REPEATS = 2
"""How often an epoch shows each training image."""

# One interpreter does all that needs torch but trains nothing to its end: importing it is slow.
_WORKSHOP = """
import os, signal, sys, threading, time
from pathlib import Path
from sightloop_ultralytics.__main__ import main

def run(name):
    return main([str(Path(sys.argv[1]) / name / "job.json")])

def cancel_when_training(events):
    while '"what":"training"' not in (events.read_text() if events.exists() else ""):
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGTERM)

run("damaged")
run("segments")
events = Path(sys.argv[1]) / "cancelled" / "output" / "events.jsonl"
threading.Thread(target=cancel_when_training, args=(events,)).start()
run("cancelled")

import torch
from ultralytics import YOLO
from ultralytics.data.utils import check_image
from ultralytics.nn.tasks import DetectionModel

check_image(str(Path(sys.argv[1]) / "trailing" / "link.jpg"))

torch.manual_seed(0)
model = DetectionModel("yolo26n.yaml", nc=2, verbose=False)
model.names = {0: "scratch", 1: "dent"}
norms = [one for one in model.modules() if isinstance(one, torch.nn.BatchNorm2d)]
for norm in norms:
    norm.momentum = 1.0  # one batch is then all it takes to know what is normal
model.train()
with torch.no_grad():
    model(torch.rand(8, 3, 64, 64))
for norm in norms:
    norm.momentum = 0.03
for branch in (model.model[-1].cv3, model.model[-1].one2one_cv3):
    for scale in branch:
        scale[-1].weight.data.normal_(0, 0.5)
        scale[-1].bias.data.fill_(-3)
loud = YOLO("yolo26n.yaml")
loud.model = model
loud.save(str(Path(sys.argv[1]) / "loud.pt"))
"""


class Bench(NamedTuple):
    """What the tests share: a workspace, its commit as a view, and jobs that were run on it."""

    workspace: Workspace
    commit: Digest
    folder: Path

    @property
    def home(self) -> Path:
        """The home directory of whoever runs the jobs."""
        return self.folder / "home"

    def write_job(self, name: str, **changes: object) -> Path:
        """The folder of a new job on the view."""
        folder = self.folder / name
        (folder / "output").mkdir(parents=True)
        view = self.folder / "view"
        images = sorted(path.name for path in (view / "images").iterdir())
        fields = {
            "id": name,
            "view": str(view),
            "output": str(folder / "output"),
            "weights": str(self.folder / "loud.pt"),
            "epochs": 1,
            "image_size_px": 64,
            "batch_size": 4,
            "seed": 3,
            "threads": 1,
            "parity_images": [f"images/{image}" for image in images[:3]],
        }
        (folder / "job.json").write_bytes(encode(Job(**(fields | changes))))
        return folder

    def run(self, *command: object) -> None:
        """Run Python at home, where nothing may be left."""
        environment = {**os.environ, "HOME": str(self.home), "TMPDIR": str(self.home / "tmp")}
        done = subprocess.run(
            [sys.executable, *map(str, command)],
            env=environment,
            cwd=self.folder,
            check=False,
            capture_output=True,
        )
        assert done.returncode == 0, done.stderr.decode()[-3000:]

    def last_line(self, name: str) -> JobLine:
        """How the job of that name ended."""
        events = (self.folder / name / "output" / "events.jsonl").read_bytes()
        return msgspec.json.decode(events.splitlines()[-1], type=JobLine)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Everything that was trained; made once, however many workers pytest has."""
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "yolo26"
    root.mkdir(exist_ok=True)
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / "commit").exists():
            (root / "commit").write_text(make_everything(root))
    workspace = open_workspace(root / "workspace")
    yield Bench(workspace, Digest((root / "commit").read_text()), root)
    workspace.db.close()


@pytest.fixture(scope="module")
def run(bench: Bench) -> Run:
    """A training by the core's own service, with everything at its default."""
    with bench.workspace.db.read() as tx:
        return tracking.find_run(tx, "run_1")


@pytest.fixture(scope="module")
def again(bench: Bench) -> Path:
    """The output of the same training once more: no charts, the other head exported."""
    return bench.folder / "again" / "output"


def make_everything(root: Path) -> Digest:
    """Train what the tests look at; returns the commit it was trained on."""
    config = Config(training=TrainingConfig(threads=1))
    workspace = fresh_workspace(root / "workspace", config=config, clock=SystemClock())
    commit = commit_blobs(workspace, n_images=12)
    write_view(workspace, commit, root / "view", repeats={"": N_REPEATS})
    bench = Bench(workspace, commit, root)
    settings = bench.home / ".config/Ultralytics/settings.json"
    settings.parent.mkdir(parents=True)
    settings.write_text('{"sync": true}')
    (bench.home / "tmp").mkdir()
    (root / "damaged.pt").write_bytes(b"these are no weights")
    make_trailing_bytes(root / "trailing", next((root / "view/images").iterdir()))
    bench.write_job("damaged", weights=str(root / "damaged.pt"))
    bench.write_job("segments", weights="yolo26n-seg.yaml")
    bench.write_job("cancelled", weights="yolo26n.yaml", epochs=50)
    bench.run("-c", _WORKSHOP, root)
    request = TrainRequest(
        run="run_1",
        experiment="blobs",
        name="first",
        dataset_commit=commit,
        weights=str(root / "loud.pt"),
        epochs=1,
        image_size_px=64,
        batch_size=4,
        seed=3,
        repeats={"": N_REPEATS},
        parity_images=3,
    )
    train(workspace, LOCAL_CALL, request, control=StepControl(threading.Event()))
    folder = bench.write_job("again", parameters={"plots": False, "head": "end_to_end"})
    bench.run("-m", "sightloop_ultralytics", folder / "job.json")
    bench.run("-m", "sightloop_ultralytics", write_export(bench, folder) / "job.json")
    workspace.db.close()
    return commit


def write_export(bench: Bench, training: Path) -> Path:
    """The folder of a job that exports what the training left, and nothing more."""
    folder = bench.folder / "exported"
    (folder / "output").mkdir(parents=True)
    trained = decode((training / "job.json").read_bytes(), Job, what="job.json")
    job = ExportJob(
        id="exported",
        view=trained.view,
        output=str(folder / "output"),
        weights=str(training / "output/train/weights/best.pt"),
        image_size_px=trained.image_size_px,
        threads=trained.threads,
        parameters={"head": "end_to_end"},
        parity_images=trained.parity_images,
    )
    (folder / "job.json").write_bytes(encode(job))
    return folder


def make_trailing_bytes(folder: Path, image: Path) -> None:
    """A JPEG as some cameras write it, with more after its end, and a link to it."""
    folder.mkdir()
    (folder / "original.jpg").write_bytes(image.read_bytes() + b"more")
    (folder / "link.jpg").symlink_to(folder / "original.jpg")


def open_workspace(root: Path) -> Workspace:
    """The workspace another worker of pytest may have made."""
    state = root / STATE_FOLDER
    database = Database(sqlite_url(state / "sightloop.db"))
    blobs = LocalBlobs(state / "blobs")
    return Workspace(root, Config(), database, blobs, SystemClock(), CountingIds())


def artifact(bench: Bench, run: Run, name: str) -> Path:
    with bench.workspace.db.read() as tx:
        return bench.workspace.blobs.local_path(artifacts_of(tx, run.id)[name])


def check_agreement(bench: Bench, model_file: Path, parity_file: Path, head: HeadLayout) -> None:
    """The exported file finds what the checkpoint found, box by box."""
    detector = open_model(model_file, thresholds=Thresholds(score=0.25), threads=1)
    assert detector.facts.head == head
    parity = decode(parity_file.read_bytes(), Parity, what="parity")
    assert sum(len(answer.detections) for answer in parity.answers) > 5
    for answer in parity.answers:
        content = (bench.folder / "view" / answer.file).read_bytes()
        found = detector.detect(decode_picture(content, name=answer.file))
        assert [one.class_index for one in found] == [one.class_index for one in answer.detections]
        for ours, theirs in zip(found, answer.detections, strict=True):
            assert ours.score == pytest.approx(theirs.score, abs=1e-4)
            assert (ours.x1, ours.y1, ours.x2, ours.y2) == pytest.approx(
                (theirs.x1, theirs.y1, theirs.x2, theirs.y2), abs=0.01
            )


def weights_in(checkpoint: Path) -> list[bytes]:
    """The tensors of a checkpoint, without the pickle around them, which has a date."""
    with zipfile.ZipFile(checkpoint) as archive:
        names = sorted(name for name in archive.namelist() if "/data/" in name)
        return [archive.read(name) for name in names]


def test_a_run_keeps_the_model_and_all_that_ultralytics_drew(bench: Bench, run: Run):
    with bench.workspace.db.read() as tx:
        kept = set(artifacts_of(tx, run.id))
    charts = {"results.png", "labels.jpg", "confusion_matrix.png", "BoxPR_curve.png"}
    assert run.state == "finished"
    assert {MODEL_ARTIFACT, CHECKPOINT_ARTIFACT, PARITY_ARTIFACT, "engine.log"} <= kept
    assert charts | {"args.yaml", "results.csv", "train_batch0.jpg"} <= kept


def test_a_run_reports_its_curves_as_ultralytics_names_them(bench: Bench, run: Run):
    with bench.workspace.db.read() as tx:
        latest = latest_metrics(tx, run.id)
    assert {"train/box_loss", "val/box_loss", "lr/pg0", "metrics/mAP50(B)"} <= set(latest)
    assert latest["metrics/mAP50(B)"].step == latest["best/metrics/mAP50(B)"].step == 1


def test_a_run_says_what_made_it_and_under_which_licence(run: Run):
    assert run.outputs["engine_version"].startswith("ultralytics 8.")
    assert run.outputs["declared_licence"].startswith("AGPL-3.0")
    assert run.inputs.engine_version.startswith("sightloop-ultralytics ")


def test_the_exported_model_knows_classes_and_size_but_not_where_it_was_made(
    bench: Bench, run: Run
):
    path = artifact(bench, run, MODEL_ARTIFACT)
    detector = open_model(path, thresholds=Thresholds(score=0.25), threads=1)
    assert detector.facts.class_names == list(CLASSES)
    assert detector.facts.input.width_px == detector.facts.input.height_px == 64
    assert str(bench.folder).encode() not in path.read_bytes()


def test_the_raw_head_answers_as_the_checkpoint_does(bench: Bench, run: Run):
    check_agreement(
        bench,
        artifact(bench, run, MODEL_ARTIFACT),
        artifact(bench, run, PARITY_ARTIFACT),
        "raw",
    )


def test_the_end_to_end_head_answers_as_the_checkpoint_does(bench: Bench, again: Path):
    check_agreement(bench, again / "model.onnx", again / "parity.json", "end_to_end")


def test_a_checkpoint_that_is_exported_alone_gives_the_file_its_training_gave(
    bench: Bench, again: Path
):
    output = bench.folder / "exported" / "output"
    assert (output / "model.onnx").read_bytes() == (again / "model.onnx").read_bytes()
    assert (output / "parity.json").read_bytes() == (again / "parity.json").read_bytes()
    last = bench.last_line("exported")
    assert isinstance(last, DoneLine)
    assert (last.checkpoint, last.declared_licence[:8]) == ("", "AGPL-3.0")


def test_an_export_writes_nothing_beside_the_checkpoint_it_was_given(again: Path):
    weights = sorted(path.name for path in (again / "train/weights").iterdir())
    assert weights == ["best.pt", "last.pt"]


def test_training_twice_gives_the_same_weights_bit_for_bit(bench: Bench, run: Run, again: Path):
    first = weights_in(artifact(bench, run, CHECKPOINT_ARTIFACT))
    second = weights_in(again / "train/weights/best.pt")
    assert len(first) > 100
    assert first == second
    assert first != weights_in(bench.folder / "loud.pt")


def test_nothing_is_written_outside_the_jobs_folder(bench: Bench, again: Path):
    left = [path for path in bench.home.rglob("*") if path.is_file()]
    assert left == [bench.home / ".config/Ultralytics/settings.json"]
    assert left[0].read_text() == '{"sync": true}'
    job_folder = again.parent
    assert sorted(path.name for path in job_folder.iterdir()) == ["job.json", "output"]


def test_the_users_settings_of_ultralytics_are_not_used(again: Path):
    settings = json.loads((again / "work/config/Ultralytics/settings.json").read_text())
    assert not any(value is True for value in settings.values())


def test_an_epoch_shows_repeated_images_as_often_as_asked(bench: Bench, again: Path):
    view = decode((bench.folder / "view/view.json").read_bytes(), View, what="view")
    n_train = sum(image.split == "train" for image in view.images)
    last = bench.last_line("again")
    assert isinstance(last, DoneLine)
    assert last.details["n_train_images"] == n_train * N_REPEATS
    assert last.details["n_val_images"] == len(view.images) - n_train


def test_ultralytics_mends_an_image_without_touching_the_one_it_was_given(bench: Bench):
    folder = bench.folder / "trailing"
    assert not (folder / "link.jpg").is_symlink()
    assert (folder / "original.jpg").read_bytes().endswith(b"more")


def test_damaged_weights_are_named_in_the_last_line(bench: Bench):
    last = bench.last_line("damaged")
    assert isinstance(last, FailedLine)
    assert last.code == "ENGINE-022"
    assert "damaged.pt cannot be loaded" in last.message


def test_weights_of_another_task_are_refused(bench: Bench):
    last = bench.last_line("segments")
    assert isinstance(last, FailedLine)
    assert last.code == "ENGINE-023"
    assert "for the task 'segment'" in last.message


def test_sigterm_ends_a_training_between_two_batches(bench: Bench):
    last = bench.last_line("cancelled")
    assert isinstance(last, FailedLine)
    assert last.code == CANCELLED_CODE


def test_the_last_line_tells_what_decided_the_numbers(run: Run):
    told = {name.removeprefix("details."): value for name, value in run.outputs.items()}
    assert told["start_weights"].startswith("sha256:")
    assert told["torch_threads"] == str(run.training.threads)
    assert (told["torch_device"], told["is_deterministic"]) == ("cpu", "True")
    assert told["cpu_capability"]


def test_a_run_made_again_from_its_record_learns_the_same_bit_for_bit(
    bench: Bench, run: Run, tmp_path: Path
):
    workspace = bench.workspace
    original = read_original(workspace, run.id)
    folder = JobFolder(tmp_path / "somewhere else", workspace.clock)
    folder.root.mkdir()
    with rebuilt(workspace, LOCAL_CALL, original, folder, Choices(environment="this")) as second:
        assert (second.weights, len(second.tensors or [])) == (run.outputs["weights"], 708)
        model_file = second.model_file.read_bytes()
    assert model_file == artifact(bench, run, MODEL_ARTIFACT).read_bytes()
    # A checkout with files that Git does not track yet is told of; nothing else differs.
    told = {one.what for one in second.differences}
    assert told <= {"uncommitted changes to the code"}
    assert not [*folder.root.iterdir()]
