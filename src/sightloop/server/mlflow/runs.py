"""Runs, their metrics, parameters, tags and inputs, at MLflow's addresses."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.workspace import Call, Workspace
from sightloop.server.mlflow.endpoints import Answer, BadMlflowRequest, Endpoint
from sightloop.server.mlflow.requests import (
    OfRun,
    Pair,
    SearchPage,
    check_page_size,
    experiment_number,
    experiment_numbers,
    texts_of,
)
from sightloop.server.mlflow.shapes import STATES, run_shape
from sightloop.tracking import limits, recording
from sightloop.tracking.errors import TagUnknown
from sightloop.tracking.inputs import Dataset, DatasetInput, ModelLink, datasets_of, models_of
from sightloop.tracking.logged_models import ModelPoint
from sightloop.tracking.search import RunWithFacts, search_runs, with_facts
from sightloop.tracking.store import find_run
from sightloop.tracking.values import MetricPoint

_VIEWS = {"ACTIVE_ONLY": False, "DELETED_ONLY": True, "ALL": None}


class Metric(msgspec.Struct, frozen=True):
    """A point; NaN and the infinities come as texts."""

    key: str
    value: float | str
    timestamp: int
    step: int = 0
    model_id: str = ""
    dataset_name: str = ""
    dataset_digest: str = ""


class CreateRun(msgspec.Struct, frozen=True, kw_only=True):
    experiment_id: str = "0"
    user_id: str = ""
    run_name: str = ""
    start_time: int | None = None
    tags: list[Pair] = []


class UpdateRun(OfRun, frozen=True, kw_only=True):
    status: str = ""
    end_time: int | None = None
    run_name: str = ""


class SearchRuns(SearchPage, frozen=True, kw_only=True):
    experiment_ids: list[str] = msgspec.field(default_factory=list)
    run_view_type: str = "ACTIVE_ONLY"
    max_results: int = 1000


class LogMetric(OfRun, frozen=True, kw_only=True):
    key: str
    value: float | str
    timestamp: int
    step: int = 0
    model_id: str = ""
    dataset_name: str = ""
    dataset_digest: str = ""


class LogText(OfRun, frozen=True, kw_only=True):
    key: str
    value: str = ""


class DeleteTag(OfRun, frozen=True, kw_only=True):
    key: str


class LogBatch(OfRun, frozen=True, kw_only=True):
    metrics: list[Metric] = msgspec.field(default_factory=list)
    params: list[Pair] = msgspec.field(default_factory=list)
    tags: list[Pair] = msgspec.field(default_factory=list)


class InputDataset(msgspec.Struct, frozen=True):
    dataset: Dataset
    tags: list[Pair] = []


class InputModel(msgspec.Struct, frozen=True):
    model_id: str
    step: int = 0


class LogInputs(OfRun, frozen=True, kw_only=True):
    datasets: list[InputDataset] = msgspec.field(default_factory=list)
    models: list[InputModel] = msgspec.field(default_factory=list)


class LogOutputs(OfRun, frozen=True, kw_only=True):
    models: list[InputModel] = msgspec.field(default_factory=list)


def create_run(workspace: Workspace, call: Call, request: CreateRun) -> Answer:
    begun = recording.begin_run(
        workspace,
        call,
        recording.BeginRun(
            experiment=experiment_number(request.experiment_id),
            name=request.run_name,
            user=request.user_id,
            started_at_ms=request.start_time,
            tags=texts_of(request.tags),
        ),
    )
    return {"run": run_shape(begun)}


def get_run(workspace: Workspace, call: Call, request: OfRun) -> Answer:
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        run = find_run(tx, request.run)
        found = with_facts(tx, [run.id])
        return {"run": _shapes(tx, found)[0]}


def update_run(workspace: Workspace, call: Call, request: UpdateRun) -> Answer:
    if request.status and request.status not in STATES:
        known = ", ".join(STATES)
        raise BadMlflowRequest(problem=f"status {request.status[:40]!r} is none of {known}")
    changed = recording.change_run(
        workspace,
        call,
        recording.ChangeRun(
            run=request.run,
            state=STATES.get(request.status),
            ended_at_ms=request.end_time,
            name=request.run_name or None,
        ),
    )
    return {"run_info": run_shape(changed)["info"]}


def delete_run(workspace: Workspace, call: Call, request: OfRun) -> Answer:
    recording.mark_run(workspace, call, request.run, is_deleted=True)
    return {}


def restore_run(workspace: Workspace, call: Call, request: OfRun) -> Answer:
    recording.mark_run(workspace, call, request.run, is_deleted=False)
    return {}


def search(workspace: Workspace, call: Call, request: SearchRuns) -> Answer:
    require(call.actor, Permission.READ)
    if request.run_view_type not in _VIEWS:
        known = ", ".join(_VIEWS)
        raise BadMlflowRequest(problem=f"run_view_type is none of {known}")
    check_page_size(request.max_results, limits.MAX_RUNS_PER_PAGE)
    with workspace.db.read() as tx:
        found = search_runs(
            tx,
            experiment_ids=experiment_numbers(request.experiment_ids),
            filter_text=request.filter,
            order_by=request.order_by,
            is_deleted=_VIEWS[request.run_view_type],
            limit=request.max_results,
            token=request.page_token,
        )
        shapes = _shapes(tx, found.runs)
    answer: Answer = {"runs": shapes}
    if found.next_token:
        answer["next_page_token"] = found.next_token
    return answer


def log_metric(workspace: Workspace, call: Call, request: LogMetric) -> Answer:
    fields = {name: getattr(request, name) for name in Metric.__struct_fields__}
    batch = LogBatch(run_id=request.run, metrics=[Metric(**fields)])
    return log_batch(workspace, call, batch)


def log_parameter(workspace: Workspace, call: Call, request: LogText) -> Answer:
    params = {request.key: request.value}
    recording.log_batch(workspace, call, recording.LogBatch(run=request.run, params=params))
    return {}


def set_tag(workspace: Workspace, call: Call, request: LogText) -> Answer:
    tags = {request.key: request.value}
    recording.log_batch(workspace, call, recording.LogBatch(run=request.run, tags=tags))
    return {}


def delete_tag(workspace: Workspace, call: Call, request: DeleteTag) -> Answer:
    if not recording.untag_run(workspace, call, request.run, request.key):
        raise TagUnknown(run=request.run, key=request.key)
    return {}


def log_batch(workspace: Workspace, call: Call, request: LogBatch) -> Answer:
    params: dict[str, str] = {}
    for one in request.params:
        if params.setdefault(one.key, one.value) != one.value or _is_twice(one, request.params):
            raise BadMlflowRequest(problem=f"parameter {one.key[:80]!r} stands in it twice")
    recording.log_batch(
        workspace,
        call,
        recording.LogBatch(
            run=request.run,
            metrics=[_point(one) for one in request.metrics],
            params=params,
            tags=texts_of(request.tags),
            of_models=[_of_model(one, request.run) for one in request.metrics if one.model_id],
        ),
    )
    return {}


def log_inputs(workspace: Workspace, call: Call, request: LogInputs) -> Answer:
    recording.log_inputs(
        workspace,
        call,
        recording.LogInputs(
            run=request.run,
            datasets=[
                DatasetInput(dataset=one.dataset, tags=[(tag.key, tag.value) for tag in one.tags])
                for one in request.datasets
            ],
            models=[ModelLink(model=one.model_id) for one in request.models],
        ),
    )
    return {}


def log_outputs(workspace: Workspace, call: Call, request: LogOutputs) -> Answer:
    outputs = [ModelLink(model=one.model_id, step=one.step) for one in request.models]
    recording.log_inputs(workspace, call, recording.LogInputs(run=request.run, outputs=outputs))
    return {}


def _is_twice(one: Pair, among: Sequence[Pair]) -> bool:
    return sum(other.key == one.key for other in among) > 1


def _point(metric: Metric) -> MetricPoint:
    try:
        value = float(metric.value)
    except ValueError as error:
        problem = f"value {str(metric.value)[:40]!r} of metric {metric.key[:80]!r} is no number"
        raise BadMlflowRequest(problem=problem) from error
    return MetricPoint(key=metric.key, value=value, step=metric.step, at_ms=metric.timestamp)


def _of_model(metric: Metric, run: str) -> ModelPoint:
    return ModelPoint(
        model=metric.model_id,
        run=run,
        point=_point(metric),
        dataset_name=metric.dataset_name,
        dataset_digest=metric.dataset_digest,
    )


def _shapes(tx: Tx, found: list[RunWithFacts]) -> list[Answer]:
    ids = [one.run.id for one in found]
    datasets, models = datasets_of(tx, ids), models_of(tx, ids, side="input")
    outputs = models_of(tx, ids, side="output")
    return [
        run_shape(one, datasets[one.run.id], models[one.run.id], outputs[one.run.id])
        for one in found
    ]


ENDPOINTS = (
    Endpoint("POST", "runs/create", CreateRun, create_run),
    Endpoint("GET", "runs/get", OfRun, get_run),
    Endpoint("POST", "runs/update", UpdateRun, update_run),
    Endpoint("POST", "runs/delete", OfRun, delete_run),
    Endpoint("POST", "runs/restore", OfRun, restore_run),
    Endpoint("POST", "runs/search", SearchRuns, search),
    Endpoint("POST", "runs/log-metric", LogMetric, log_metric),
    Endpoint("POST", "runs/log-parameter", LogText, log_parameter),
    Endpoint("POST", "runs/log-batch", LogBatch, log_batch),
    Endpoint("POST", "runs/set-tag", LogText, set_tag),
    Endpoint("POST", "runs/delete-tag", DeleteTag, delete_tag),
    Endpoint("POST", "runs/log-inputs", LogInputs, log_inputs),
    Endpoint("POST", "runs/outputs", LogOutputs, log_outputs),
)
