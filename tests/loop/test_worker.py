"""A worker gives back the memory of heavy work, and nothing else."""

import signal
import subprocess
import sys
import threading
import time

import pytest

from sightloop.kernel.steps import Lane, Outcome, StepSpec, StepState, ask_for, get
from sightloop.loop.worker import run_worker

RENEW_AFTER_S = 0.2


def ask(workspace, lane: Lane) -> str:
    with workspace.db.write() as tx:
        return ask_for(tx, StepSpec("settle", 1, {"turn": "none"}, lane), now_ms=1).key


def end_after(stopping: threading.Event, seconds: float) -> None:
    threading.Timer(seconds, stopping.set).start()


def test_a_worker_that_did_something_heavy_asks_to_be_started_afresh(workspace):
    ask(workspace, Lane.HEAVY)
    assert run_worker(workspace, stopping=threading.Event(), renew_after_s=RENEW_AFTER_S)


def test_a_worker_that_did_nothing_heavy_goes_on(workspace):
    ask(workspace, Lane.QUICK)
    stopping = threading.Event()
    end_after(stopping, 1.0)
    assert not run_worker(workspace, stopping=stopping, renew_after_s=RENEW_AFTER_S)


def test_a_heavy_step_is_not_cut_short(workspace):
    def slow(*_):
        time.sleep(0.6)
        return Outcome({})

    key = ask(workspace, Lane.HEAVY)
    assert run_worker(
        workspace,
        stopping=threading.Event(),
        renew_after_s=RENEW_AFTER_S,
        handlers={"settle": slow},
    )
    with workspace.db.read() as tx:
        assert get(tx, key).state is StepState.DONE


@pytest.mark.processes
def test_however_often_a_worker_is_told_to_stop_it_stops(workspace):
    command = [sys.executable, "-m", "sightloop.cli.main", "worker"]
    process = subprocess.Popen([*command, "--workspace", str(workspace.root)])
    time.sleep(2.0)  # until it works; a signal before that ends it at once
    for _ in range(200):
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
    try:
        assert process.wait(timeout=20) is not None
    finally:
        process.kill()
