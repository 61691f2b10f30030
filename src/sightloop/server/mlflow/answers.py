"""Errors as MLflow's clients branch on them: a code of theirs, a status, our message."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Response

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
from sightloop.tracking.errors import (
    ExperimentDeleted,
    ExperimentKnown,
    ParamChanged,
    RunDeleted,
)

_CODES: tuple[tuple[type[SightloopError], str, int], ...] = (
    (Unauthenticated, "UNAUTHENTICATED", 401),
    (NotAllowed, "PERMISSION_DENIED", 403),
    (NotFound, "RESOURCE_DOES_NOT_EXIST", 404),
    (ExperimentKnown, "RESOURCE_ALREADY_EXISTS", 400),
    (ExperimentDeleted, "INVALID_PARAMETER_VALUE", 400),
    (ParamChanged, "INVALID_PARAMETER_VALUE", 400),
    (RunDeleted, "INVALID_PARAMETER_VALUE", 400),
    (Conflict, "RESOURCE_ALREADY_EXISTS", 400),
    (BadInput, "INVALID_PARAMETER_VALUE", 400),
    (Refused, "INVALID_STATE", 400),
    (Unavailable, "TEMPORARILY_UNAVAILABLE", 503),
    (SightloopError, "INTERNAL_ERROR", 500),
)
"""The first that fits says what a client is told."""


def answer(content: dict[str, Any]) -> Response[bytes]:
    """The content as JSON."""
    return Response(msgspec.json.encode(content), media_type="application/json")


def answer_error(error: SightloopError) -> Response[bytes]:
    """What went wrong, in MLflow's shape; our own code stands in front of the message."""
    name, status = next((name, status) for kind, name, status in _CODES if isinstance(error, kind))
    content = {"error_code": name, "message": f"{error.message} [{error.code}]"}
    return Response(msgspec.json.encode(content), status_code=status, media_type="application/json")
