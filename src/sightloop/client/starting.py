"""Beginning a run: a spool on this disk, and threads that work on it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path

from sightloop.client.background import Background
from sightloop.client.errors import NoRoomForSpool
from sightloop.client.lifetimes import watch_over
from sightloop.client.places import Target
from sightloop.client.queueing import Queue
from sightloop.client.runs import Run
from sightloop.client.spool import MAIN, Head, PartWriter, RunSpool
from sightloop.client.surroundings import capture_surroundings, user_name
from sightloop.client.syncing import LinkTo
from sightloop.client.system_metrics import EVERY_S, Sampler
from sightloop.client.texts import writable
from sightloop.client.troubles import Troubles
from sightloop.contracts.tracking import BeginTracking
from sightloop.kernel.clock import SystemClock
from sightloop.kernel.ids import TimeSortedIds

_IDS = TimeSortedIds(SystemClock())


def start_run(
    target: Target,
    link_to: LinkTo,
    *,
    root: Path,
    experiment: str = "default",
    name: str = "",
    params: Mapping[str, object] | None = None,
    tags: Mapping[str, object] | None = None,
    captures: bool = True,
) -> Run:
    """A run under way; the target hears of it as soon as it answers.

    Args:
        target: where it is sent.
        link_to: opens links, on the forwarding thread.
        root: the folder of this user's spools.
        experiment: what runs are compared within.
        name: of the run; made from its id when empty.
        params: what the run is given.
        tags: what is said of it.
        captures: whether code, command, environment and the machine's load are recorded.

    Raises:
        NoRoomForSpool: the spool cannot be written; nothing was begun.
    """
    run_id = _IDS.new("run")
    head = Head(
        begin=BeginTracking(
            run=run_id,
            experiment=writable(experiment)[:500] or "default",
            name=writable(name)[:8000] or f"run-{run_id[-8:]}",
            user=writable(user_name())[:500],
            started_at_ms=max(0, int(time.time() * 1000)),
        ),
        server=target.server,
        workspace=target.workspace,
    )
    try:
        spool = RunSpool.create(root, head)
        writer = PartWriter(spool.folder, MAIN)
    except OSError as error:
        raise NoRoomForSpool(folder=str(root), problem=str(error)) from error
    troubles = Troubles()
    queue = Queue(writer, troubles)
    background = Background(spool, queue, link_to, troubles)
    url = f"{target.server}/runs/{run_id}" if target.server else None
    run = Run(spool, (queue, background), troubles, url=url)
    run.log_params(params)
    run.set_tags(tags)
    watch_over(run)
    background.start(_Watch(run, Path.cwd()) if captures else _wait)
    return run


class _Watch:
    """Captures what surrounds the run, then how busy the machine is, until it ends."""

    def __init__(self, run: Run, folder: Path) -> None:
        self._run = run
        self._folder = folder

    def __call__(self, stop: threading.Event) -> None:
        sampler = Sampler()
        surroundings = capture_surroundings(self._folder)
        self._run.set_tags(surroundings.tags)
        for name, content in surroundings.files.items():
            self._run.log_bytes(content, name)
        while not stop.wait(EVERY_S):
            self._run.log(sampler.sample())


def _wait(stop: threading.Event) -> None:
    stop.wait()
