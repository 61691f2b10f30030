"""Begin a sweep, look at it, stop it, go on with it, take its best.

None of these trains: trials are steps, which any worker of the workspace takes.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from sightloop.datasets.branches import resolve_ref
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.workspace import Call, Workspace
from sightloop.training.engines import find_engine
from sightloop.training.sweeps import store
from sightloop.training.sweeps.checking import first_problem
from sightloop.training.sweeps.declaring import declare_sweep
from sightloop.training.sweeps.errors import BadSweep, NoBestTrial, SweepKnown, SweepState
from sightloop.training.sweeps.outcomes import best_trials
from sightloop.training.sweeps.places import name_of
from sightloop.training.sweeps.results import SweepFacts, SweepLine, complete_values, facts_of
from sightloop.training.sweeps.space import n_trials_of
from sightloop.training.sweeps.tending import ask_for_trial, end_sweep, tend
from sightloop.training.sweeps.values import Sweep, Trial

SWEEP_STARTED = EventKind("sweep.started")
SWEEP_RESUMED = EventKind("sweep.resumed")
MAX_LISTED = 500
_SWEEP_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,79}")


class StartSweep(msgspec.Struct, frozen=True, kw_only=True):
    """A sweep to begin. The id is the caller's: asking again with it never begins a second one."""

    sweep: str
    text: str = ""
    """A declaration as docs/sweeps.md describes it, in YAML."""
    where: str = "sweep.yaml"
    """What the text is called in errors."""
    flags: dict[str, Any] = {}
    """Fields over those of the text."""


class ListSweeps(msgspec.Struct, frozen=True, kw_only=True):
    """Sweeps, newest first."""

    limit: int = 50


class SweepList(msgspec.Struct, frozen=True, kw_only=True):
    """Some sweeps."""

    sweeps: list[SweepLine]


class ShowSweep(msgspec.Struct, frozen=True, kw_only=True):
    """Which sweep."""

    sweep: str


class StopSweep(msgspec.Struct, frozen=True, kw_only=True):
    """Which sweep to stop, and why."""

    sweep: str
    reason: str = "asked for by a person"


class ResumeSweep(msgspec.Struct, frozen=True, kw_only=True):
    """Which sweep to go on with; what is given replaces what it was told."""

    sweep: str
    trials: int | None = None
    time_limit_s: float | None = None
    """In all, the time it ran already included; 0 means no limit."""
    parallel: int | None = None


class BestTrials(msgspec.Struct, frozen=True, kw_only=True):
    """The trials that no other beats, best first by the first objective."""

    sweep: Sweep
    trials: list[Trial]


def start_sweep(workspace: Workspace, call: Call, request: StartSweep) -> Sweep:
    """A sweep whose first trials wait for a worker.

    Raises:
        NotAllowed: the actor may not train.
        BadSweep: the declaration cannot be meant.
        NotFound: there is no such commit or engine.
        SweepKnown: the id is taken by another declaration.
    """
    require(call.actor, Permission.TRAIN)
    if not _SWEEP_ID.fullmatch(request.sweep):
        problem = "a sweep's id has 1 to 80 of a-z, 0-9, _ and -, a letter or digit first"
        raise BadSweep(field="id", value=request.sweep, problem=problem)
    spec = declare_sweep(request.text, where=request.where, flags=request.flags)
    find_engine(spec.engine, workspace.config.training)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        known = store.look_up_sweep(tx, request.sweep)
        if known is not None:
            if store.canonical_spec(known.spec) != store.canonical_spec(spec):
                raise SweepKnown(sweep=request.sweep)
            return known
        sweep = Sweep(
            id=request.sweep,
            spec=spec,
            dataset_commit=resolve_ref(tx, spec.data),
            n_trials=n_trials_of(spec),
            time_limit_s=spec.time_limit_s,
            state="running",
            ended_because="",
            go=0,
            spent_ms=0,
            created_at_ms=now_ms,
            resumed_at_ms=now_ms,
            ended_at_ms=None,
        )
        store.add_sweep(tx, sweep)
        data = {"name": spec.name, "n_trials": sweep.n_trials}
        tell(tx, SWEEP_STARTED, sweep.id, by=call.actor, at_ms=now_ms, data=data)
        tend(tx, sweep.id, now_ms=now_ms)
    return sweep


def list_sweeps(workspace: Workspace, call: Call, request: ListSweeps) -> SweepList:
    """Sweeps, newest first, with how many trials stand in each state.

    Raises:
        NotAllowed: the actor may not read.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        sweeps = store.list_sweeps(tx, limit=max(1, min(request.limit, MAX_LISTED)))
        counts = store.count_trials(tx, [one.id for one in sweeps])
    return SweepList(sweeps=[SweepLine(sweep=one, counts=counts[one.id]) for one in sweeps])


def show_sweep(workspace: Workspace, call: Call, request: ShowSweep) -> SweepFacts:
    """Everything about a sweep: its trials, the best of them, what matters.

    Raises:
        NotAllowed: the actor may not read.
        SweepUnknown: there is no such sweep.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        sweep = store.find_sweep(tx, request.sweep)
        return facts_of(tx, sweep, now_ms=workspace.clock.now_ms())


def stop_sweep(workspace: Workspace, call: Call, request: StopSweep) -> Sweep:
    """Nothing new begins; trials under way are ended within seconds and can be made again.

    Raises:
        NotAllowed: the actor may not train.
        SweepUnknown: there is no such sweep.
        SweepState: it is not running.
    """
    require(call.actor, Permission.TRAIN)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        sweep = store.find_sweep(tx, request.sweep, for_change=True)
        if sweep.state != "running":
            instead = "`sightloop sweep resume` goes on with it"
            raise SweepState(
                sweep=sweep.id, state=sweep.state, wanted="be stopped", instead=instead
            )
        return end_sweep(tx, sweep, "stopped", request.reason[:500], by=call.actor, now_ms=now_ms)


def resume_sweep(workspace: Workspace, call: Call, request: ResumeSweep) -> Sweep:
    """The sweep goes on: what was stopped is made again with the values it had, then the rest.

    Of a sweep that is running only what is given changes.

    Raises:
        NotAllowed: the actor may not train.
        SweepUnknown: there is no such sweep.
        BadSweep: what is given cannot be meant.
        SweepState: nothing is left to do.
    """
    require(call.actor, Permission.TRAIN)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        sweep = _extended(store.find_sweep(tx, request.sweep, for_change=True), request)
        trials = store.trials_of(tx, sweep.id)
        if sweep.state == "running":
            store.change_sweep(tx, sweep)
        else:
            sweep = _begin_again(tx, sweep, trials, call, now_ms=now_ms)
        tend(tx, sweep.id, now_ms=now_ms)
        return store.find_sweep(tx, sweep.id)


def find_best(workspace: Workspace, call: Call, request: ShowSweep) -> BestTrials:
    """The trials that no other beats; with one objective the best, and whoever equals it.

    Raises:
        NotAllowed: the actor may not read.
        SweepUnknown: there is no such sweep.
        NoBestTrial: none is complete.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        sweep = store.find_sweep(tx, request.sweep)
        trials = store.trials_of(tx, sweep.id)
    values = complete_values(trials)
    if not values:
        n_ended = sum(not one.is_open for one in trials)
        raise NoBestTrial(sweep=sweep.id, n_ended=n_ended)
    numbers = best_trials(values, sweep.spec.directions)
    return BestTrials(sweep=sweep, trials=[trials[number] for number in numbers])


def _extended(sweep: Sweep, request: ResumeSweep) -> Sweep:
    given = {
        "trials": sweep.n_trials if request.trials is None else request.trials,
        "time_limit_s": sweep.time_limit_s
        if request.time_limit_s is None
        else request.time_limit_s,
        "parallel": sweep.spec.parallel if request.parallel is None else request.parallel,
    }
    spec = msgspec.structs.replace(sweep.spec, **given)
    if problem := first_problem(spec):
        value = str(problem.value)
        raise BadSweep(
            field=name_of(problem.path), value=value, problem=problem.why, where="resume"
        )
    kept = msgspec.structs.replace(sweep.spec, parallel=spec.parallel)
    return msgspec.structs.replace(
        sweep, spec=kept, n_trials=n_trials_of(spec), time_limit_s=spec.time_limit_s
    )


def _begin_again(tx: Tx, sweep: Sweep, trials: list[Trial], call: Call, *, now_ms: int) -> Sweep:
    unfinished = [one for one in trials if one.is_open or one.state == "stopped"]
    has_more = len(trials) < sweep.n_trials
    if not unfinished and not has_more:
        instead = f"all {sweep.n_trials} trials were made; give it more with --trials"
        raise SweepState(sweep=sweep.id, state=sweep.state, wanted="be resumed", instead=instead)
    spent_ms = int(sweep.ran_s(now_ms) * 1000)
    if 0 < sweep.time_limit_s * 1000 <= spent_ms:
        instead = f"it ran for {spent_ms / 1000:.0f} s; give it more with --time-limit-s"
        raise SweepState(sweep=sweep.id, state=sweep.state, wanted="be resumed", instead=instead)
    again = msgspec.structs.replace(
        sweep,
        state="running",
        ended_because="",
        go=sweep.go + 1,
        spent_ms=spent_ms,
        resumed_at_ms=now_ms,
        ended_at_ms=None,
    )
    store.change_sweep(tx, again)
    for trial in unfinished:
        ask_for_trial(tx, again, trial, now_ms=now_ms)
    data = {"name": again.spec.name, "n_trials": again.n_trials}
    tell(tx, SWEEP_RESUMED, again.id, by=call.actor, at_ms=now_ms, data=data)
    return again
