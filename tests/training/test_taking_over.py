"""A job outlives its worker: whatever happens to the worker, the run is made once."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from sightloop.kernel import events, steps
from sightloop.kernel.clock import SystemClock
from sightloop.kernel.steps import Lane, StepSpec, StepState
from sightloop.kernel.worker import Interrupted, StepControl, StepWorker
from sightloop.kernel.workspace import Call, Workspace
from sightloop.testing.faults import CrashPlan, SimulatedCrash, crashing
from sightloop.testing.workspaces import LOCAL_CALL
from sightloop.tracking import store as tracking
from sightloop.tracking.points import metric_history
from sightloop.tracking.values import Run
from sightloop.training import store
from sightloop.training.errors import OutOfMemory
from sightloop.training.folders import JobFolder, claimed, folder_of
from sightloop.training.process import find_process
from sightloop.training.requests import TrainRequest
from sightloop.training.services import TRAIN_STEP, train, train_step

pytestmark = pytest.mark.processes
RequestOf = Callable[..., TrainRequest]
CLOCK = SystemClock()


@pytest.fixture
def starts(tmp_path: Path) -> Path:
    """Has a byte for each start of the engine."""
    return tmp_path / "starts"


def control() -> StepControl:
    return StepControl(threading.Event())


def interrupted_at(
    workspace: Workspace, request: TrainRequest, *, epoch: int, lost: bool = False
) -> None:
    """Train until the epoch was told of, then stop the worker and leave the job alone."""
    ours = control()

    def stop(what: str, done: int, _total: int) -> None:
        if what == "epochs" and done >= epoch:
            (ours.lost if lost else ours.stopping).set()

    with pytest.raises(Interrupted, match="run_1 was interrupted"):
        train(workspace, Call(LOCAL_CALL.actor, stop), request, control=ours)


def check_made_once(workspace: Workspace, run: Run, starts: Path, *, n_starts: int = 1) -> None:
    with workspace.db.read() as tx:
        points = metric_history(tx, run.id, "train/loss")
        told = [event.kind for event in events.history(tx, subject=run.id)]
        assert store.look_up_job(tx, run.id) is None
    assert [point.step for point in points] == [1, 2, 3]
    assert told.count("run.finished") == 1
    assert starts.read_bytes() == b"." * n_starts
    assert (run.state, run.attempts) == ("finished", n_starts)
    assert not folder_of(workspace, run.id).root.exists()


@pytest.mark.parametrize("lost", [False, True])
def test_a_job_goes_on_when_its_worker_stops_and_is_taken_up_again(
    training: Workspace, request_of: RequestOf, starts: Path, lost: bool
):
    request = request_of(run_for_s=0.9, starts_file=str(starts))
    interrupted_at(training, request, epoch=1, lost=lost)
    process = find_process(folder_of(training, "run_1").root)
    assert process is not None
    assert process.is_alive
    check_made_once(training, train(training, LOCAL_CALL, request, control=control()), starts)


def test_a_job_that_ended_unwatched_is_recorded_by_the_next_worker(
    training: Workspace, request_of: RequestOf, starts: Path
):
    request = request_of(run_for_s=0.3, starts_file=str(starts))
    interrupted_at(training, request, epoch=1)
    process = find_process(folder_of(training, "run_1").root)
    assert process is not None
    while process.is_alive:
        time.sleep(0.01)
    check_made_once(training, train(training, LOCAL_CALL, request, control=control()), starts)


def test_a_crash_before_any_write_leaves_a_run_that_is_made_once(
    training: Workspace, request_of: RequestOf, tmp_path: Path
):
    crashes = 0
    while True:
        starts = tmp_path / f"starts_{crashes}"
        request = request_of(run=f"run_{crashes}", starts_file=str(starts))
        try:
            train(
                crashing(training, CrashPlan(before_write=crashes)),
                LOCAL_CALL,
                request,
                control=control(),
            )
            break
        except SimulatedCrash:
            crashes += 1
        run = train(training, LOCAL_CALL, request, control=control())
        check_made_once(training, run, starts)
    assert crashes >= 4  # environment, start, artifacts and end are written at least


def test_kill_minus_nine_of_the_worker_loses_nothing(
    training: Workspace, request_of: RequestOf, starts: Path, tmp_path: Path
):
    request = request_of(run_for_s=1.5, starts_file=str(starts))
    script = tmp_path / "worker.py"
    script.write_text(_WORKER)
    worker = subprocess.Popen(
        [sys.executable, script, training.root, msgspec.json.encode(request).decode()]
    )
    folder = folder_of(training, "run_1")
    while not folder.events_file.exists():
        assert worker.poll() is None, "the worker ended by itself"
        time.sleep(0.01)
    worker.kill()
    worker.wait()
    process = find_process(folder.root)
    assert process is not None
    assert process.is_alive
    check_made_once(training, train(training, LOCAL_CALL, request, control=control()), starts)


_WORKER = """
import sys, threading
from pathlib import Path
import msgspec
from sightloop.kernel.blobs import LocalBlobs
from sightloop.kernel.clock import SystemClock
from sightloop.kernel.config import Config, TrainingConfig
from sightloop.kernel.database import Database, sqlite_url
from sightloop.kernel.ids import TimeSortedIds
from sightloop.kernel.worker import StepControl
from sightloop.kernel.workspace import Workspace
from sightloop.testing.workspaces import LOCAL_CALL
from sightloop.training.requests import TrainRequest
from sightloop.training.services import train

root, clock = Path(sys.argv[1]), SystemClock()
command = [sys.executable, "-m", "sightloop.testing.tiny_engine"]
config = Config(training=TrainingConfig(threads=1, commands={"tiny": command}))
state = root / ".sightloop"
workspace = Workspace(root, config, Database(sqlite_url(state / "sightloop.db")),
                      LocalBlobs(state / "blobs"), clock, TimeSortedIds(clock))
request = msgspec.json.decode(sys.argv[2], type=TrainRequest)
train(workspace, LOCAL_CALL, request, control=StepControl(threading.Event()))
"""


def test_an_engine_killed_while_unwatched_is_recorded_by_the_next_worker(
    training: Workspace, request_of: RequestOf, starts: Path
):
    request = request_of(run_for_s=60, epochs=600, starts_file=str(starts))
    interrupted_at(training, request, epoch=1)
    process = find_process(folder_of(training, "run_1").root)
    assert process is not None
    os.kill(process.record.pid, signal.SIGKILL)
    with pytest.raises(OutOfMemory, match="run run_1 was killed"):
        train(training, LOCAL_CALL, request, control=control())
    with training.db.read() as tx:
        assert tracking.find_run(tx, "run_1").state == "failed"


def test_a_job_whose_folder_is_gone_is_attempted_anew(
    training: Workspace, request_of: RequestOf, starts: Path
):
    request = request_of(run_for_s=0.9, starts_file=str(starts))
    interrupted_at(training, request, epoch=1)
    folder_of(training, "run_1").clear()
    run = train(training, LOCAL_CALL, request, control=control())
    check_made_once(training, run, starts, n_starts=2)


def test_a_half_made_preparation_is_thrown_away(
    training: Workspace, request_of: RequestOf, starts: Path
):
    folder = folder_of(training, "run_1")
    (folder.view / "images").mkdir(parents=True)
    folder.job_file.write_text("{}")
    run = train(training, LOCAL_CALL, request_of(starts_file=str(starts)), control=control())
    check_made_once(training, run, starts)


def test_only_one_worker_at_a_time_has_a_folder(tmp_path: Path):
    first, second = JobFolder(tmp_path / "job", CLOCK), JobFolder(tmp_path / "job", CLOCK)
    with (
        claimed(first, clock=CLOCK, should_stop=lambda: False),
        pytest.raises(Interrupted),
        claimed(second, clock=CLOCK, should_stop=lambda: True),
    ):
        raise AssertionError


def test_a_folder_is_free_once_its_worker_let_go(tmp_path: Path):
    folder = JobFolder(tmp_path / "job", CLOCK)
    with claimed(folder, clock=CLOCK, should_stop=lambda: True):
        (folder.root / "job.json").touch()
        folder.clear()
    assert not folder.root.exists()
    with claimed(folder, clock=CLOCK, should_stop=lambda: True):
        assert folder.root.is_dir()


def ask_for_training(workspace: Workspace, inputs: dict[str, object]) -> StepWorker:
    spec = StepSpec(TRAIN_STEP, 1, inputs, Lane.HEAVY)
    with workspace.db.write() as tx:
        steps.ask_for(tx, spec, now_ms=workspace.clock.now_ms())
    return StepWorker(
        workspace,
        {TRAIN_STEP: train_step},
        owner="w1",
        lane=Lane.HEAVY,
        stopping=threading.Event(),
    )


def only_step(workspace: Workspace) -> steps.Step:
    with workspace.db.read() as tx:
        (step,) = steps.every(tx)
    return step


def test_the_step_trains_and_names_its_run(
    training: Workspace, request_of: RequestOf, starts: Path
):
    request = request_of(starts_file=str(starts))
    ask_for_training(training, msgspec.to_builtins(request)).run_next()
    step = only_step(training)
    assert (step.state, step.runs, step.output) == (StepState.DONE, 1, {"run": "run_1"})
    with training.db.read() as tx:
        run = tracking.find_run(tx, "run_1")
    check_made_once(training, run, starts)


def test_a_step_whose_engine_gave_up_is_not_tried_again(training: Workspace, request_of: RequestOf):
    inputs = msgspec.to_builtins(request_of(fail="no"))
    ask_for_training(training, inputs).run_next()
    step = only_step(training)
    assert step.state is StepState.FAILED
    assert "TRAIN-030" in (step.error or "")


def test_a_step_whose_engine_crashed_is_tried_again(training: Workspace, request_of: RequestOf):
    inputs = msgspec.to_builtins(request_of(exit_with=3))
    ask_for_training(training, inputs).run_next()
    step = only_step(training)
    assert step.state is StepState.WAITING
    assert "TRAIN-031" in (step.error or "")


def test_a_step_with_inputs_that_are_no_request_fails(training: Workspace):
    ask_for_training(training, {"epoch": 3}).run_next()
    step = only_step(training)
    assert step.state is StepState.FAILED
    assert "TRAIN-010" in (step.error or "")
