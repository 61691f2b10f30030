"""`POST /api/v1/{operation}`: every service, with the request struct as JSON body.

With `Accept: application/x-ndjson` the answer is a stream of lines: `{"progress": ...}` while the
service works, then `{"result": ...}` or `{"error": ...}`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath
from litestar.response import Stream

from sightloop.kernel.errors import SightloopError
from sightloop.kernel.workspace import Call, Workspace
from sightloop.server.authentication import actor_of_request
from sightloop.server.context import workspace_of
from sightloop.server.errors import BadRequest, TooLarge, UnknownOperation
from sightloop.server.operations import Operation, operations
from sightloop.server.rendering import NDJSON, error_reply, json_response


class ProgressLine(msgspec.Struct, frozen=True):
    """How far a service is."""

    what: str
    done: int
    total: int


class OperationFacts(msgspec.Struct, frozen=True):
    """One line of the list of operations."""

    name: str
    summary: str
    request: dict[str, Any]


@get("/api/v1", sync_to_thread=True)
def list_operations() -> Response[bytes]:
    """Every operation with the JSON schema of its request."""
    facts = [
        OperationFacts(name, operation.summary, msgspec.json.schema(operation.request_type))
        for name, operation in operations().items()
    ]
    return json_response(facts)


@post("/api/v1/{name:str}", status_code=200)
async def call_operation(
    name: FromPath[str], request: Request[Any, Any, Any]
) -> Response[bytes] | Stream:
    """Run one service and answer with its result."""
    workspace = workspace_of(request)
    operation = operations().get(name)
    if operation is None:
        raise UnknownOperation(name=name)
    body = await read_body(request, limit_bytes=workspace.config.server.max_request_bytes)
    wants_progress = NDJSON in request.headers.get("accept", "")
    actor = await asyncio.to_thread(actor_of_request, workspace, request)
    parsed = parse_request(operation, body)
    if wants_progress:
        lines = _lines(operation, workspace, Call(actor), parsed)
        return Stream(lines, media_type=NDJSON)
    result = await asyncio.to_thread(operation.run, workspace, Call(actor), parsed)
    return json_response(result)


def parse_request(operation: Operation, body: bytes) -> msgspec.Struct:
    """The request struct in this body.

    Raises:
        BadRequest: not JSON, or a field is missing, unknown in kind or out of bounds.
    """
    try:
        return msgspec.json.decode(body or b"{}", type=operation.request_type)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(operation=operation.name, problem=str(error)) from error


async def read_body(request: Request[Any, Any, Any], *, limit_bytes: int) -> bytes:
    """The body, refused as soon as it grows over the limit.

    Raises:
        TooLarge: it does.
    """
    declared = int(request.headers.get("content-length") or 0)
    if declared > limit_bytes:
        raise TooLarge(size_bytes=declared, limit_bytes=limit_bytes)
    parts: list[bytes] = []
    size_bytes = 0
    async for part in request.stream():
        size_bytes += len(part)
        if size_bytes > limit_bytes:
            raise TooLarge(size_bytes=size_bytes, limit_bytes=limit_bytes)
        parts.append(part)
    return b"".join(parts)


async def _lines(
    operation: Operation, workspace: Workspace, call: Call, request: msgspec.Struct
) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes | None] = asyncio.Queue()

    def say(value: object) -> None:
        loop.call_soon_threadsafe(queue.put_nowait, msgspec.json.encode(value) + b"\n")

    def progress(what: str, done: int, total: int) -> None:
        say({"progress": ProgressLine(what, done, total)})

    def work() -> None:
        try:
            result = operation.run(workspace, Call(call.actor, progress), request)
            say({"result": result})
        except SightloopError as error:
            say(error_reply(error))
        finally:
            loop.call_soon_threadsafe(queue.put_nowait, None)

    task = loop.run_in_executor(None, work)
    while (line := await queue.get()) is not None:
        yield line
    await task
