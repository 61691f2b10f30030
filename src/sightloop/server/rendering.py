"""From results and errors to HTTP: one JSON shape for each."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException

from sightloop.kernel.errors import SightloopError

log = logging.getLogger(__name__)

JSON = "application/json"
NDJSON = "application/x-ndjson"
RETRY_AFTER_S = 5


class ErrorBody(msgspec.Struct, frozen=True):
    """An error as every client sees it."""

    code: str
    message: str
    facts: dict[str, Any]


class ErrorReply(msgspec.Struct, frozen=True):
    """The body of every answer that is not a success."""

    error: ErrorBody


def error_reply(error: SightloopError) -> ErrorReply:
    """The reply that tells of this error."""
    return ErrorReply(ErrorBody(error.code, error.message, dict(error.facts)))


def json_response(value: Any, *, status: int = 200) -> Response[bytes]:  # noqa: ANN401
    """Any msgspec-encodable value as a JSON answer."""
    return Response(msgspec.json.encode(value), status_code=status, media_type=JSON)


def answer_refusal(_request: Request[Any, Any, Any], error: SightloopError) -> Response[bytes]:
    """How the application answers our own errors."""
    response = json_response(error_reply(error), status=error.http_status)
    if error.http_status == 503:
        response.headers["Retry-After"] = str(error.facts.get("retry_after_s", RETRY_AFTER_S))
    return response


def answer_http_error(_request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """How the application answers the framework's errors (no such address, wrong method)."""
    body = ErrorBody(f"HTTP-{error.status_code}", error.detail, {})
    return json_response(ErrorReply(body), status=error.status_code)


def answer_bug(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """A bug: the server's log has the trace, the client only learns that there is one."""
    log.error("%s %s", request.method, request.url.path, exc_info=error)
    body = ErrorBody(
        "SL-999",
        f"Sightloop has a bug here ({type(error).__name__}); the server's log has the details",
        {},
    )
    return json_response(ErrorReply(body), status=500)
