"""The worker process: takes events, runs steps and does the regular duties until it is stopped."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable

from sightloop.kernel.errors import SightloopError
from sightloop.kernel.events import handle_next, subscribe
from sightloop.kernel.steps import Lane
from sightloop.kernel.worker import StepWorker
from sightloop.kernel.workspace import Workspace
from sightloop.loop import ticks
from sightloop.loop.handlers import HANDLERS
from sightloop.loop.notifying import NEWS, NEWS_EVENTS, tell_the_news
from sightloop.loop.policy_file import read_policy
from sightloop.loop.reactions import LOOP, REACTIONS, react
from sightloop.loop.settings import is_paused

log = logging.getLogger(__name__)

TICK_S = 0.5
REFRESH_UPDATES_S = 60.0
NEWS_S = 1.0
SILENCE_S = 60.0
AFTER_FAILURE_S = 2.0

Duty = Callable[[Workspace], object]


def run_worker(workspace: Workspace, *, stopping: threading.Event) -> None:
    """Work until `stopping` is set; then finish or give back what is under way."""
    with workspace.db.write() as tx:
        subscribe(tx, LOOP, REACTIONS)
        subscribe(tx, NEWS, NEWS_EVENTS)
    owner = f"{socket.gethostname()}:{os.getpid()}"
    poll_s = workspace.config.worker.poll_every_s
    seal_s = workspace.config.worker.seal_audit_every_s
    threads = [
        *(_step_thread(workspace, lane, owner=owner, stopping=stopping) for lane in Lane),
        _repeated("events", react_to_all, workspace, every_s=poll_s, stopping=stopping),
        _repeated("streams", ticks.watch_streams, workspace, every_s=TICK_S, stopping=stopping),
        _repeated("rollouts", ticks.move_rollouts, workspace, every_s=TICK_S, stopping=stopping),
        _repeated("turns", ticks.end_collecting, workspace, every_s=TICK_S, stopping=stopping),
        _repeated(
            "updates",
            ticks.keep_updates_fresh,
            workspace,
            every_s=REFRESH_UPDATES_S,
            stopping=stopping,
        ),
        _repeated("news", tell_the_news, workspace, every_s=NEWS_S, stopping=stopping),
        _repeated("silence", ticks.notice_silence, workspace, every_s=SILENCE_S, stopping=stopping),
        _repeated("audit", ticks.seal_audit_log, workspace, every_s=seal_s, stopping=stopping),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def react_to_all(workspace: Workspace) -> int:
    """Answer every event that is due; returns how many. None while the loop is paused."""
    with workspace.db.read() as tx:
        if is_paused(tx):
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


def _step_thread(
    workspace: Workspace, lane: Lane, *, owner: str, stopping: threading.Event
) -> threading.Thread:
    worker = StepWorker(workspace, HANDLERS, owner=f"{owner}:{lane}", lane=lane, stopping=stopping)

    def run_due(_workspace: Workspace) -> None:
        while not stopping.is_set() and worker.run_next() is not None:
            pass

    every_s = workspace.config.worker.poll_every_s
    return _repeated(f"{lane} steps", run_due, workspace, every_s=every_s, stopping=stopping)


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
