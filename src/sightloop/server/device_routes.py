"""The device protocol: enrol, check in, send telemetry, upload images. Bodies are contracts."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from litestar import Request, Response, post, put
from litestar.params import FromPath

from sightloop.contracts.check_in import CheckIn, CheckInReply, EnrolRequest
from sightloop.contracts.decode import decode
from sightloop.contracts.telemetry import TelemetryBatch
from sightloop.fleet.check_ins import check_in
from sightloop.fleet.enrolment import enrol_device
from sightloop.fleet.report_buffer import ReportBuffer
from sightloop.kernel.actors import Actor
from sightloop.kernel.digests import parse_digest
from sightloop.kernel.workspace import Call, Workspace
from sightloop.server.admission import Admission
from sightloop.server.api import read_body
from sightloop.server.authentication import actor_of_request, token_of_request
from sightloop.server.context import workspace_of
from sightloop.server.rendering import json_response
from sightloop.telemetry.services import store_batch, store_upload

MAX_CHECK_IN_BYTES = 1 << 20
DESK = "check_in_desk"


class CheckInDesk(NamedTuple):
    """What the application keeps for check-ins, in its state under `DESK`."""

    admission: Admission
    buffer: ReportBuffer


@post("/device/v1/enrol", status_code=200)
async def enrol(request: Request[Any, Any, Any]) -> Response[bytes]:
    """First contact of a device, with its one-time token."""
    workspace = workspace_of(request)
    body = await read_body(request, limit_bytes=MAX_CHECK_IN_BYTES)
    asked = decode(body, EnrolRequest, what="the enrolment request")
    token = token_of_request(request)
    actor = await asyncio.to_thread(actor_of_request, workspace, request)
    reply = await asyncio.to_thread(enrol_device, workspace, Call(actor), asked, token=token)
    return json_response(reply)


@post("/device/v1/check-in", status_code=200)
async def check_in_route(request: Request[Any, Any, Any]) -> Response[bytes]:
    """A device tells how it is and learns what is wanted of it."""
    desk = request.app.state[DESK]
    # First, so that a device with a slow line takes nobody's place.
    body = await read_body(request, limit_bytes=MAX_CHECK_IN_BYTES)
    with desk.admission.one():
        return json_response(await asyncio.to_thread(_check_in, request, desk.buffer, body))


def _check_in(request: Request[Any, Any, Any], buffer: ReportBuffer, body: bytes) -> CheckInReply:
    workspace = workspace_of(request)
    actor = actor_of_request(workspace, request)
    report = decode(body, CheckIn, what="the check-in")
    return check_in(workspace, Call(actor), report, buffer=buffer)


@post("/device/v1/telemetry", status_code=200)
async def telemetry(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Envelopes of a device; the reply says which it may forget."""
    workspace = workspace_of(request)
    limit_bytes = workspace.config.server.max_request_bytes
    actor, body = await _authenticated_body(request, workspace, limit_bytes=limit_bytes)
    batch = decode(body, TelemetryBatch, what="the telemetry batch")
    return json_response(await asyncio.to_thread(store_batch, workspace, Call(actor), batch))


@put("/device/v1/blobs/{digits:str}", status_code=204)
async def upload(digits: FromPath[str], request: Request[Any, Any, Any]) -> None:
    """The bytes of an image that an envelope names."""
    workspace = workspace_of(request)
    digest = parse_digest(f"sha256:{digits}")
    limit_bytes = workspace.config.server.max_request_bytes
    actor, content = await _authenticated_body(request, workspace, limit_bytes=limit_bytes)
    await asyncio.to_thread(store_upload, workspace, Call(actor), digest=digest, content=content)


async def _authenticated_body(
    request: Request[Any, Any, Any], workspace: Workspace, *, limit_bytes: int
) -> tuple[Actor, bytes]:
    actor = await asyncio.to_thread(actor_of_request, workspace, request)
    return actor, await read_body(request, limit_bytes=limit_bytes)
