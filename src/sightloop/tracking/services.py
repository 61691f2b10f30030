"""What people and pages ask about runs."""

from __future__ import annotations

import msgspec

from sightloop.contracts.numbers import Number, to_wire
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.workspace import Call, Workspace
from sightloop.tracking import store
from sightloop.tracking.values import MetricPoint, Run, RunArtifact, RunState


class ListRuns(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs are wanted, newest first; `before` is the last run of the page before."""

    experiment: str | None = None
    state: RunState | None = None
    before: str | None = None
    limit: int = 100


class RunPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some runs; `next_before` asks for those after them and is None on the last page."""

    runs: list[Run]
    next_before: str | None


class ShowRun(msgspec.Struct, frozen=True, kw_only=True):
    """Which run."""

    run: str


class PointFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A metric point as it travels in JSON."""

    value: Number
    step: int
    at_ms: int


class RunFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A run with the newest value of each metric and its artifacts."""

    run: Run
    metrics: dict[str, PointFacts]
    artifacts: list[RunArtifact]


class ShowHistory(msgspec.Struct, frozen=True, kw_only=True):
    """Which metric of which run."""

    run: str
    key: str


class MetricHistory(msgspec.Struct, frozen=True, kw_only=True):
    """Every point of one metric, by step and then by time."""

    run: str
    key: str
    points: list[PointFacts]


def list_runs(workspace: Workspace, call: Call, request: ListRuns) -> RunPage:
    """One page of runs.

    Raises:
        NotAllowed: the actor may not read.
        RunUnknown: `before` names no run.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        # One more than asked for tells whether another page follows.
        runs = store.list_runs(
            tx,
            experiment=request.experiment,
            state=request.state,
            before=request.before,
            limit=request.limit + 1,
        )
    page = runs[: request.limit]
    return RunPage(runs=page, next_before=page[-1].id if len(runs) > len(page) else None)


def show_run(workspace: Workspace, call: Call, request: ShowRun) -> RunFacts:
    """Everything about one run but its curves.

    Raises:
        NotAllowed: the actor may not read.
        RunUnknown: there is no such run.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        return RunFacts(
            run=store.find_run(tx, request.run),
            metrics={
                key: _facts_of(point)
                for key, point in store.latest_metrics(tx, request.run).items()
            },
            artifacts=store.list_artifacts(tx, request.run),
        )


def show_history(workspace: Workspace, call: Call, request: ShowHistory) -> MetricHistory:
    """One curve, whole; a metric that was never logged has no points.

    Raises:
        NotAllowed: the actor may not read.
        RunUnknown: there is no such run.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        store.find_run(tx, request.run)
        points = store.metric_history(tx, request.run, request.key)
    return MetricHistory(
        run=request.run, key=request.key, points=[_facts_of(point) for point in points]
    )


def _facts_of(point: MetricPoint) -> PointFacts:
    return PointFacts(value=to_wire(point.value), step=point.step, at_ms=point.at_ms)
