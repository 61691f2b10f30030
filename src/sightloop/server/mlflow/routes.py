"""The addresses of MLflow's REST interface, each leading to its endpoint."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from litestar import HttpMethod, Request, Response, get, route
from litestar.params import FromPath

from sightloop.kernel.errors import SightloopError
from sightloop.kernel.workspace import Call, Workspace
from sightloop.server.api import read_body as read_bytes
from sightloop.server.authentication import actor_of_request
from sightloop.server.context import workspace_of
from sightloop.server.mlflow import (
    experiments,
    logged_models,
    metrics,
    model_versions,
    registered_models,
    runs,
)
from sightloop.server.mlflow.answers import answer, answer_error, answer_mlflow_bug
from sightloop.server.mlflow.artifact_routes import ENDPOINTS as ARTIFACT_ENDPOINTS
from sightloop.server.mlflow.artifact_routes import (
    artifact_directory,
    delete_artifact,
    get_artifact,
    presigned_download,
    put_artifact,
    upload_in_parts,
)
from sightloop.server.mlflow.endpoints import (
    Answer,
    Endpoint,
    UnknownEndpoint,
    read_body,
    read_query,
)

ENDPOINTS: tuple[Endpoint, ...] = (
    *experiments.ENDPOINTS,
    *runs.ENDPOINTS,
    *metrics.ENDPOINTS,
    *logged_models.ENDPOINTS,
    *registered_models.ENDPOINTS,
    *model_versions.ENDPOINTS,
    *ARTIFACT_ENDPOINTS,
)
PREFIXES = ("/api/2.0/mlflow", "/ajax-api/2.0/mlflow")
VERSION = "3.17.2"
"""Of the MLflow whose answers ours are compared with; clients ask."""


class _Found(NamedTuple):
    endpoint: Endpoint
    fields: dict[str, str]


@route(
    [f"{prefix}/{{rest:path}}" for prefix in PREFIXES],
    http_method=[HttpMethod.GET, HttpMethod.POST, HttpMethod.PATCH, HttpMethod.DELETE],
    status_code=200,
    exception_handlers={Exception: answer_mlflow_bug},
)
async def call_endpoint(rest: FromPath[str], request: Request[Any, Any, Any]) -> Response[bytes]:
    """Answer as MLflow's server would."""
    workspace = workspace_of(request)
    try:
        found = find_endpoint(request.method, rest.strip("/"))
        limit_bytes = workspace.config.server.max_request_bytes
        body = await read_bytes(request, limit_bytes=limit_bytes)
        read = _reader(request, found, body)
        return answer(await asyncio.to_thread(_run, workspace, request, found.endpoint, read))
    except SightloopError as error:
        return answer_error(error)


@route(
    ["/api/3.0/mlflow/{rest:path}", "/ajax-api/3.0/mlflow/{rest:path}"],
    http_method=[HttpMethod.GET, HttpMethod.POST, HttpMethod.PATCH, HttpMethod.DELETE],
    status_code=200,
    sync_to_thread=False,
)
def call_newer_endpoint(rest: FromPath[str], request: Request[Any, Any, Any]) -> Response[bytes]:
    """Traces and what came with them: not here, in words that clients understand."""
    return answer_error(UnknownEndpoint(method=request.method, path=rest.strip("/")))


@get(["/version"], sync_to_thread=False)
def version() -> Response[bytes]:
    """The MLflow version whose interface this is."""
    return Response(VERSION.encode(), media_type="text/plain")


@get(
    ["/api/3.0/mlflow/server-info", "/ajax-api/3.0/mlflow/server-info"],
    sync_to_thread=False,
)
def server_info() -> Response[bytes]:
    """What clients may expect beyond the routes: plain uploads and downloads."""
    return answer(
        {
            "store_type": "SqlStore",
            "workspaces_enabled": False,
            "multipart_uploads_enabled": False,
            "multipart_downloads_enabled": False,
        }
    )


def find_endpoint(method: str, path: str) -> _Found:
    """The endpoint at this address, and the fields that stand in it.

    Raises:
        UnknownEndpoint: there is none.
    """
    for endpoint, pattern in _patterns():
        match = pattern.fullmatch(path)
        if match is not None and endpoint.method == method:
            return _Found(endpoint, match.groupdict())
    raise UnknownEndpoint(method=method, path=path)


def _run(
    workspace: Workspace,
    request: Request[Any, Any, Any],
    endpoint: Endpoint,
    read: Callable[[], Any],
) -> Answer:
    call = Call(actor_of_request(workspace, request))
    return endpoint.handle(workspace, call, read())


def _reader(request: Request[Any, Any, Any], found: _Found, body: bytes) -> Callable[[], Any]:
    kind = found.endpoint.request
    if request.method == "GET" or (request.method == "DELETE" and not body):
        query = request.query_params
        given = {name: query.getall(name) for name in query}
        fields = {name: [value] for name, value in found.fields.items()}
        return lambda: read_query(kind, {**given, **fields})
    return lambda: read_body(kind, body, found.fields)


@lru_cache
def _patterns() -> tuple[tuple[Endpoint, re.Pattern[str]], ...]:
    return tuple(
        (one, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", one.path))) for one in ENDPOINTS
    )


HANDLERS = (
    call_endpoint,
    call_newer_endpoint,
    version,
    server_info,
    artifact_directory,
    get_artifact,
    put_artifact,
    delete_artifact,
    upload_in_parts,
    presigned_download,
)
