"""Keeping a sweep going: as many trials at a time as it wants, until it is over.

All of it is one transaction on records, and looking after a sweep that needs nothing changes
nothing. It happens whenever a trial ends, in the same transaction, and every now and then in
every worker, so that no crash leaves a sweep waiting for ever.
"""

from __future__ import annotations

import msgspec

from sightloop.kernel import steps
from sightloop.kernel.actors import Actor, step_actor
from sightloop.kernel.database import Tx
from sightloop.kernel.errors import last_line
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.steps import Lane, StepSpec, StepState
from sightloop.kernel.workspace import Workspace
from sightloop.training.sweeps import store
from sightloop.training.sweeps.values import Sweep, SweepStatus, Trial

TRIAL_STEP = "sweep-trial"
TRIAL_ENDED = EventKind("sweep.trial_ended")
SWEEP_ENDED = EventKind("sweep.ended")


def tend_sweeps(workspace: Workspace) -> int:
    """Look after every sweep that is running; how many there are."""
    with workspace.db.read() as tx:
        running = store.list_sweeps(tx, limit=1000, state="running")
        needing = [one.id for one in running if _needs_something(tx, one, workspace)]
    for sweep in needing:
        with workspace.db.write() as tx:
            tend(tx, sweep, now_ms=workspace.clock.now_ms())
    return len(running)


def tend(tx: Tx, sweep: str, *, now_ms: int) -> None:
    """End the sweep if it is over; else have as many trials under way as it wants."""
    found = store.find_sweep(tx, sweep, for_change=True)
    if found.state != "running":
        return
    trials = [_settled(tx, one, now_ms=now_ms) for one in store.trials_of(tx, sweep)]
    ended = _ended(found, trials, now_ms=now_ms)
    if ended is not None:
        end_sweep(tx, found, *ended, by=step_actor(TRIAL_STEP), now_ms=now_ms)
        return
    n_open = sum(one.is_open for one in trials)
    for number in range(len(trials), found.n_trials):
        if n_open >= found.spec.parallel:
            break
        _ask_for_new(tx, found, number, now_ms=now_ms)
        n_open += 1


def ask_for_trial(tx: Tx, sweep: Sweep, trial: Trial, *, now_ms: int) -> Trial:
    """Have the trial made, for the first time or once more in another go of its sweep."""
    inputs = {"sweep": sweep.id, "number": trial.number, "go": sweep.go}
    step = steps.ask_for(tx, StepSpec(TRIAL_STEP, 1, inputs, Lane.SWEEP), now_ms=now_ms)
    asked = msgspec.structs.replace(
        trial, state="waiting", step=step.key, reason="", prune_reason="", ended_at_ms=None
    )
    store.change_trial(tx, asked)
    return asked


def end_trial(tx: Tx, trial: Trial, *, by: Actor, now_ms: int) -> None:
    """Write down how a trial ended, and tell of it."""
    store.change_trial(tx, msgspec.structs.replace(trial, ended_at_ms=now_ms))
    data = {"sweep": trial.sweep, "number": trial.number, "state": trial.state, "run": trial.run}
    tell(tx, TRIAL_ENDED, trial.sweep, by=by, at_ms=now_ms, data=data)


def end_sweep(
    tx: Tx, sweep: Sweep, state: SweepStatus, because: str, *, by: Actor, now_ms: int
) -> Sweep:
    """Write down that nothing new begins, and why; what is under way notices within seconds."""
    ended = msgspec.structs.replace(sweep, state=state, ended_because=because, ended_at_ms=now_ms)
    store.change_sweep(tx, ended)
    data = {"name": sweep.spec.name, "state": state, "reason": because}
    tell(tx, SWEEP_ENDED, sweep.id, by=by, at_ms=now_ms, data=data)
    return ended


def _needs_something(tx: Tx, sweep: Sweep, workspace: Workspace) -> bool:
    """Whether to look closer: what goes well is kept going by its own trials."""
    trials = store.trials_of(tx, sweep.id)
    n_open = sum(one.is_open for one in trials)
    is_short = n_open < sweep.spec.parallel and len(trials) < sweep.n_trials
    is_stuck = any(_is_stuck(tx, one) for one in trials)
    return is_short or is_stuck or not n_open or sweep.is_over_time(workspace.clock.now_ms())


def _is_stuck(tx: Tx, trial: Trial) -> bool:
    return trial.is_open and steps.get(tx, steps.StepKey(trial.step)).state is StepState.FAILED


def _settled(tx: Tx, trial: Trial, *, now_ms: int) -> Trial:
    """The trial; failed, if its step went wrong so often that nobody tries it again."""
    if not _is_stuck(tx, trial):
        return trial
    error = steps.get(tx, steps.StepKey(trial.step)).error or ""
    failed = msgspec.structs.replace(trial, state="failed", reason=last_line(error)[:500])
    end_trial(tx, failed, by=step_actor(TRIAL_STEP), now_ms=now_ms)
    return failed


def _ended(sweep: Sweep, trials: list[Trial], *, now_ms: int) -> tuple[SweepStatus, str] | None:
    if sweep.is_over_time(now_ms):
        return "finished", f"the time limit of {sweep.time_limit_s:g} s was reached"
    n_failed = sum(one.state == "failed" for one in trials)
    is_hopeless = not any(one.state in ("complete", "pruned") for one in trials)
    if is_hopeless and n_failed >= min(sweep.spec.give_up_after, sweep.n_trials):
        last = max(
            (t for t in trials if t.state == "failed"), key=lambda t: t.ended_at_ms or now_ms
        )
        return "failed", f"{n_failed} trials failed and none succeeded; the last: {last.reason}"
    if len(trials) >= sweep.n_trials and not any(one.is_open for one in trials):
        return "finished", f"all {sweep.n_trials} trials were made"
    return None


def _ask_for_new(tx: Tx, sweep: Sweep, number: int, *, now_ms: int) -> None:
    trial = Trial(
        sweep=sweep.id,
        number=number,
        run=f"{sweep.id}_{number}",
        state="waiting",
        step="",
        values=None,
        rungs={},
        objectives=None,
        prune_reason="",
        reason="",
        began_at_ms=None,
        ended_at_ms=None,
    )
    store.add_trial(tx, trial)
    ask_for_trial(tx, sweep, trial, now_ms=now_ms)
