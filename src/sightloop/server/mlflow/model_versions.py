"""Versions of registered models at MLflow's addresses."""

from __future__ import annotations

import msgspec

from sightloop.kernel.workspace import Call, Workspace
from sightloop.registry import labelling, registering
from sightloop.registry.registered import RegisteredVersion
from sightloop.registry.registered_sources import RegisterVersion
from sightloop.server.mlflow.endpoints import Answer, Endpoint
from sightloop.server.mlflow.registry_shapes import version_shape
from sightloop.server.mlflow.requests import Pair, SearchPage, page_answer, texts_of, version_number
from sightloop.tracking import modelling

MAX_VERSIONS_PER_PAGE = 200_000
VERSIONS_TAG = "mlflow.modelVersions"
"""The tag of a logged model in which clients look for the versions it became."""


class OfVersion(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    version: str

    @property
    def number(self) -> int:
        """The version as a number.

        Raises:
            BadMlflowRequest: it is none.
        """
        return version_number(self.version)


class CreateVersion(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    source: str
    run_id: str = ""
    run_link: str = ""
    description: str = ""
    model_id: str = ""
    tags: list[Pair] = []


class DescribeVersion(OfVersion, frozen=True, kw_only=True):
    description: str = ""


class SearchVersions(SearchPage, frozen=True, kw_only=True):
    max_results: int = 10_000


class TagVersion(OfVersion, frozen=True, kw_only=True):
    key: str
    value: str = ""


class UntagVersion(OfVersion, frozen=True, kw_only=True):
    key: str


class MoveToStage(OfVersion, frozen=True, kw_only=True):
    stage: str
    archive_existing_versions: bool = False


def create(workspace: Workspace, call: Call, request: CreateVersion) -> Answer:
    made = registering.register_version(
        workspace,
        call,
        RegisterVersion(
            model=request.name,
            source=request.source,
            run=request.run_id,
            logged_model=request.model_id,
            run_link=request.run_link,
            description=request.description,
            tags=texts_of(request.tags),
        ),
    )
    if made.logged_model:
        _tag_logged_model(workspace, call, made)
    return {"model_version": version_shape(made)}


def get(workspace: Workspace, call: Call, request: OfVersion) -> Answer:
    found = registering.show_version(workspace, call, request.name, request.number)
    return {"model_version": version_shape(found)}


def describe(workspace: Workspace, call: Call, request: DescribeVersion) -> Answer:
    changed = registering.describe_version(
        workspace, call, request.name, request.number, request.description
    )
    return {"model_version": version_shape(changed)}


def delete(workspace: Workspace, call: Call, request: OfVersion) -> Answer:
    registering.delete_version(workspace, call, request.name, request.number)
    return {}


def search(workspace: Workspace, call: Call, request: SearchVersions) -> Answer:
    found = registering.search_versions(workspace, call, request.of_registry(MAX_VERSIONS_PER_PAGE))
    return page_answer(
        "model_versions", [version_shape(one) for one in found.versions], found.next_token
    )


def set_tag(workspace: Workspace, call: Call, request: TagVersion) -> Answer:
    tags = {request.key: request.value}
    labelling.tag(workspace, call, request.name, request.number, tags)
    return {}


def delete_tag(workspace: Workspace, call: Call, request: UntagVersion) -> Answer:
    labelling.untag(workspace, call, request.name, request.number, request.key)
    return {}


def move_to_stage(workspace: Workspace, call: Call, request: MoveToStage) -> Answer:
    moved = registering.move_to_stage(
        workspace,
        call,
        request.name,
        request.number,
        request.stage,
        archive_others=request.archive_existing_versions,
    )
    return {"model_version": version_shape(moved)}


def download_uri(workspace: Workspace, call: Call, request: OfVersion) -> Answer:
    found = registering.show_version(workspace, call, request.name, request.number)
    return {"artifact_uri": found.location}


def _tag_logged_model(workspace: Workspace, call: Call, made: RegisteredVersion) -> None:
    before = modelling.show_logged_model(workspace, call, made.logged_model)
    known = before.tags.get(VERSIONS_TAG, "[]")
    try:
        versions = msgspec.json.decode(known, type=list[dict[str, str | int]])
    except msgspec.DecodeError:
        versions = []  # a client may write anything into a tag
    versions.append({"name": made.model, "version": made.number})
    text = msgspec.json.encode(versions).decode()
    modelling.tag_model(workspace, call, made.logged_model, {VERSIONS_TAG: text})


ENDPOINTS = (
    Endpoint("POST", "model-versions/create", CreateVersion, create),
    Endpoint("GET", "model-versions/get", OfVersion, get),
    Endpoint("PATCH", "model-versions/update", DescribeVersion, describe),
    Endpoint("DELETE", "model-versions/delete", OfVersion, delete),
    Endpoint("GET", "model-versions/search", SearchVersions, search),
    Endpoint("POST", "model-versions/set-tag", TagVersion, set_tag),
    Endpoint("DELETE", "model-versions/delete-tag", UntagVersion, delete_tag),
    Endpoint("POST", "model-versions/transition-stage", MoveToStage, move_to_stage),
    Endpoint("GET", "model-versions/get-download-uri", OfVersion, download_uri),
)
