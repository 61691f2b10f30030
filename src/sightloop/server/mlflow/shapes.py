"""Records of ours as MLflow's clients read them. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from sightloop.tracking.experiments import Experiment
from sightloop.tracking.inputs import DatasetInput, ModelLink
from sightloop.tracking.logged_models import (
    LoggedModel,
    LoggedModelWithFacts,
    ModelPoint,
    ModelStatus,
)
from sightloop.tracking.search import STATUS, RunWithFacts
from sightloop.tracking.values import MetricPoint, RunState

STATES: Mapping[str, RunState] = {status: state for state, status in STATUS.items()}


def run_shape(
    found: RunWithFacts,
    datasets: Sequence[DatasetInput] = (),
    models: Sequence[ModelLink] = (),
    outputs: Sequence[ModelLink] | None = None,
) -> dict[str, Any]:
    """A run with everything that is listed with it."""
    run = found.run
    info: dict[str, Any] = {
        "run_id": run.id,
        "run_uuid": run.id,
        "run_name": run.name,
        "experiment_id": str(found.experiment),
        "user_id": run.user,
        "status": STATUS[run.state],
        "start_time": run.started_at_ms,
        "artifact_uri": f"mlflow-artifacts:/{found.experiment}/{run.id}/artifacts",
        "lifecycle_stage": lifecycle(run.is_deleted),
    }
    if run.ended_at_ms is not None:
        info["end_time"] = run.ended_at_ms
    shape: dict[str, Any] = {
        "info": info,
        "data": without_empty(
            metrics=[_newest(point) for point in found.metrics],
            params=pairs(found.params),
            tags=pairs(found.tags),
        ),
        "inputs": inputs_shape(datasets, models),
    }
    if outputs is not None:
        links = [{"model_id": one.model, "step": one.step} for one in outputs]
        shape["outputs"] = without_empty(model_outputs=links)
    return shape


MODEL_STATUS: Mapping[ModelStatus, str] = {
    "pending": "LOGGED_MODEL_PENDING",
    "ready": "LOGGED_MODEL_READY",
    "failed": "LOGGED_MODEL_UPLOAD_FAILED",
}


def logged_model_shape(found: LoggedModelWithFacts) -> dict[str, Any]:
    """A logged model with everything that is listed with it."""
    model = found.model
    info: dict[str, Any] = {
        "model_id": model.id,
        "experiment_id": str(model.experiment),
        "name": model.name,
        "creation_timestamp_ms": model.created_at_ms,
        "last_updated_timestamp_ms": model.updated_at_ms,
        "artifact_uri": logged_model_uri(model),
        "status": MODEL_STATUS[model.status],
        "model_type": model.model_type,
        "source_run_id": model.source_run,
    }
    if found.tags:
        info["tags"] = pairs(found.tags.items())
    data: dict[str, Any] = {}
    if found.params:
        data["params"] = pairs(found.params.items())
    if found.points:
        data["metrics"] = [_model_point_shape(one) for one in found.points]
    return {"info": info, "data": data}


def logged_model_uri(model: LoggedModel) -> str:
    """Where its files are."""
    return f"mlflow-artifacts:/{model.experiment}/models/{model.id}/artifacts"


def inputs_shape(datasets: Sequence[DatasetInput], models: Sequence[ModelLink]) -> dict[str, Any]:
    """What a run used; empty of what it did not."""
    shape: dict[str, Any] = {}
    if datasets:
        shape["dataset_inputs"] = [_dataset_shape(one) for one in datasets]
    if models:
        shape["model_inputs"] = [{"model_id": one.model} for one in models]
    return shape


class _Newest(msgspec.Struct, frozen=True, gc=False):
    """What `metric_shape` is; a page of runs has too many of them for dictionaries."""

    key: str
    value: float | str
    timestamp: int
    step: int


class Pair(msgspec.Struct, frozen=True, gc=False):
    """A text by name."""

    key: str
    value: str


def _newest(point: MetricPoint) -> _Newest:
    value = point.value
    shown = value if math.isfinite(value) else number_shape(value)
    return _Newest(point.key, shown, point.at_ms, point.step)


def metric_shape(point: MetricPoint) -> dict[str, Any]:
    """A point; numbers that JSON lacks are texts."""
    return {
        "key": point.key,
        "value": number_shape(point.value),
        "timestamp": point.at_ms,
        "step": point.step,
    }


def number_shape(value: float) -> float | str:
    """A number as MLflow's JSON has it.

    >>> number_shape(float("-inf")), number_shape(0.5)
    ('-Infinity', 0.5)
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def experiment_shape(one: Experiment) -> dict[str, Any]:
    """An experiment; its artifacts lie at the server unless it says otherwise."""
    shape: dict[str, Any] = {
        "experiment_id": str(one.id),
        "name": one.name,
        "artifact_location": one.artifact_location or f"mlflow-artifacts:/{one.id}",
        "lifecycle_stage": lifecycle(one.is_deleted),
        "last_update_time": one.updated_at_ms,
        "creation_time": one.created_at_ms,
        "workspace": "default",
    }
    if one.tags:
        shape["tags"] = pairs(one.tags.items())
    return shape


def without_empty(**lists: list[Any]) -> dict[str, Any]:
    """The lists that hold something; MLflow's JSON leaves out those that do not."""
    return {name: one for name, one in lists.items() if one}


def lifecycle(is_deleted: bool) -> str:
    """How MLflow says whether something is deleted."""
    return "deleted" if is_deleted else "active"


def _model_point_shape(one: ModelPoint) -> dict[str, Any]:
    shape = metric_shape(one.point)
    if one.dataset_name:
        shape |= {"dataset_name": one.dataset_name, "dataset_digest": one.dataset_digest}
    return shape | {"model_id": one.model, "run_id": one.run}


def pairs(values: Iterable[tuple[str, str]]) -> list[Pair]:
    """Texts by name, one object each."""
    return [Pair(key, value) for key, value in values]


def _dataset_shape(one: DatasetInput) -> dict[str, Any]:
    dataset = one.dataset
    shape = {
        "name": dataset.name,
        "digest": dataset.digest,
        "source_type": dataset.source_type,
        "source": dataset.source,
    }
    for name in ("schema", "profile"):
        if value := getattr(dataset, name):
            shape[name] = value
    return {"tags": pairs(one.tags), "dataset": shape}
