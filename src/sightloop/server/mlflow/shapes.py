"""Records of ours as MLflow's clients read them. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sightloop.tracking.experiments import Experiment
from sightloop.tracking.inputs import DatasetInput, ModelLink
from sightloop.tracking.search import RunWithFacts
from sightloop.tracking.values import MetricPoint, RunState

STATUS: Mapping[RunState, str] = {
    "running": "RUNNING",
    "scheduled": "SCHEDULED",
    "finished": "FINISHED",
    "failed": "FAILED",
    "cancelled": "KILLED",
}
STATES: Mapping[str, RunState] = {status: state for state, status in STATUS.items()}


def run_shape(
    found: RunWithFacts,
    datasets: Sequence[DatasetInput] = (),
    models: Sequence[ModelLink] = (),
    outputs: Sequence[ModelLink] = (),
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
        "data": {
            "metrics": [metric_shape(point) for point in found.metrics],
            "params": pairs(found.params),
            "tags": pairs(found.tags),
        },
        "inputs": inputs_shape(datasets, models),
    }
    if outputs:
        links = [{"model_id": one.model, "step": one.step} for one in outputs]
        shape["outputs"] = {"model_outputs": links}
    return shape


def inputs_shape(datasets: Sequence[DatasetInput], models: Sequence[ModelLink]) -> dict[str, Any]:
    """What a run used; empty of what it did not."""
    shape: dict[str, Any] = {}
    if datasets:
        shape["dataset_inputs"] = [_dataset_shape(one) for one in datasets]
    if models:
        shape["model_inputs"] = [{"model_id": one.model} for one in models]
    return shape


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
    }
    if one.tags:
        shape["tags"] = pairs(one.tags.items())
    return shape


def lifecycle(is_deleted: bool) -> str:
    """How MLflow says whether something is deleted."""
    return "deleted" if is_deleted else "active"


def pairs(values: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """Texts by name, one object each."""
    return [{"key": key, "value": value} for key, value in values]


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
