"""Looking over a trial's shoulder while it trains: is it worth going on, may it go on at all?"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from sightloop.kernel.database import Tx
from sightloop.kernel.errors import SightloopError
from sightloop.kernel.workspace import Workspace
from sightloop.tracking.points import metric_history
from sightloop.training import store as jobs
from sightloop.training.sweeps import store
from sightloop.training.sweeps.halving import rungs_of, value_at, verdict
from sightloop.training.sweeps.tending import tend
from sightloop.training.sweeps.values import Sweep, Trial

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5


@contextmanager
def watched(workspace: Workspace, trial: Trial) -> Iterator[None]:
    """Inside the block somebody ends the trial's job once it should not go on."""
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(LOOK_EVERY_S):
            try:
                look(workspace, trial.sweep, trial.number)
            except SightloopError as error:  # a busy database: the next look will do
                log.warning("%s: %s %s", trial.run, error.code, error.message)

    thread = threading.Thread(target=watch, name=f"watch {trial.run}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def look(workspace: Workspace, sweep: str, number: int) -> None:
    """Judge the trial at the rungs it has come to, and have its job ended if it must be.

    Each rung is judged once, against those that were there before; what was decided is written
    down together with the wish to end the job.
    """
    now_ms = workspace.clock.now_ms()
    with workspace.db.read() as tx:
        found = store.find_sweep(tx, sweep)
        trial = store.find_trial(tx, sweep, number)
        reached = _new_rungs(tx, found, trial)
    if found.state == "running" and found.is_over_time(now_ms):
        with workspace.db.write() as tx:
            tend(tx, sweep, now_ms=now_ms)
            found = store.find_sweep(tx, sweep)
    if reached and not trial.prune_reason:
        with workspace.db.write() as tx:
            trial = _judged(tx, found, number, reached)
    why = _why_to_end(found, trial)
    if why:
        with workspace.db.write() as tx:
            job = jobs.look_up_job(tx, trial.run)
            if job is not None and job.cancel_asked_at_ms is None:
                jobs.ask_to_cancel(tx, trial.run, now_ms=now_ms, why=why)


def _why_to_end(sweep: Sweep, trial: Trial) -> str:
    if trial.prune_reason:
        return f"pruned in sweep {sweep.id}, as {trial.prune_reason}"
    if sweep.state != "running":
        return f"sweep {sweep.id} is {sweep.state}: {sweep.ended_because}"
    return ""


def _new_rungs(tx: Tx, sweep: Sweep, trial: Trial) -> dict[int, float]:
    """The trial's values at rungs it has come to and was not judged at."""
    objective = sweep.spec.pruning_objective
    if objective is None:
        return {}
    rungs = rungs_of(
        min_epochs=sweep.spec.pruner.min_epochs,
        factor=sweep.spec.pruner.factor,
        epochs=sweep.spec.epochs,
    )
    points = [
        (point.step, point.value) for point in metric_history(tx, trial.run, objective.metric)
    ]
    reached = {rung: value_at(points, rung) for rung in rungs if rung not in trial.rungs}
    return {rung: value for rung, value in reached.items() if value is not None}


def _judged(tx: Tx, sweep: Sweep, number: int, reached: dict[int, float]) -> Trial:
    """The trial with these rungs, and why it is given up, if it is."""
    objective = sweep.spec.pruning_objective
    assert objective is not None, "only a sweep that prunes has rungs"
    store.find_sweep(tx, sweep.id, for_change=True)  # who comes to a rung first is first for all
    trials = store.trials_of(tx, sweep.id)
    rungs, reason = dict(trials[number].rungs), ""
    for rung in sorted(reached):
        others = {
            one.number: one.rungs[rung]
            for one in trials
            if rung in one.rungs and one.number != number
        }
        rungs[rung] = reached[rung]
        reason = reason or verdict(
            reached[rung],
            others,
            rung=rung,
            factor=sweep.spec.pruner.factor,
            direction=objective.direction,
        )
    judged = msgspec.structs.replace(trials[number], rungs=rungs, prune_reason=reason)
    store.change_trial(tx, judged)
    return judged
