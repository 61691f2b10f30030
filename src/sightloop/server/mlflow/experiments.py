"""Experiments at MLflow's addresses."""

from __future__ import annotations

import msgspec

from sightloop.kernel.workspace import Call, Workspace
from sightloop.server.mlflow.endpoints import Answer, BadMlflowRequest, Endpoint
from sightloop.server.mlflow.requests import (
    Pair,
    SearchPage,
    check_page_size,
    experiment_number,
    page_answer,
    texts_of,
)
from sightloop.server.mlflow.shapes import experiment_shape
from sightloop.tracking import limits
from sightloop.tracking import organising as services

_VIEWS = {"ACTIVE_ONLY": False, "DELETED_ONLY": True, "ALL": None}


class CreateExperiment(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    artifact_location: str = ""
    tags: list[Pair] = []


class OfExperiment(msgspec.Struct, frozen=True, kw_only=True):
    experiment_id: str


class ByName(msgspec.Struct, frozen=True, kw_only=True):
    experiment_name: str


class UpdateExperiment(OfExperiment, frozen=True, kw_only=True):
    new_name: str


class SearchExperiments(SearchPage, frozen=True, kw_only=True):
    view_type: str = "ACTIVE_ONLY"
    max_results: int = 1000


class TagExperiment(OfExperiment, frozen=True, kw_only=True):
    key: str
    value: str = ""


class UntagExperiment(OfExperiment, frozen=True, kw_only=True):
    key: str


def create(workspace: Workspace, call: Call, request: CreateExperiment) -> Answer:
    number = services.create_experiment(
        workspace,
        call,
        services.CreateExperiment(
            name=request.name,
            artifact_location=request.artifact_location,
            tags=texts_of(request.tags),
        ),
    )
    return {"experiment_id": str(number)}


def get(workspace: Workspace, call: Call, request: OfExperiment) -> Answer:
    number = experiment_number(request.experiment_id)
    return {"experiment": experiment_shape(services.show_experiment(workspace, call, number))}


def get_by_name(workspace: Workspace, call: Call, request: ByName) -> Answer:
    found = services.find_by_name(workspace, call, request.experiment_name)
    return {"experiment": experiment_shape(found)}


def search(workspace: Workspace, call: Call, request: SearchExperiments) -> Answer:
    if request.view_type not in _VIEWS:
        raise BadMlflowRequest(problem=f"view_type is none of {', '.join(_VIEWS)}")
    check_page_size(request.max_results, limits.MAX_RUNS_PER_PAGE)
    found = services.search_experiments(
        workspace,
        call,
        services.SearchExperiments(
            filter=request.filter,
            order_by=request.order_by,
            is_deleted=_VIEWS[request.view_type],
            limit=request.max_results,
            token=request.page_token,
        ),
    )
    return page_answer(
        "experiments", [experiment_shape(one) for one in found.experiments], found.next_token
    )


def update(workspace: Workspace, call: Call, request: UpdateExperiment) -> Answer:
    number = experiment_number(request.experiment_id)
    services.rename_experiment(workspace, call, number, request.new_name)
    return {}


def delete(workspace: Workspace, call: Call, request: OfExperiment) -> Answer:
    number = experiment_number(request.experiment_id)
    services.mark_experiment(workspace, call, number, is_deleted=True)
    return {}


def restore(workspace: Workspace, call: Call, request: OfExperiment) -> Answer:
    number = experiment_number(request.experiment_id)
    services.mark_experiment(workspace, call, number, is_deleted=False)
    return {}


def set_tag(workspace: Workspace, call: Call, request: TagExperiment) -> Answer:
    number = experiment_number(request.experiment_id)
    services.tag_experiment(workspace, call, number, {request.key: request.value})
    return {}


def delete_tag(workspace: Workspace, call: Call, request: UntagExperiment) -> Answer:
    number = experiment_number(request.experiment_id)
    services.untag_experiment(workspace, call, number, request.key)
    return {}


ENDPOINTS = (
    Endpoint("POST", "experiments/create", CreateExperiment, create),
    Endpoint("GET", "experiments/get", OfExperiment, get),
    Endpoint("GET", "experiments/get-by-name", ByName, get_by_name),
    Endpoint("GET", "experiments/search", SearchExperiments, search),
    Endpoint("POST", "experiments/search", SearchExperiments, search),
    Endpoint("POST", "experiments/update", UpdateExperiment, update),
    Endpoint("POST", "experiments/delete", OfExperiment, delete),
    Endpoint("POST", "experiments/restore", OfExperiment, restore),
    Endpoint("POST", "experiments/set-experiment-tag", TagExperiment, set_tag),
    Endpoint("POST", "experiments/delete-experiment-tag", UntagExperiment, delete_tag),
)
