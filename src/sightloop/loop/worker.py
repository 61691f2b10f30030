"""The worker process: takes events, runs steps and does the regular duties until it is stopped.

Libraries that a heavy step loads (the runtime of a model, above all) do not give their memory back;
a process does. So a worker that ran one and has had nothing heavy to do for a while asks to be
started afresh, which costs a second and nothing else: whatever is under way is leased.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable

from sightloop.kernel.errors import SightloopError
from sightloop.kernel.events import handle_next, subscribe, waiting
from sightloop.kernel.steps import Lane
from sightloop.kernel.worker import Handlers, StepWorker
from sightloop.kernel.workspace import Workspace
from sightloop.loop import ticks
from sightloop.loop.handlers import HANDLERS
from sightloop.loop.notifying import NEWS, NEWS_EVENTS, tell_the_news
from sightloop.loop.policy_file import read_policy
from sightloop.loop.reactions import LOOP, REACTIONS, react
from sightloop.loop.settings import is_paused
from sightloop.training.sweeps.tending import tend_sweeps

log = logging.getLogger(__name__)

TICK_S = 0.5
REFRESH_UPDATES_S = 60.0
NEWS_S = 1.0
SWEEPS_S = 2.0
SILENCE_S = 60.0
AFTER_FAILURE_S = 2.0
RENEW_AFTER_S = 20.0
"""For workers that run by themselves."""

Duty = Callable[[Workspace], object]


def run_worker(
    workspace: Workspace,
    *,
    stopping: threading.Event,
    renew_after_s: float | None = None,
    handlers: Handlers = HANDLERS,
) -> bool:
    """Work until `stopping` is set; then finish or give back what is under way.

    It also ends, and returns True, when heavy work has been over for `renew_after_s`: the process
    should be started afresh. None never asks for that.
    """
    with workspace.db.write() as tx:
        subscribe(tx, LOOP, REACTIONS)
        subscribe(tx, NEWS, NEWS_EVENTS)
    owner = f"{socket.gethostname()}:{os.getpid()}"
    workers = {
        lane: StepWorker(workspace, handlers, owner=f"{owner}:{lane}", lane=lane, stopping=stopping)
        for lane in Lane
    }
    is_renewed = threading.Event()

    def renew_when_idle(_workspace: Workspace) -> None:
        heavy = [workers[Lane.HEAVY].last_ended_s, workers[Lane.SWEEP].last_ended_s]
        ended_s = max((one for one in heavy if one is not None), default=None)
        if ended_s is not None and time.monotonic() - ended_s > (renew_after_s or 0.0):
            is_renewed.set()
            stopping.set()

    duties: list[tuple[str, Duty, float]] = [
        *(
            (f"{lane} steps", _run_due(worker, stopping), _poll_s(workspace))
            for lane, worker in workers.items()
        ),
        ("events", react_to_all, _poll_s(workspace)),
        ("streams", ticks.watch_streams, TICK_S),
        ("rollouts", ticks.move_rollouts, TICK_S),
        ("turns", ticks.end_collecting, TICK_S),
        ("sweeps", tend_sweeps, SWEEPS_S),
        ("news", tell_the_news, NEWS_S),
        ("silence", ticks.notice_silence, SILENCE_S),
        ("updates", ticks.keep_updates_fresh, REFRESH_UPDATES_S),
        ("audit", ticks.seal_audit_log, workspace.config.worker.seal_audit_every_s),
    ]
    if renew_after_s is not None:
        duties.append(("memory", renew_when_idle, TICK_S))
    threads = [
        _repeated(name, duty, workspace, every_s=every_s, stopping=stopping)
        for name, duty, every_s in duties
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return is_renewed.is_set()


def react_to_all(workspace: Workspace) -> int:
    """Answer every event that is due; returns how many. None while the loop is paused."""
    with workspace.db.read() as tx:
        if is_paused(tx) or not waiting(tx, LOOP):
            return 0
    policy = read_policy(workspace)
    n_handled = 0
    while True:
        now_ms = workspace.clock.now_ms()
        event = handle_next(
            workspace.db,
            LOOP,
            lambda tx, event: react(tx, event, policy=policy, now_ms=now_ms),  # noqa: B023
            now_ms=now_ms,
        )
        if event is None:
            return n_handled
        n_handled += 1


def _poll_s(workspace: Workspace) -> float:
    return workspace.config.worker.poll_every_s


def _run_due(worker: StepWorker, stopping: threading.Event) -> Duty:
    def run_due(_workspace: Workspace) -> None:
        while not stopping.is_set() and worker.run_next() is not None:
            pass

    return run_due


def _repeated(
    name: str, duty: Duty, workspace: Workspace, *, every_s: float, stopping: threading.Event
) -> threading.Thread:
    def run() -> None:
        while not stopping.is_set():
            wait_s = every_s
            try:
                duty(workspace)
            except SightloopError as error:
                log.warning("%s: %s %s", name, error.code, error.message)
                wait_s = AFTER_FAILURE_S
            except Exception:
                log.exception("%s", name)
                wait_s = AFTER_FAILURE_S
            stopping.wait(wait_s)

    return threading.Thread(target=run, name=name)
