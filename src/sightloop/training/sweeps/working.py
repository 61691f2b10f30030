"""Making trials in this process: what `sightloop sweep run` does, in any number of processes."""

from __future__ import annotations

import os
import socket
import threading

from sightloop.kernel.steps import Lane
from sightloop.kernel.worker import StepWorker
from sightloop.kernel.workspace import Workspace
from sightloop.training.sweeps import store
from sightloop.training.sweeps.tending import TRIAL_STEP, tend_sweeps
from sightloop.training.sweeps.trials import trial_step
from sightloop.training.sweeps.values import Sweep

HANDLERS = {TRIAL_STEP: trial_step}


def work_on_sweep(workspace: Workspace, sweep: str, *, stopping: threading.Event) -> Sweep:
    """Make trials until the sweep is over or `stopping` is set; the sweep as it stands then.

    Trials of other sweeps are taken too when they are due: whoever works, works for all.

    Raises:
        SweepUnknown: there is no such sweep.
    """
    owner = f"{socket.gethostname()}:{os.getpid()}:{threading.get_ident()}:sweep"
    worker = StepWorker(workspace, HANDLERS, owner=owner, lane=Lane.SWEEP, stopping=stopping)
    while True:
        with workspace.db.read() as tx:
            found = store.find_sweep(tx, sweep)
            n_open = sum(one.is_open for one in store.trials_of(tx, sweep))
        if stopping.is_set() or (found.state != "running" and not n_open):
            return found
        tend_sweeps(workspace)
        if worker.run_next() is None:
            stopping.wait(workspace.config.worker.poll_every_s)
