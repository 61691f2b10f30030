"""Errors as MLflow's clients branch on them: a code of theirs, a status, our message."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from litestar import Request, Response

from sightloop.kernel.errors import (
    BadInput,
    Conflict,
    NotAllowed,
    NotFound,
    Refused,
    SightloopError,
    Unauthenticated,
    Unavailable,
)
from sightloop.registry.errors import AliasUnknown
from sightloop.server.mlflow.endpoints import BodyIsNoObject, NotSupported, UnknownEndpoint
from sightloop.tracking.errors import (
    ExperimentDeleted,
    ExperimentKnown,
    ParamChanged,
    RunDeleted,
)

log = logging.getLogger(__name__)

_CODES: tuple[tuple[type[SightloopError], str, int], ...] = (
    (Unauthenticated, "UNAUTHENTICATED", 401),
    (NotAllowed, "PERMISSION_DENIED", 403),
    (UnknownEndpoint, "ENDPOINT_NOT_FOUND", 404),
    (AliasUnknown, "INVALID_PARAMETER_VALUE", 400),
    (NotFound, "RESOURCE_DOES_NOT_EXIST", 404),
    (ExperimentKnown, "RESOURCE_ALREADY_EXISTS", 400),
    (ExperimentDeleted, "INVALID_PARAMETER_VALUE", 400),
    (ParamChanged, "INVALID_PARAMETER_VALUE", 400),
    (RunDeleted, "INVALID_PARAMETER_VALUE", 400),
    (Conflict, "RESOURCE_ALREADY_EXISTS", 400),
    (NotSupported, "NOT_IMPLEMENTED", 501),
    (BodyIsNoObject, "BAD_REQUEST", 400),
    (BadInput, "INVALID_PARAMETER_VALUE", 400),
    (Refused, "INVALID_STATE", 400),
    (Unavailable, "TEMPORARILY_UNAVAILABLE", 503),
    (SightloopError, "INTERNAL_ERROR", 500),
)
"""The first that fits says what a client is told."""


def answer(content: dict[str, Any]) -> Response[bytes]:
    """The content as JSON; a list of nothing is left out, as MLflow's server leaves it."""
    shown = {name: value for name, value in content.items() if value != []}
    return Response(msgspec.json.encode(shown), media_type="application/json")


def answer_error(error: SightloopError) -> Response[bytes]:
    """What went wrong, in MLflow's shape; our own code stands in front of the message."""
    name, status = next((name, status) for kind, name, status in _CODES if isinstance(error, kind))
    content = {"error_code": name, "message": f"{error.message} [{error.code}]"}
    return Response(msgspec.json.encode(content), status_code=status, media_type="application/json")


def answer_mlflow_bug(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """A bug: the server's log has the trace, the client only learns that there is one."""
    log.error("%s %s", request.method, request.url.path, exc_info=error)
    message = f"Sightloop has a bug here ({type(error).__name__}); the server's log has the details"
    content = {"error_code": "INTERNAL_ERROR", "message": message}
    return Response(msgspec.json.encode(content), status_code=500, media_type="application/json")
