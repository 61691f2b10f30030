"""The state of each station in a few words: what the home page shows."""

from __future__ import annotations

import msgspec

from sightloop.datasets.samples import load_commit
from sightloop.datasets.store import list_refs
from sightloop.fleet import rollout_store
from sightloop.fleet import store as fleet
from sightloop.fleet.overview import silent_after_s
from sightloop.fleet.values import RingCount
from sightloop.kernel import audit, events, steps
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import short
from sightloop.kernel.steps import StepState
from sightloop.kernel.workspace import Call, Workspace
from sightloop.loop.reactions import LOOP
from sightloop.loop.settings import is_paused
from sightloop.loop.turns import Turn, TurnState, list_turns
from sightloop.monitoring import store as monitoring
from sightloop.registry import store as registry
from sightloop.review import store as review
from sightloop.telemetry import store as telemetry
from sightloop.tracking import store as tracking
from sightloop.tracking.values import Run
from sightloop.training import store as training

RECENT_RUNS = 1000


class ShowStations(msgspec.Struct, frozen=True, kw_only=True):
    """Every station."""


class Station(msgspec.Struct, frozen=True, kw_only=True):
    """One station: what it holds in a few words, what it does now, whether it needs a look."""

    name: str
    headline: str
    doing: str
    """What is under way there, "" when nothing is."""
    needs_a_look: bool
    facts: dict[str, str]


class Stations(msgspec.Struct, frozen=True, kw_only=True):
    """All stations in the order in which data travels."""

    workspace: str
    at_ms: int
    stations: list[Station]


def show_stations(workspace: Workspace, call: Call, request: ShowStations) -> Stations:  # noqa: ARG001
    """Each station's state, read in one consistent view."""
    require(call.actor, Permission.READ)
    now_ms = workspace.clock.now_ms()
    silent_before_ms = now_ms - round(silent_after_s(workspace) * 1000)
    with workspace.db.read() as tx:
        rings = fleet.count_rings(tx, silent_before_ms=silent_before_ms)
        under_way = [turn for turn in list_turns(tx) if not turn.has_ended]
        found = [
            _datasets(tx),
            _training(tx, under_way),
            _evaluation(tx, under_way),
            _registry(tx, under_way),
            _fleet(tx, rings),
            _device(rings),
            _telemetry(tx),
            _monitoring(tx),
            _review(tx, under_way),
            _loop(tx, under_way),
            _audit(tx),
        ]
    return Stations(workspace=str(workspace.root), at_ms=now_ms, stations=found)


def _datasets(tx: Tx) -> Station:
    refs = list_refs(tx, "branch")
    sizes = {ref.name: load_commit(tx, ref.commit).n_samples for ref in refs}
    return Station(
        name="datasets",
        headline=", ".join(f"{name}: {_count(n, 'image')}" for name, n in sizes.items())
        or "nothing imported yet",
        doing="",
        needs_a_look=False,
        facts={ref.name: f"at {short(ref.commit)}" for ref in refs},
    )


def _training(tx: Tx, under_way: list[Turn]) -> Station:
    runs = tracking.list_runs(tx, limit=RECENT_RUNS)
    states = [run.state for run in runs]
    running = [run for run in runs if run.state == "running"]
    doing = [_progress_of(tx, run) for run in running]
    doing += [
        f"{t.model} prepares" for t in under_way if t.state is TurnState.TRAINING and not doing
    ]
    return Station(
        name="training",
        headline=_count(len(runs), "run") if runs else "no run yet",
        doing="; ".join(doing),
        needs_a_look=bool(runs) and states[0] == "failed",
        facts={state: str(states.count(state)) for state in sorted(set(states))},
    )


def _progress_of(tx: Tx, run: Run) -> str:
    job = training.look_up_job(tx, run.id)
    if job is None or not job.total:
        return f"{run.experiment} starts"
    return f"{run.experiment}: {job.done} of {job.total}"


def _evaluation(tx: Tx, under_way: list[Turn]) -> Station:
    gating = [turn for turn in under_way if turn.state is TurnState.GATING]
    waiting = [turn for turn in under_way if turn.state is TurnState.AWAITING_EVIDENCE]
    verdicts = {}
    for model in registry.model_names(tx):
        versions = registry.versions_of(tx, model)
        verdict = registry.latest_verdict(tx, model, versions[-1].number) if versions else None
        if verdict is not None:
            verdicts[versions[-1].name] = verdict.verdict.outcome
    return Station(
        name="evaluation",
        headline=", ".join(f"{name}: {outcome}" for name, outcome in verdicts.items())
        or "no verdict yet",
        doing="; ".join(
            [f"the gate judges {turn.model}@{turn.version}" for turn in gating]
            + [f"{turn.model}@{turn.version} waits for more labels" for turn in waiting]
        ),
        needs_a_look=bool(waiting),
        facts={f"verdict on {name}": outcome for name, outcome in verdicts.items()},
    )


def _registry(tx: Tx, under_way: list[Turn]) -> Station:
    facts: dict[str, str] = {}
    champions = []
    for model in registry.model_names(tx):
        named = {alias.alias: alias.number for alias in registry.aliases_of(tx, model)}
        champion = f", champion @{named['champion']}" if "champion" in named else ""
        facts[model] = f"{len(registry.versions_of(tx, model))} versions{champion}"
        champions += [f"{model}@{named['champion']}"] if "champion" in named else []
    waiting = [turn for turn in under_way if turn.state is TurnState.AWAITING_APPROVAL]
    doing = {TurnState.PACKAGING: "packages", TurnState.SIGNING: "signs"}
    return Station(
        name="registry",
        headline=", ".join(champions) or "no champion yet",
        doing="; ".join(
            [f"{doing[t.state]} {t.model}" for t in under_way if t.state in doing]
            + [f"{turn.model}@{turn.version} awaits a yes" for turn in waiting]
        ),
        needs_a_look=bool(waiting),
        facts=facts,
    )


def _fleet(tx: Tx, rings: list[RingCount]) -> Station:
    active = rollout_store.active_rollouts(tx)
    n_devices = sum(ring.n_devices for ring in rings)
    return Station(
        name="fleet",
        headline=f"{_count(n_devices, 'device')} in {_count(len(rings), 'ring')}",
        doing="; ".join(f"rolls out {one.model}@{one.number}" for one in active),
        needs_a_look=any(one.state == "paused" for one in active),
        facts={"devices": str(n_devices), "rings": ", ".join(one.ring for one in rings) or "none"},
    )


def _device(rings: list[RingCount]) -> Station:
    n_online = sum(ring.n_online for ring in rings)
    n_silent = sum(ring.n_silent for ring in rings)
    n_failing = sum(ring.n_failing for ring in rings)
    told = [f"{n_online:,} online"]
    told += [f"{n_failing:,} failing"] if n_failing else []
    told += [f"{n_silent:,} silent"] if n_silent else []
    return Station(
        name="device",
        headline=", ".join(told),
        doing="",
        needs_a_look=bool(n_silent or n_failing),
        facts={"online": str(n_online), "silent": str(n_silent), "failing": str(n_failing)},
    )


def _telemetry(tx: Tx) -> Station:
    kept = telemetry.count_kept(tx)
    facts = {f"kept, {lane}": str(count) for lane, count in sorted(kept.items())}
    facts["dropped by devices"] = str(telemetry.count_dropped(tx))
    return Station(
        name="telemetry",
        headline=f"{_count(sum(kept.values()), 'image')} kept",
        doing="",
        needs_a_look=False,
        facts=facts,
    )


def _monitoring(tx: Tx) -> Station:
    open_ones = monitoring.list_incidents(tx, state="open")
    kinds = [incident.kind for incident in open_ones]
    return Station(
        name="monitoring",
        headline=_count(len(open_ones), "open incident") if open_ones else "no open incident",
        doing="",
        needs_a_look=bool(open_ones),
        facts={f"open {kind} incidents": str(kinds.count(kind)) for kind in ("input", "loss")},
    )


def _review(tx: Tx, under_way: list[Turn]) -> Station:
    counts = review.count_tasks(tx)
    n_open = counts.get("open", 0)
    collecting = [turn for turn in under_way if turn.state is TurnState.COLLECTING]
    return Station(
        name="review",
        headline=f"{_count(n_open, 'task')} to label" if n_open else "nothing waits for labels",
        doing="; ".join(f"collects for {turn.model}" for turn in collecting),
        needs_a_look=n_open > 0,
        facts={f"{state} tasks": str(count) for state, count in counts.items()},
    )


def _loop(tx: Tx, under_way: list[Turn]) -> Station:
    counts = steps.counts(tx)
    facts = {f"{state} steps": str(count) for state, count in counts.items()}
    facts["events waiting"] = str(events.waiting(tx, LOOP))
    facts |= {
        f"turn of {turn.model}": f"{turn.state} - {turn.reason}" for turn in list_turns(tx)[-1:]
    }
    n_failed = counts[StepState.FAILED]
    return Station(
        name="loop",
        headline="is paused" if is_paused(tx) else "turns by itself",
        doing=under_way[0].state.value
        if len(under_way) == 1
        else ", ".join(turn.model for turn in under_way),
        needs_a_look=n_failed > 0,
        facts=facts,
    )


def _audit(tx: Tx) -> Station:
    seal = audit.latest(tx)
    newest = "none yet" if seal is None else f"{seal.number} {short(seal.seal)}"
    return Station(
        name="audit log",
        headline=f"newest seal: {newest}",
        doing="",
        needs_a_look=False,
        facts={"newest seal": newest},
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
