"""Everything the report tells, gathered through services once the demo is over."""

from __future__ import annotations

from typing import Literal

import msgspec

from sightloop.datasets.commits import LogCommits, LoggedCommit
from sightloop.demo.cameras import Shot
from sightloop.demo.promises import Promise
from sightloop.demo.stage import Stage
from sightloop.evaluation.bootstrap import Gain
from sightloop.fleet.rollout_status import (
    ListRollouts,
    RolloutList,
    RolloutStatus,
)
from sightloop.fleet.rollouts import NameRollout
from sightloop.kernel.events import Event
from sightloop.loop.evidence import EvidenceChain, ShowEvidence
from sightloop.loop.services import EventList, ListEvents, LoopStatus, ShowLoop
from sightloop.loop.turns import Turn
from sightloop.monitoring.evidence import Incident
from sightloop.monitoring.incidents import Explanation, FindIncident, ListIncidents
from sightloop.registry.card import ModelCard
from sightloop.registry.catalogue import ListVersions, ShowVersion, VersionList
from sightloop.review.listing import ListTasks, TaskList
from sightloop.review.values import Task
from sightloop.tracking.services import ListRuns, RunFacts, RunPage, ShowRun

FORMAT: Literal["sightloop.demo-report/1"] = "sightloop.demo-report/1"


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """What the cameras met."""

    n_requests: int
    n_failed: int
    problems: list[str]
    latency_p50_ms: float
    latency_p95_ms: float
    latency_p99_ms: float
    by_device: dict[str, int]


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """Every record of the demo by its id, so that any of them can be asked for."""

    commits: list[str]
    runs: list[str]
    versions: list[str]
    bundles: list[str]
    verdicts: list[str]
    incidents: list[str]
    turns: list[str]
    rollouts: list[str]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """`report.json`."""

    format: Literal["sightloop.demo-report/1"] = FORMAT
    kept_all: bool
    promises: list[Promise]
    summary: str
    why: str
    """Why the model was retrained, or why it was not."""
    started_at_ms: int
    duration_s: float
    station_s: dict[str, float]
    command: str
    hardware: str
    versions: dict[str, str]
    labels: dict[str, int]
    n_new_line_shown: int
    traffic: Traffic
    memory_bytes: dict[str, int]
    new_gain: Gain | None
    old_gain: Gain | None
    named: Named


class Records(msgspec.Struct, frozen=True, kw_only=True):
    """What the services answered at the end."""

    commits: list[LoggedCommit]
    runs: list[RunFacts]
    cards: list[ModelCard]
    explanations: list[Explanation]
    turns: list[Turn]
    rollouts: list[RolloutStatus]
    tasks: list[Task]
    events: list[Event]
    evidence: EvidenceChain


def gather(stage: Stage, model: str) -> Records:
    """Ask for everything once."""
    loop = stage.call("loop.status", ShowLoop(), LoopStatus)
    runs = stage.call("runs.list", ListRuns(), RunPage).runs
    versions = stage.call("models.versions", ListVersions(model=model), VersionList).versions
    incidents = stage.call("monitor.incidents", ListIncidents(), list[Incident])
    rollouts = stage.call("rollout.list", ListRollouts(model=model), RolloutList).rollouts
    return Records(
        commits=stage.call("data.log", LogCommits(ref="main"), list[LoggedCommit]),
        runs=[stage.call("runs.show", ShowRun(run=run.id), RunFacts) for run in reversed(runs)],
        cards=[
            stage.call("models.show", ShowVersion(version=one.version.name), ModelCard)
            for one in versions
        ],
        explanations=[
            stage.call("monitor.explain", FindIncident(incident=one.id), Explanation)
            for one in reversed(incidents)
        ],
        turns=loop.turns,
        rollouts=[
            stage.call("rollout.status", NameRollout(rollout=one.id), RolloutStatus)
            for one in reversed(rollouts)
        ],
        tasks=stage.call("review.list", ListTasks(limit=5000), TaskList).tasks,
        events=_all_events(stage),
        evidence=stage.call(
            "models.evidence", ShowEvidence(version=f"{model}@champion"), EvidenceChain
        ),
    )


def named(records: Records) -> Named:
    """The ids of all records."""
    return Named(
        commits=[one.commit for one in records.commits],
        runs=[one.run.id for one in records.runs],
        versions=[card.version.name for card in records.cards],
        bundles=[card.version.bundle for card in records.cards],
        verdicts=[card.verdict.id for card in records.cards if card.verdict],
        incidents=[one.incident.id for one in records.explanations],
        turns=[turn.id for turn in records.turns],
        rollouts=[one.rollout.id for one in records.rollouts],
    )


def traffic_of(shots: list[Shot]) -> Traffic:
    """The shots in numbers."""
    latencies = sorted(shot.latency_ms for shot in shots if shot.ok) or [0.0]
    failed = [shot for shot in shots if not shot.ok]
    devices = sorted({shot.device for shot in shots})
    return Traffic(
        n_requests=len(shots),
        n_failed=len(failed),
        problems=sorted({shot.problem for shot in failed})[:10],
        latency_p50_ms=_quantile(latencies, 0.5),
        latency_p95_ms=_quantile(latencies, 0.95),
        latency_p99_ms=_quantile(latencies, 0.99),
        by_device={name: sum(shot.device == name for shot in shots) for name in devices},
    )


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def _all_events(stage: Stage) -> list[Event]:
    found: list[Event] = []
    while True:
        after = found[-1].number if found else 0
        more = stage.call("events.list", ListEvents(after=after, limit=1000), EventList).events
        if not more:
            return found
        found += more
