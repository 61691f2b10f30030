"""Artifacts at MLflow's addresses: `{experiment}/{run}/artifacts/{path}`, bodies as they are.

The same bytes are kept once, whoever logs them how often.
"""

from __future__ import annotations

import asyncio
import mimetypes
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from litestar import Request, Response, delete, get, post, put
from litestar.params import FromPath
from litestar.response import Stream

from sightloop.kernel.blobs import begun
from sightloop.kernel.errors import NotFound, SightloopError
from sightloop.kernel.files import disk_errors
from sightloop.kernel.workspace import Call, Workspace
from sightloop.server.authentication import actor_of_request
from sightloop.server.context import workspace_of
from sightloop.server.errors import TooLarge
from sightloop.server.mlflow.answers import answer, answer_error, answer_mlflow_bug
from sightloop.server.mlflow.artifact_shapes import file_shapes
from sightloop.server.mlflow.endpoints import Answer, Endpoint, NotSupported
from sightloop.server.mlflow.requests import OfRun
from sightloop.tracking import uploading
from sightloop.tracking.errors import BadName
from sightloop.tracking.store import find_run

MAX_ARTIFACT_BYTES = 1 << 34
_BUGS: dict[int | type[Exception], Callable[[Request[Any, Any, Any], Any], Response[Any]]] = {
    Exception: answer_mlflow_bug
}
_PREFIXES = ("/api/2.0/mlflow-artifacts", "/ajax-api/2.0/mlflow-artifacts")


class ListArtifacts(OfRun, frozen=True, kw_only=True):
    path: str = ""
    page_token: str = ""


class Place(NamedTuple):
    """What an artifact address names."""

    owner: str
    name: str


def list_artifacts(workspace: Workspace, call: Call, request: ListArtifacts) -> Answer:
    with workspace.db.read() as tx:
        find_run(tx, request.run)
    listed = uploading.list_folder(workspace, call, owner=request.run, folder=request.path)
    return {"root_uri": f"mlflow-artifacts:/{request.run}/artifacts", "files": file_shapes(listed)}


# Handlers with several addresses are written as coroutines: Litestar wraps a plain one that is
# to run in a thread once per address, and awaits it once.
@get([f"{prefix}/artifacts" for prefix in _PREFIXES], exception_handlers=_BUGS)
async def artifact_directory(request: Request[Any, Any, Any]) -> Response[bytes]:
    """What lies directly in a folder; paths are relative to it."""
    return await asyncio.to_thread(_directory, request)


@get([f"{prefix}/artifacts/{{path:path}}" for prefix in _PREFIXES], exception_handlers=_BUGS)
async def get_artifact(
    path: FromPath[str], request: Request[Any, Any, Any]
) -> Response[bytes] | Stream:
    """The file's bytes."""
    workspace = workspace_of(request)
    try:
        call = Call(await asyncio.to_thread(actor_of_request, workspace, request))
        place = place_of(path)
        found = await asyncio.to_thread(
            uploading.find_artifact, workspace, call, owner=place.owner, name=place.name
        )
        kind = mimetypes.guess_type(found.name)[0] or "application/octet-stream"
        headers = {
            "Content-Length": str(found.size_bytes),
            "X-Content-Type-Options": "nosniff",
            "Content-Disposition": "attachment",
        }
        chunks = await asyncio.to_thread(begun, workspace.blobs.stream(found.digest))
        return Stream(chunks, media_type=kind, headers=headers)
    except SightloopError as error:
        return answer_error(error)


@put([f"{prefix}/artifacts/{{path:path}}" for prefix in _PREFIXES], exception_handlers=_BUGS)
async def put_artifact(path: FromPath[str], request: Request[Any, Any, Any]) -> Response[bytes]:
    """Keep the body as the file's bytes; half a body leaves nothing."""
    workspace = workspace_of(request)
    try:
        call = Call(await asyncio.to_thread(actor_of_request, workspace, request))
        place = place_of(path)
        with (
            disk_errors(workspace.state),
            tempfile.TemporaryDirectory(dir=workspace.state) as folder,
        ):
            file = Path(folder) / "body"
            await _receive(request, file)
            await asyncio.to_thread(
                uploading.keep_artifact,
                workspace,
                call,
                owner=place.owner,
                name=place.name,
                file=file,
            )
        return Response(b"", media_type="application/json")
    except SightloopError as error:
        return answer_error(error)


@delete(
    [f"{prefix}/artifacts/{{path:path}}" for prefix in _PREFIXES],
    status_code=200,
    exception_handlers=_BUGS,
)
async def delete_artifact(path: FromPath[str], request: Request[Any, Any, Any]) -> Response[bytes]:
    """Forget the file, or everything in the folder."""
    return await asyncio.to_thread(_delete, path, request)


@post(
    [f"{prefix}/mpu/{{rest:path}}" for prefix in _PREFIXES], status_code=200, sync_to_thread=False
)
def upload_in_parts() -> Response[bytes]:
    """Uploads in parts are for object stores; clients then send the file whole."""
    return answer_error(NotSupported(what="uploads in parts"))


@get([f"{prefix}/presigned/{{rest:path}}" for prefix in _PREFIXES], sync_to_thread=False)
def presigned_download() -> Response[bytes]:
    """Presigned addresses are for object stores; clients then fetch the file from here."""
    return answer_error(NotSupported(what="presigned addresses"))


def _directory(request: Request[Any, Any, Any]) -> Response[bytes]:
    workspace = workspace_of(request)
    try:
        call = Call(actor_of_request(workspace, request))
        place = place_of(request.query_params.get("path", ""))
        listed = uploading.list_folder(workspace, call, owner=place.owner, folder=place.name)
        return answer({"files": file_shapes(listed, below=f"{place.name}/" if place.name else "")})
    except SightloopError as error:
        return answer_error(error)


def _delete(path: str, request: Request[Any, Any, Any]) -> Response[bytes]:
    workspace = workspace_of(request)
    try:
        place = place_of(path)
        call = Call(actor_of_request(workspace, request))
        uploading.remove_artifact(workspace, call, owner=place.owner, name=place.name)
        return answer({})
    except SightloopError as error:
        return answer_error(error)


def place_of(path: str) -> Place:
    """The owner and the artifact at `{experiment}/{run}/artifacts/{name}`, or at
    `{experiment}/models/{model}/artifacts/{name}`.

    Raises:
        BadName: it leads upwards.
        NotFound: it is another kind of address.

    >>> place_of("0/run_1/artifacts/weights/best.pt")
    Place(owner='run_1', name='weights/best.pt')
    """
    parts = path.strip("/").split("/")
    if ".." in parts:
        raise BadName(what="artifact", name=path, problem="as a path it would lead elsewhere")
    if len(parts) > 1 and parts[1] == "models":
        del parts[1]
    if len(parts) < 3 or parts[2] != "artifacts":
        raise NotFound(what="artifact", name=path[:300])
    return Place(parts[1], "/".join(parts[3:]))


async def _receive(request: Request[Any, Any, Any], file: Path) -> None:
    size_bytes = 0
    with file.open("wb") as target:
        async for part in request.stream():
            size_bytes += len(part)
            if size_bytes > MAX_ARTIFACT_BYTES:
                raise TooLarge(size_bytes=size_bytes, limit_bytes=MAX_ARTIFACT_BYTES)
            target.write(part)


ENDPOINTS = (Endpoint("GET", "artifacts/list", ListArtifacts, list_artifacts),)
