"""Registered models and their aliases at MLflow's addresses."""

from __future__ import annotations

import re

import msgspec

from sightloop.kernel.workspace import Call, Workspace
from sightloop.registry import labelling, naming_models, pointing, registering
from sightloop.server.mlflow.endpoints import Answer, BadMlflowRequest, Endpoint
from sightloop.server.mlflow.registry_shapes import model_shape, version_shape
from sightloop.server.mlflow.requests import Pair, SearchPage, page_answer, texts_of, version_number

MAX_MODELS_PER_PAGE = 1000


class OfModel(msgspec.Struct, frozen=True, kw_only=True):
    name: str


class CreateModel(OfModel, frozen=True, kw_only=True):
    description: str = ""
    tags: list[Pair] = []


class DescribeModel(OfModel, frozen=True, kw_only=True):
    description: str = ""


class RenameModel(OfModel, frozen=True, kw_only=True):
    new_name: str


class SearchModels(SearchPage, frozen=True, kw_only=True):
    max_results: int = 100


class NewestVersions(OfModel, frozen=True, kw_only=True):
    stages: list[str] = []


class TagModel(OfModel, frozen=True, kw_only=True):
    key: str
    value: str = ""


class UntagModel(OfModel, frozen=True, kw_only=True):
    key: str


class OfAlias(OfModel, frozen=True, kw_only=True):
    alias: str


class PointAlias(OfAlias, frozen=True, kw_only=True):
    version: str


def create(workspace: Workspace, call: Call, request: CreateModel) -> Answer:
    made = naming_models.create_model(
        workspace,
        call,
        naming_models.CreateModel(
            name=request.name, description=request.description, tags=texts_of(request.tags)
        ),
    )
    return {"registered_model": model_shape(made)}


def get(workspace: Workspace, call: Call, request: OfModel) -> Answer:
    return {
        "registered_model": model_shape(naming_models.show_model(workspace, call, request.name))
    }


def describe(workspace: Workspace, call: Call, request: DescribeModel) -> Answer:
    changed = naming_models.describe_model(workspace, call, request.name, request.description)
    return {"registered_model": model_shape(changed)}


def rename(workspace: Workspace, call: Call, request: RenameModel) -> Answer:
    renamed = naming_models.rename_model(workspace, call, request.name, request.new_name)
    return {"registered_model": model_shape(renamed)}


def delete(workspace: Workspace, call: Call, request: OfModel) -> Answer:
    naming_models.delete_model(workspace, call, request.name)
    return {}


def search(workspace: Workspace, call: Call, request: SearchModels) -> Answer:
    found = naming_models.search_models(workspace, call, request.of_registry(MAX_MODELS_PER_PAGE))
    return page_answer(
        "registered_models", [model_shape(one) for one in found.models], found.next_token
    )


def newest_versions(workspace: Workspace, call: Call, request: NewestVersions) -> Answer:
    found = registering.newest_versions(workspace, call, request.name, request.stages)
    return {"model_versions": [version_shape(one) for one in found]}


def set_tag(workspace: Workspace, call: Call, request: TagModel) -> Answer:
    labelling.tag(workspace, call, request.name, None, {request.key: request.value})
    return {}


def delete_tag(workspace: Workspace, call: Call, request: UntagModel) -> Answer:
    labelling.untag(workspace, call, request.name, None, request.key)
    return {}


def get_alias(workspace: Workspace, call: Call, request: OfAlias) -> Answer:
    found = pointing.version_by_alias(workspace, call, request.name, request.alias)
    return {"model_version": version_shape(found)}


def point_alias(workspace: Workspace, call: Call, request: PointAlias) -> Answer:
    number = version_number(request.version)
    if re.fullmatch(r"latest|v\d+", request.alias, re.IGNORECASE):
        raise BadMlflowRequest(problem=f"alias {request.alias[:40]!r} is read as a version")
    pointing.point_alias(workspace, call, request.name, request.alias, number)
    return {}


def drop_alias(workspace: Workspace, call: Call, request: OfAlias) -> Answer:
    pointing.drop_alias(workspace, call, request.name, request.alias)
    return {}


ENDPOINTS = (
    Endpoint("POST", "registered-models/create", CreateModel, create),
    Endpoint("GET", "registered-models/get", OfModel, get),
    Endpoint("PATCH", "registered-models/update", DescribeModel, describe),
    Endpoint("POST", "registered-models/rename", RenameModel, rename),
    Endpoint("DELETE", "registered-models/delete", OfModel, delete),
    Endpoint("GET", "registered-models/search", SearchModels, search),
    Endpoint("POST", "registered-models/get-latest-versions", NewestVersions, newest_versions),
    Endpoint("GET", "registered-models/get-latest-versions", NewestVersions, newest_versions),
    Endpoint("POST", "registered-models/set-tag", TagModel, set_tag),
    Endpoint("DELETE", "registered-models/delete-tag", UntagModel, delete_tag),
    Endpoint("GET", "registered-models/alias", OfAlias, get_alias),
    Endpoint("POST", "registered-models/alias", PointAlias, point_alias),
    Endpoint("DELETE", "registered-models/alias", OfAlias, drop_alias),
)
