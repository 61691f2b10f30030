"""The state of each station in a few words: what the page at `/` and `sightloop doctor` show."""

from __future__ import annotations

import msgspec

from sightloop.datasets.store import list_refs
from sightloop.fleet import store as fleet
from sightloop.kernel import audit, events, steps
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import short
from sightloop.kernel.steps import StepState
from sightloop.kernel.workspace import Call, Workspace
from sightloop.loop.reactions import LOOP
from sightloop.loop.turns import list_turns
from sightloop.monitoring import store as monitoring
from sightloop.registry import store as registry
from sightloop.review import store as review
from sightloop.telemetry import store as telemetry
from sightloop.tracking import store as tracking

RECENT_RUNS = 1000


class ShowStations(msgspec.Struct, frozen=True, kw_only=True):
    """Every station."""


class Station(msgspec.Struct, frozen=True, kw_only=True):
    """One station: its name, what it holds, and whether it needs a look."""

    name: str
    facts: dict[str, str]
    needs_a_look: bool


class Stations(msgspec.Struct, frozen=True, kw_only=True):
    """All stations in the order in which data travels."""

    workspace: str
    at_ms: int
    stations: list[Station]


def show_stations(workspace: Workspace, call: Call, request: ShowStations) -> Stations:  # noqa: ARG001
    """Each station's state, read in one consistent view."""
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        found = [
            _datasets(tx),
            _training(tx),
            _registry(tx),
            _fleet(tx, now_ms=workspace.clock.now_ms()),
            _telemetry(tx),
            _monitoring(tx),
            _review(tx),
            _loop(tx),
            _audit(tx),
        ]
    return Stations(workspace=str(workspace.root), at_ms=workspace.clock.now_ms(), stations=found)


def _datasets(tx: Tx) -> Station:
    facts = {ref.name: f"at {short(ref.commit)}" for ref in list_refs(tx, "branch")}
    return Station(name="datasets", facts=facts, needs_a_look=False)


def _training(tx: Tx) -> Station:
    runs = tracking.list_runs(tx, limit=RECENT_RUNS)
    states = [run.state for run in runs]
    facts: dict[str, str] = {state: str(states.count(state)) for state in sorted(set(states))}
    return Station(name="training", facts=facts, needs_a_look=bool(runs) and states[0] == "failed")


def _registry(tx: Tx) -> Station:
    facts: dict[str, str] = {}
    for model in registry.model_names(tx):
        named = {alias.alias: alias.number for alias in registry.aliases_of(tx, model)}
        champion = f", champion @{named['champion']}" if "champion" in named else ""
        facts[model] = f"{len(registry.versions_of(tx, model))} versions{champion}"
    return Station(name="registry", facts=facts, needs_a_look=False)


def _fleet(tx: Tx, *, now_ms: int) -> Station:
    devices = fleet.all_devices(tx)
    reports = fleet.reports(tx)
    late = [d for d in devices if d.id in reports and now_ms - reports[d.id].seen_at_ms > 900_000]
    facts = {"devices": str(len(devices)), "silent for 15 min": str(len(late))}
    return Station(name="fleet", facts=facts, needs_a_look=bool(late))


def _telemetry(tx: Tx) -> Station:
    kept = telemetry.count_kept(tx)
    facts = {f"kept, {lane}": str(count) for lane, count in sorted(kept.items())}
    facts["dropped by devices"] = str(telemetry.count_dropped(tx))
    return Station(name="telemetry", facts=facts, needs_a_look=False)


def _monitoring(tx: Tx) -> Station:
    open_ones = monitoring.list_incidents(tx, state="open")
    kinds = [incident.kind for incident in open_ones]
    facts = {f"open {kind} incidents": str(kinds.count(kind)) for kind in ("input", "loss")}
    return Station(name="monitoring", facts=facts, needs_a_look=bool(open_ones))


def _review(tx: Tx) -> Station:
    counts = review.count_tasks(tx)
    facts = {f"{state} tasks": str(count) for state, count in counts.items()}
    return Station(name="review", facts=facts, needs_a_look=counts.get("open", 0) > 0)


def _loop(tx: Tx) -> Station:
    counts = steps.counts(tx)
    facts = {f"{state} steps": str(count) for state, count in counts.items()}
    facts["events waiting"] = str(events.waiting(tx, LOOP))
    facts |= {
        f"turn of {turn.model}": f"{turn.state} - {turn.reason}" for turn in list_turns(tx)[-1:]
    }
    return Station(name="loop", facts=facts, needs_a_look=counts[StepState.FAILED] > 0)


def _audit(tx: Tx) -> Station:
    seal = audit.latest(tx)
    facts = {"newest seal": "none yet" if seal is None else f"{seal.number} {short(seal.seal)}"}
    return Station(name="audit log", facts=facts, needs_a_look=False)
