"""The step that makes one trial: choose its values, train, measure, write down what came of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from sightloop.kernel.actors import step_actor
from sightloop.kernel.database import Tx
from sightloop.kernel.errors import SightloopError, Unavailable
from sightloop.kernel.steps import MAX_ATTEMPTS, Outcome, Step
from sightloop.kernel.worker import Interrupted, StepControl
from sightloop.kernel.workspace import Call, Workspace
from sightloop.training.errors import JobCancelled, JobCrashed, JobHung
from sightloop.training.services import train
from sightloop.training.sweeps import store
from sightloop.training.sweeps.measuring import NoValue, measure_objectives
from sightloop.training.sweeps.space import request_of
from sightloop.training.sweeps.suggesting import suggest
from sightloop.training.sweeps.tending import end_trial, tend
from sightloop.training.sweeps.values import Sweep, Trial, TrialState, tried_of
from sightloop.training.sweeps.watching import watched


class TrialStep(msgspec.Struct, frozen=True, kw_only=True):
    """The inputs of the step: which trial, in which go of its sweep."""

    sweep: str
    number: int
    go: int


def trial_step(workspace: Workspace, step: Step, control: StepControl) -> Outcome:
    """The step `sweep-trial`. Its run is trained once, however often the step is repeated."""
    asked = msgspec.convert(step.inputs, TrialStep)
    begun = begin_trial(workspace, asked)
    if begun is None:
        return Outcome({"state": "superseded"})
    sweep, trial = begun
    ended = trial
    if sweep.state == "running":
        ended = _made(workspace, sweep, trial, step=step, control=control)
    if ended.is_open:
        ended = _because(trial, "stopped", sweep.ended_because)
    return Outcome({"state": ended.state, "run": ended.run}, record=recording(workspace, ended))


def begin_trial(workspace: Workspace, asked: TrialStep) -> tuple[Sweep, Trial] | None:
    """The trial with its values, chosen now unless they were; None: it is another go's matter.

    What a sampler says follows from what it was told, so a worker that is lost before it has
    written the values down makes no difference. Two that choose at once may choose the same: the
    later one chooses again.
    """
    while True:
        with workspace.db.read() as tx:
            sweep = store.find_sweep(tx, asked.sweep)
            trials = store.trials_of(tx, asked.sweep)
        trial = trials[asked.number]
        if asked.go != sweep.go or not trial.is_open:
            return None
        if sweep.state != "running" or trial.state == "running":
            return sweep, trial
        values = trial.values
        if values is None:
            known = tried_of(trials, but=trial.number)
            values = suggest(sweep.spec, trial.number, known)
        with workspace.db.write() as tx:
            store.find_sweep(tx, sweep.id, for_change=True)
            if _taken(tx, trial) == _taken_in(trials, trial):
                begun = msgspec.structs.replace(
                    trial, values=values, state="running", began_at_ms=workspace.clock.now_ms()
                )
                store.change_trial(tx, begun)
                return sweep, begun


def _taken(tx: Tx, trial: Trial) -> list[Any]:
    return _taken_in(store.trials_of(tx, trial.sweep), trial)


def _taken_in(trials: list[Trial], trial: Trial) -> list[Any]:
    return [one.values for one in trials if one.number != trial.number]


def _made(
    workspace: Workspace, sweep: Sweep, trial: Trial, *, step: Step, control: StepControl
) -> Trial:
    """The trial as it ended; still open when its sweep ended before it.

    Raises:
        Unavailable: the step should be repeated.
    """
    assert trial.values is not None, "it was begun"
    request = request_of(
        sweep.spec,
        trial.values,
        run=trial.run,
        sweep=sweep.id,
        number=trial.number,
        commit=sweep.dataset_commit,
    )
    call = Call(step_actor(step.name), control.progress)
    try:
        with watched(workspace, trial):
            run = train(workspace, call, request, control=control)
        objectives = measure_objectives(workspace, sweep.spec, run.id)
    except JobCancelled as error:
        return _cancelled(workspace, trial, error)
    except NoValue as error:
        return _because(_now(workspace, trial), "failed", str(error))
    except (JobCrashed, JobHung) as error:
        if step.attempt < MAX_ATTEMPTS:
            raise
        return _because(_now(workspace, trial), "failed", error.message)
    except (Interrupted, Unavailable):
        raise
    except SightloopError as error:
        return _because(_now(workspace, trial), "failed", f"{error.code} {error.message}")
    complete = _because(_now(workspace, trial), "complete", "")
    return msgspec.structs.replace(complete, objectives=objectives)


def _cancelled(workspace: Workspace, trial: Trial, error: JobCancelled) -> Trial:
    """Given up early, ended with its sweep, or ended by a person; who ends a run means it."""
    now = _now(workspace, trial)
    if now.prune_reason:
        return _because(now, "pruned", now.prune_reason)
    with workspace.db.read() as tx:
        sweep = store.find_sweep(tx, trial.sweep)
    if sweep.state != "running":
        return _because(now, "stopped", sweep.ended_because)
    return _because(now, "failed", error.message)


def _now(workspace: Workspace, trial: Trial) -> Trial:
    """The trial with what was written down while it was trained."""
    with workspace.db.read() as tx:
        return store.find_trial(tx, trial.sweep, trial.number)


def _because(trial: Trial, state: TrialState, reason: str) -> Trial:
    return msgspec.structs.replace(trial, state=state, reason=reason[:1000])


def recording(workspace: Workspace, trial: Trial) -> Callable[[Tx], None]:
    """Writes down how the trial ended and has the next one made, as its step becomes done."""

    def record(tx: Tx) -> None:
        now_ms = workspace.clock.now_ms()
        now = store.find_trial(tx, trial.sweep, trial.number)
        if not now.is_open or now.step != trial.step:
            return  # its sweep was resumed meanwhile, and another step makes it
        end_trial(tx, trial, by=step_actor(trial.step.partition(":")[0]), now_ms=now_ms)
        tend(tx, trial.sweep, now_ms=now_ms)

    return record
