"""Logged models at MLflow's addresses."""

from __future__ import annotations

from typing import Any

import msgspec

from sightloop.kernel.workspace import Call, Workspace
from sightloop.server.mlflow.artifact_shapes import file_shapes
from sightloop.server.mlflow.endpoints import Answer, BadMlflowRequest, Endpoint
from sightloop.server.mlflow.requests import (
    OfRun,
    Pair,
    check_page_size,
    experiment_number,
    experiment_numbers,
    page_answer,
    texts_of,
)
from sightloop.server.mlflow.shapes import MODEL_STATUS, logged_model_shape, logged_model_uri
from sightloop.tracking import modelling, uploading
from sightloop.tracking.logged_models import ModelStatus
from sightloop.tracking.model_search import ModelOrder, OnDataset

MAX_MODELS_PER_PAGE = 1000
_STATUSES: dict[str, ModelStatus] = {
    **{name: status for status, name in MODEL_STATUS.items()},
    "1": "pending",
    "2": "ready",
    "3": "failed",
}
"""Clients of some ages send the number."""


class CreateModel(msgspec.Struct, frozen=True, kw_only=True):
    experiment_id: str
    name: str = ""
    model_type: str = ""
    source_run_id: str = ""
    params: list[Pair] = []
    tags: list[Pair] = []


class OfModel(msgspec.Struct, frozen=True, kw_only=True):
    model_id: str


class GetModel(OfModel, frozen=True, kw_only=True):
    allow_deleted: bool | str = False


class FinishModel(OfModel, frozen=True, kw_only=True):
    status: str | int


class GiveParams(OfModel, frozen=True, kw_only=True):
    params: list[Pair] = []


class SetTags(OfModel, frozen=True, kw_only=True):
    tags: list[Pair] = []


class DeleteTag(OfModel, frozen=True, kw_only=True):
    tag_key: str


class ListFiles(OfModel, frozen=True, kw_only=True):
    artifact_directory_path: str = ""


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    dataset_name: str = ""
    dataset_digest: str = ""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    field_name: str
    ascending: bool = True
    dataset_name: str = ""
    dataset_digest: str = ""


class SearchModels(msgspec.Struct, frozen=True, kw_only=True):
    experiment_ids: list[str] = []
    filter: str = ""
    datasets: list[Dataset] = []
    max_results: int = 50
    order_by: list[Order] = []
    page_token: str = ""


class RecordModel(OfRun, frozen=True, kw_only=True):
    model_json: str


_NEEDED = {"artifact_path", "flavors", "utc_time_created", "run_id"}


def create(workspace: Workspace, call: Call, request: CreateModel) -> Answer:
    made = modelling.log_model(
        workspace,
        call,
        modelling.LogModel(
            experiment=experiment_number(request.experiment_id),
            name=request.name,
            model_type=request.model_type,
            source_run=request.source_run_id,
            params=texts_of(request.params),
            tags=texts_of(request.tags),
        ),
    )
    return {"model": logged_model_shape(made)}


def get(workspace: Workspace, call: Call, request: GetModel) -> Answer:
    with_deleted = str(request.allow_deleted).lower() == "true"
    found = modelling.show_logged_model(
        workspace, call, request.model_id, with_deleted=with_deleted
    )
    return {"model": logged_model_shape(found)}


def finish(workspace: Workspace, call: Call, request: FinishModel) -> Answer:
    status = _STATUSES.get(str(request.status))
    if status is None:
        known = ", ".join(MODEL_STATUS.values())
        raise BadMlflowRequest(problem=f"status {str(request.status)[:40]!r} is none of {known}")
    finished = modelling.finish_logged_model(workspace, call, request.model_id, status)
    return {"model": logged_model_shape(finished)}


def delete(workspace: Workspace, call: Call, request: OfModel) -> Answer:
    modelling.delete_logged_model(workspace, call, request.model_id)
    return {}


def give_params(workspace: Workspace, call: Call, request: GiveParams) -> Answer:
    modelling.give_params(workspace, call, request.model_id, texts_of(request.params))
    return {}


def set_tags(workspace: Workspace, call: Call, request: SetTags) -> Answer:
    modelling.tag_model(workspace, call, request.model_id, texts_of(request.tags))
    return {}


def delete_tag(workspace: Workspace, call: Call, request: DeleteTag) -> Answer:
    modelling.untag_model(workspace, call, request.model_id, request.tag_key)
    return {}


def list_files(workspace: Workspace, call: Call, request: ListFiles) -> Answer:
    found = modelling.show_logged_model(workspace, call, request.model_id)
    folder = request.artifact_directory_path.rstrip("/")
    listed = uploading.list_folder(workspace, call, owner=request.model_id, folder=folder)
    return {"root_uri": logged_model_uri(found.model), "files": file_shapes(listed)}


def search(workspace: Workspace, call: Call, request: SearchModels) -> Answer:
    if not request.experiment_ids:
        raise BadMlflowRequest(problem="it lacks `experiment_ids`")
    if any(not one.dataset_name for one in request.datasets):
        raise BadMlflowRequest(problem="each of `datasets` needs a `dataset_name`")
    check_page_size(request.max_results, MAX_MODELS_PER_PAGE)
    found = modelling.search_logged_models(
        workspace,
        call,
        modelling.SearchModels(
            experiments=experiment_numbers(request.experiment_ids),
            filter=request.filter,
            datasets=[OnDataset(one.dataset_name, one.dataset_digest) for one in request.datasets],
            order_by=[_order(one) for one in request.order_by],
            limit=request.max_results,
            token=request.page_token,
        ),
    )
    return page_answer(
        "models", [logged_model_shape(one) for one in found.models], found.next_token
    )


def record(workspace: Workspace, call: Call, request: RecordModel) -> Answer:
    """What clients before MLflow 3 say of a model they put among a run's files."""
    try:
        facts = msgspec.json.decode(request.model_json, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise BadMlflowRequest(problem=f"`model_json` is no JSON object ({error})") from error
    if missing := _NEEDED - facts.keys():
        raise BadMlflowRequest(problem=f"`model_json` lacks {', '.join(sorted(missing))}")
    kept = {name: facts[name] for name in (*_NEEDED, "model_uuid") if name in facts}
    modelling.note_model(workspace, call, request.run, kept)
    return {}


def _order(one: Order) -> ModelOrder:
    dataset = OnDataset(one.dataset_name, one.dataset_digest) if one.dataset_name else None
    return ModelOrder(one.field_name, one.ascending, dataset)


ENDPOINTS = (
    Endpoint("POST", "runs/log-model", RecordModel, record),
    Endpoint("POST", "logged-models", CreateModel, create),
    Endpoint("POST", "logged-models/search", SearchModels, search),
    Endpoint("GET", "logged-models/{model_id}", GetModel, get),
    Endpoint("PATCH", "logged-models/{model_id}", FinishModel, finish),
    Endpoint("DELETE", "logged-models/{model_id}", OfModel, delete),
    Endpoint("POST", "logged-models/{model_id}/params", GiveParams, give_params),
    Endpoint("PATCH", "logged-models/{model_id}/tags", SetTags, set_tags),
    Endpoint("DELETE", "logged-models/{model_id}/tags/{tag_key}", DeleteTag, delete_tag),
    Endpoint("GET", "logged-models/{model_id}/artifacts/directories", ListFiles, list_files),
)
