"""Trials in real processes: two workers, early ends, bad endings, a person who stops it."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from sightloop.testing.workspaces import LOCAL_CALL
from sightloop.tracking import store as tracking
from sightloop.tracking.points import metric_history
from sightloop.training.folders import folder_of
from sightloop.training.process import find_process
from sightloop.training.services import CancelRun, cancel_run
from sightloop.training.sweeps.services import ResumeSweep, StopSweep, resume_sweep, stop_sweep
from sightloop.training.sweeps.working import work_on_sweep
from tests.training.sweeps.conftest import begun, quick, shown, worked

pytestmark = pytest.mark.processes


def grid(*choices: object, name: str = "skill") -> dict[str, object]:
    """A sweep that tries these, in this order."""
    return {
        "sampler": "grid",
        "space": {name: {"type": "categorical", "choices": list(choices)}},
        "trials": len(choices),
    }


def states(workspace) -> list[str]:
    return [one.state for one in shown(workspace).trials]


def reasons(workspace) -> list[str]:
    return [one.reason for one in shown(workspace).trials]


def run_of(workspace, number: int):
    with workspace.db.read() as tx:
        return tracking.find_run(tx, f"sweep_1_{number}")


def until(condition, *, timeout_s: float = 20.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def in_background(workspace) -> tuple[threading.Thread, threading.Event]:
    stopping = threading.Event()
    thread = threading.Thread(
        target=work_on_sweep, args=(workspace, "sweep_1"), kwargs={"stopping": stopping}
    )
    thread.start()
    return thread, stopping


def test_two_workers_make_each_trial_once(training, declared, starts):
    begun(training, declared(parallel=2, trials=4, fixed={"run_for_s": 0.3}))
    threads = [in_background(quick(training))[0] for _ in range(2)]
    for thread in threads:
        thread.join()
    facts = shown(training)
    assert states(training) == ["complete"] * 4
    assert starts.read_bytes() == b"...."
    spans = [(one.began_at_ms, one.ended_at_ms) for one in facts.trials]
    assert spans[1][0] < spans[0][1]  # they were made at the same time


def test_values_that_are_no_numbers_and_engines_that_give_up_fail_only_their_trial(
    training, declared, starts
):
    # "nan" is what the engine reports, True is what it refuses as a skill.
    begun(training, declared(**grid("nan", True, 0.5)))
    sweep = worked(quick(training))
    assert sweep.state == "finished"
    assert states(training) == ["failed", "failed", "complete"]
    nan, refused, _ = reasons(training)
    assert nan == "score was never a finite number"
    assert "TRAIN-030" in refused
    assert shown(training).best == [2]
    assert (run_of(training, 0).state, run_of(training, 1).state) == ("finished", "failed")


def test_a_metric_that_nobody_reports_is_named_with_those_there_are(training, declared):
    begun(training, declared(objectives=[{"metric": "mAP"}], give_up_after=1))
    sweep = worked(quick(training))
    assert sweep.state == "failed"
    assert "the run has no metric 'mAP'; it has score, train/loss" in sweep.ended_because


def test_a_model_that_cannot_be_timed_fails_its_trial_and_says_so(training, declared):
    objectives = [{"metric": "score"}, {"metric": "latency_ms", "direction": "minimize"}]
    begun(training, declared(objectives=objectives, trials=1))
    worked(quick(training))
    assert "the exported model cannot be timed" in reasons(training)[0]


def test_a_trial_that_is_behind_is_ended_early_and_says_why(training, declared):
    fixed = {"run_for_s": 5}
    pruner = {"kind": "asha", "min_epochs": 1, "factor": 2}
    begun(training, declared(**grid(0.9, 0.1), epochs=4, pruner=pruner, fixed=fixed))
    began_s = time.monotonic()
    worked(quick(training))
    first, second = shown(training).trials
    assert (first.state, second.state) == ("complete", "pruned")
    assert first.rungs == {1: pytest.approx(0.225), 2: pytest.approx(0.45)}
    assert second.reason.startswith("0.025 after epoch 1 is not among the best 1 of the 2 trials")
    assert time.monotonic() - began_s < 16
    run = run_of(training, 1)
    assert (run.state, run.exit_reason) == ("cancelled", "cancelled")
    assert f"pruned in sweep sweep_1, as {second.reason}" in run.outputs["error"]
    with training.db.read() as tx:
        assert 0 < len(metric_history(tx, run.id, "score")) < 4


def test_a_sweep_that_is_stopped_ends_its_trial_and_makes_it_again(training, declared, starts):
    begun(training, declared(trials=2, fixed={"run_for_s": 1.5}))
    thread, _ = in_background(quick(training))
    until(starts.exists)
    values = shown(training).trials[0].values
    stop_sweep(training, LOCAL_CALL, StopSweep(sweep="sweep_1", reason="lunch"))
    thread.join()
    assert states(training) == ["stopped"]
    assert "sweep sweep_1 is stopped: lunch" in run_of(training, 0).outputs["error"]
    resume_sweep(training, LOCAL_CALL, ResumeSweep(sweep="sweep_1"))
    worked(quick(training))
    assert states(training) == ["complete"] * 2
    assert shown(training).trials[0].values == values
    assert (starts.read_bytes(), run_of(training, 0).attempts) == (b"...", 2)


def test_a_run_that_a_person_cancels_is_a_failed_trial(training, declared, starts):
    begun(training, declared(trials=1, fixed={"run_for_s": 30}))
    thread, _ = in_background(quick(training))
    until(starts.exists)
    cancel_run(training, LOCAL_CALL, CancelRun(run="sweep_1_0"))
    thread.join()
    assert states(training) == ["failed"]
    assert "was cancelled" in reasons(training)[0]


def test_time_that_is_up_ends_what_is_under_way(training, declared):
    begun(training, declared(time_limit_s=2, fixed={"run_for_s": 60}))
    sweep = worked(quick(training))
    assert sweep.ended_because == "the time limit of 2 s was reached"
    assert states(training) == ["stopped"]


def test_a_worker_that_is_killed_costs_no_trial(training, declared, starts, tmp_path):
    begun(training, declared(trials=2, fixed={"run_for_s": 1}))
    script = tmp_path / "worker.py"
    script.write_text(_WORKER)
    lost = subprocess.Popen([sys.executable, script, training.root])
    until(starts.exists)
    os.kill(lost.pid, signal.SIGKILL)
    lost.wait()
    process = find_process(folder_of(training, "sweep_1_0").root)
    assert process is not None
    assert process.is_alive  # the job outlives its worker, and the next one finds it
    worked(quick(training))
    assert states(training) == ["complete"] * 2
    assert starts.read_bytes() == b".."
    assert run_of(training, 0).attempts == 1


_WORKER = """
import sys, threading
from pathlib import Path
from sightloop.kernel.blobs import LocalBlobs
from sightloop.kernel.clock import SystemClock
from sightloop.kernel.config import Config, TrainingConfig, WorkerConfig
from sightloop.kernel.database import Database, sqlite_url
from sightloop.kernel.ids import TimeSortedIds
from sightloop.kernel.workspace import Workspace
from sightloop.training.sweeps.working import work_on_sweep

root, clock = Path(sys.argv[1]), SystemClock()
command = [sys.executable, "-m", "sightloop.testing.tiny_engine"]
training = TrainingConfig(threads=1, commands={"tiny": command})
config = Config(training=training, worker=WorkerConfig(lease_s=0.6, poll_every_s=0.02))
state = root / ".sightloop"
workspace = Workspace(root, config, Database(sqlite_url(state / "sightloop.db")),
                      LocalBlobs(state / "blobs"), clock, TimeSortedIds(clock))
work_on_sweep(workspace, "sweep_1", stopping=threading.Event())
"""


def test_an_engine_that_crashes_is_tried_again_and_then_its_trial_has_failed(
    training, declared, starts, monkeypatch
):
    from sightloop.kernel import steps

    monkeypatch.setattr(steps, "FIRST_RETRY_AFTER_MS", 1)
    begun(training, declared(trials=1, fixed={"exit_with": 3}))
    worked(quick(training))
    assert states(training) == ["failed"]
    assert "exited with status 3" in reasons(training)[0]
    assert starts.read_bytes() == b"." * steps.MAX_ATTEMPTS


def test_the_latency_of_a_real_model_is_an_objective_and_a_metric_of_its_run(training, declared):
    objectives = [
        {"metric": "train/loss", "direction": "minimize"},
        {"metric": "latency_ms", "direction": "minimize"},
    ]
    space = {"level": {"type": "float", "low": 20, "high": 60}}
    begun(
        training, declared(objectives=objectives, space=space, trials=1, fixed={"pretend": False})
    )
    worked(quick(training))
    (trial,) = shown(training).trials
    assert trial.state == "complete", trial.reason
    assert 0 < trial.objectives[1] < 1000
    with training.db.read() as tx:
        (point,) = metric_history(tx, trial.run, "latency_ms")
    assert point.value == trial.objectives[1]
