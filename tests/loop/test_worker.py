"""A worker gives back the memory of heavy work, and nothing else."""

import threading
import time

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
