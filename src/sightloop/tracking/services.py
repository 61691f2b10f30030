"""What people and pages ask about runs."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from sightloop.contracts.numbers import Number, to_wire
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.workspace import Call, Workspace
from sightloop.tracking import store
from sightloop.tracking.artifacts import list_artifacts
from sightloop.tracking.curves import MAX_POINTS, Curve, thin_curve
from sightloop.tracking.experiments import experiment_names
from sightloop.tracking.labels import params_of, tags_of
from sightloop.tracking.points import latest_metrics, latest_of_runs, metric_columns, metric_history
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


class ListExperiments(msgspec.Struct, frozen=True, kw_only=True):
    """Some names of experiments, in their order."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 200


class ExperimentList(msgspec.Struct, frozen=True, kw_only=True):
    """Names, sorted."""

    experiments: list[str]


class ShowMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """Of which runs."""

    runs: Annotated[list[str], Meta(max_length=500)]


class RunMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """The newest value of each metric, by run; a run that is not known has none."""

    by_run: dict[str, dict[str, PointFacts]]


class ShowCurves(msgspec.Struct, frozen=True, kw_only=True):
    """The curves of which run, in at most so many points each."""

    run: str
    max_points: Annotated[int, Meta(ge=10, le=MAX_POINTS)] = MAX_POINTS
    max_curves: Annotated[int, Meta(ge=1, le=1000)] = 200


class RunCurves(msgspec.Struct, frozen=True, kw_only=True):
    """Every metric of a run over its steps, by name."""

    run: str
    name: str
    state: RunState
    started_at_ms: int
    curves: list[Curve]
    n_left_out: int
    """How many curves there are beyond those asked for."""


class RunFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A run with the newest value of each metric and its artifacts."""

    run: Run
    metrics: dict[str, PointFacts]
    artifacts: list[RunArtifact]
    params: dict[str, str] = {}
    tags: dict[str, str] = {}


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
                key: _facts_of(point) for key, point in latest_metrics(tx, request.run).items()
            },
            artifacts=list_artifacts(tx, request.run),
            params=params_of(tx, request.run),
            tags=tags_of(tx, request.run),
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
        points = metric_history(tx, request.run, request.key)
    return MetricHistory(
        run=request.run, key=request.key, points=[_facts_of(point) for point in points]
    )


def list_experiments(workspace: Workspace, call: Call, request: ListExperiments) -> ExperimentList:
    """The experiments runs belong to.

    Raises:
        NotAllowed: the actor may not read.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        return ExperimentList(experiments=experiment_names(tx, limit=request.limit))


def show_metrics(workspace: Workspace, call: Call, request: ShowMetrics) -> RunMetrics:
    """The newest values of several runs at once.

    Raises:
        NotAllowed: the actor may not read.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        found = latest_of_runs(tx, request.runs)
    return RunMetrics(
        by_run={
            run: {key: _facts_of(point) for key, point in metrics.items()}
            for run, metrics in found.items()
        }
    )


def show_curves(workspace: Workspace, call: Call, request: ShowCurves) -> RunCurves:
    """Every curve of a run, thinned so that a page can draw it.

    Raises:
        NotAllowed: the actor may not read.
        RunUnknown: there is no such run.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        run = store.find_run(tx, request.run)
        keys = sorted(latest_metrics(tx, run.id))
        shown = {key: metric_columns(tx, run.id, key) for key in keys[: request.max_curves]}
    return RunCurves(
        run=run.id,
        name=run.name,
        state=run.state,
        started_at_ms=run.started_at_ms,
        curves=[
            thin_curve(
                key,
                steps=columns.steps,
                at_ms=columns.at_ms,
                values=columns.values,
                limit=request.max_points,
            )
            for key, columns in shown.items()
        ],
        n_left_out=len(keys) - len(shown),
    )


def _facts_of(point: MetricPoint) -> PointFacts:
    return PointFacts(value=to_wire(point.value), step=point.step, at_ms=point.at_ms)
