"""Tracking what somebody else's code does: runs begin, measure, are labelled, end.

Everything may be sent twice: a point that is there is no second point, a parameter with the same
value is no change. Small writes of many clients share one commit.
"""

from __future__ import annotations

import msgspec

from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.workspace import Call, Workspace
from sightloop.tracking import limits, store
from sightloop.tracking.errors import BadName, BadPoint, ExperimentDeleted, RunDeleted
from sightloop.tracking.experiments import Experiment, find_experiment
from sightloop.tracking.inputs import DatasetInput, ModelLink, add_datasets, add_models
from sightloop.tracking.labels import add_params, remove_tag, set_tags
from sightloop.tracking.logged_models import ModelPoint, add_model_points, find_logged_model
from sightloop.tracking.points import add_points
from sightloop.tracking.search import RunWithFacts, with_facts
from sightloop.tracking.values import MAX_STEP, MetricPoint, Run, RunId, RunState

NAME_TAG = "mlflow.runName"
USER_TAG = "mlflow.user"


class BeginRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run of code that Sightloop did not start."""

    experiment: int
    name: str = ""
    user: str = ""
    started_at_ms: int | None = None
    tags: dict[str, str] = {}


class LogBatch(msgspec.Struct, frozen=True, kw_only=True):
    """What a run measured, was given, and is said of it; all of it or, with an error, nothing."""

    run: str
    metrics: list[MetricPoint] = []
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    of_models: list[ModelPoint] = []
    """Points that were measured of logged models; each is among `metrics` too."""


class ChangeRun(msgspec.Struct, frozen=True, kw_only=True):
    """A new state, end or name; None keeps what is."""

    run: str
    state: RunState | None = None
    ended_at_ms: int | None = None
    name: str | None = None


class LogInputs(msgspec.Struct, frozen=True, kw_only=True):
    """What the run used and made."""

    run: str
    datasets: list[DatasetInput] = []
    models: list[ModelLink] = []
    outputs: list[ModelLink] = []


def begin_run(workspace: Workspace, call: Call, request: BeginRun) -> RunWithFacts:
    """A new run, under way.

    Raises:
        NotAllowed: the actor may not track.
        ExperimentUnknown: there is no such experiment.
        ExperimentDeleted: it was deleted.
        BadName: a tag cannot be called this.
        TooMuch: a tag is too long.
    """
    require(call.actor, Permission.TRAIN)
    _check_tags(request.tags)
    run = RunId(workspace.ids.new("run"))
    now_ms = workspace.clock.now_ms()
    name = request.name or request.tags.get(NAME_TAG, "") or f"run-{run[-8:]}"

    def begin(tx: Tx) -> None:
        experiment = _open_experiment(tx, request.experiment)
        store.start_run(
            tx,
            run,
            experiment=experiment.name,
            name=name,
            inputs=None,
            now_ms=now_ms if request.started_at_ms is None else request.started_at_ms,
            user=request.user,
        )
        set_tags(tx, run, {**request.tags, NAME_TAG: name})

    workspace.db.write_together(begin)
    return _read(workspace, run)


def log_batch(workspace: Workspace, call: Call, request: LogBatch) -> None:
    """Add points, parameters and tags to a run.

    Parameters and tags are checked and written first: when one is refused, no point was added.

    Raises:
        NotAllowed: the actor may not track.
        RunUnknown: there is no such run.
        RunDeleted: it was deleted.
        LoggedModelUnknown: there is no such logged model.
        ParamChanged: a parameter has another value already.
        BadName: something cannot be called this.
        BadPoint: a point's time or step cannot be right.
        TooMuch: the batch has too many entries, or a text is too long.
    """
    require(call.actor, Permission.TRAIN)
    _check_batch(request)
    with workspace.db.read() as tx:
        active_run(tx, request.run)
        for model in {one.model for one in request.of_models}:
            find_logged_model(tx, model)
    if request.params or request.tags:

        def label(tx: Tx) -> None:
            add_params(tx, request.run, request.params)
            set_tags(tx, request.run, request.tags)
            if NAME_TAG in request.tags:
                _rename(tx, request.run, request.tags[NAME_TAG])

        workspace.db.write_together(label)
    if request.metrics:

        def measure(tx: Tx) -> None:
            add_points(tx, request.run, request.metrics)
            add_model_points(tx, request.of_models)

        workspace.db.points.write_together(measure)


def change_run(workspace: Workspace, call: Call, request: ChangeRun) -> RunWithFacts:
    """The run with its new state, end or name.

    Raises:
        NotAllowed: the actor may not track.
        RunUnknown: there is no such run.
        RunDeleted: it was deleted.
    """
    require(call.actor, Permission.TRAIN)

    def change(tx: Tx) -> None:
        run = active_run(tx, request.run)
        changed = msgspec.structs.replace(
            run,
            state=run.state if request.state is None else request.state,
            ended_at_ms=run.ended_at_ms if request.ended_at_ms is None else request.ended_at_ms,
        )
        store.change_run(tx, changed)
        if request.name:
            _rename(tx, run.id, request.name)
            set_tags(tx, run.id, {NAME_TAG: request.name})

    workspace.db.write_together(change)
    return _read(workspace, request.run)


def mark_run(workspace: Workspace, call: Call, run: str, *, is_deleted: bool) -> None:
    """Delete the run, or take it back; nothing is lost by it.

    Raises:
        NotAllowed: the actor may not track.
        RunUnknown: there is no such run.
    """
    require(call.actor, Permission.TRAIN)
    with workspace.db.write() as tx:
        found = store.find_run(tx, run)
        store.change_run(tx, msgspec.structs.replace(found, is_deleted=is_deleted))


def untag_run(workspace: Workspace, call: Call, run: str, key: str) -> bool:
    """Remove a tag; whether it was there.

    Raises:
        NotAllowed: the actor may not track.
        RunUnknown: there is no such run.
        RunDeleted: it was deleted.
    """
    require(call.actor, Permission.TRAIN)
    with workspace.db.write() as tx:
        active_run(tx, run)
        return remove_tag(tx, run, key)


def log_inputs(workspace: Workspace, call: Call, request: LogInputs) -> None:
    """Record data sets and models that the run used, and models it made.

    Raises:
        NotAllowed: the actor may not track.
        RunUnknown: there is no such run.
        RunDeleted: it was deleted.
        TooMuch: a data set's name or digest is too long.
    """
    require(call.actor, Permission.TRAIN)
    for one in request.datasets:
        name, digest = one.dataset.name, one.dataset.digest
        limits.check_value(
            name, limits.MAX_DATASET_NAME_CHARACTERS, what="the name of data set", key=name
        )
        limits.check_value(
            digest, limits.MAX_DATASET_DIGEST_CHARACTERS, what="the digest of data set", key=name
        )
    with workspace.db.write() as tx:
        active_run(tx, request.run)
        add_datasets(tx, request.run, request.datasets)
        add_models(tx, request.run, request.models, side="input")
        add_models(tx, request.run, request.outputs, side="output")


def active_run(tx: Tx, run: str) -> Run:
    """The run, which is not deleted.

    Raises:
        RunUnknown: there is no such run.
        RunDeleted: it was deleted.
    """
    found = store.find_run(tx, run)
    if found.is_deleted:
        raise RunDeleted(run=run)
    return found


def _open_experiment(tx: Tx, number: int) -> Experiment:
    experiment = find_experiment(tx, number)
    if experiment.is_deleted:
        raise ExperimentDeleted(name=experiment.name)
    return experiment


def _check_batch(request: LogBatch) -> None:
    limits.check_batch(request.metrics, request.params, request.tags)
    for key in {point.key for point in request.metrics}:
        limits.check_key(key, what="metric")
    for point in request.metrics:
        if not 0 <= point.at_ms <= MAX_STEP:
            problem = f"its time {str(point.at_ms)[:40]} ms is not between 1970 and 2**63 ms later"
            raise BadPoint(run=request.run, key=point.key, problem=problem)
    for key, value in request.params.items():
        limits.check_key(key, what="parameter")
        limits.check_value(value, limits.MAX_PARAM_CHARACTERS, what="parameter", key=key)
    _check_tags(request.tags)


def _check_tags(tags: dict[str, str]) -> None:
    for key, value in tags.items():
        limits.check_key(key, what="tag")
        limits.check_value(value, limits.MAX_TAG_CHARACTERS, what="tag", key=key)


def _rename(tx: Tx, run: str, name: str) -> None:
    if not name:
        raise BadName(what="run", name=name, problem="it is empty")
    store.change_run(tx, msgspec.structs.replace(store.find_run(tx, run), name=name))


def _read(workspace: Workspace, run: str) -> RunWithFacts:
    with workspace.db.read() as tx:
        (found,) = with_facts(tx, [run])
    return found
