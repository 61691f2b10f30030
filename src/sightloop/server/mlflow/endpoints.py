"""What an endpoint is, and how its request is read: fields by name, numbers also as texts.

MLflow's clients send GET parameters in the address and everything else as JSON; fields that are
not known are left alone, as MLflow's own server leaves them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeVar, get_origin, get_type_hints

import msgspec

from sightloop.kernel.errors import BadInput, NotFound
from sightloop.kernel.workspace import Call, Workspace

Method = Literal["GET", "POST", "PATCH", "DELETE", "PUT"]
Answer = dict[str, Any]
Handler = Callable[[Workspace, Call, Any], Answer]

_Request = TypeVar("_Request", bound=msgspec.Struct)


class BadMlflowRequest(BadInput):
    """A field is missing, or of another kind than MLflow's clients send."""

    code = "SRV-060"

    def __init__(self, *, problem: str) -> None:
        super().__init__(f"the request cannot be used: {problem}", problem=problem)


class UnknownEndpoint(NotFound):
    """MLflow has this address perhaps; Sightloop does not answer it."""

    code = "SRV-061"

    def __init__(self, *, method: str, path: str) -> None:
        super().__init__(
            what="endpoint",
            name=f"{method} {path[:120]}",
            hint="docs/mlflow.md lists those that Sightloop answers",
        )


class BodyIsNoObject(BadInput):
    """The body is JSON of another kind."""

    code = "SRV-063"

    def __init__(self) -> None:
        super().__init__("the request's body is JSON but no object; send fields by name")


class NotSupported(BadInput):
    """MLflow's servers can do without this, and so does Sightloop: clients then do it plainly."""

    code = "SRV-062"

    def __init__(self, *, what: str) -> None:
        super().__init__(f"{what} are not supported; send and fetch files whole", what=what)


class Endpoint(NamedTuple):
    """One address: its method, its path below the prefix, what it takes and what it does."""

    method: Method
    path: str
    """May hold `{name}`s, which are fields of the request."""
    request: type[msgspec.Struct]
    handle: Handler


def read_query(kind: type[_Request], query: Mapping[str, list[str]]) -> _Request:
    """The request that these parameters of an address make.

    Raises:
        BadMlflowRequest: one is missing or of another kind.
    """
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for name, given in query.items():
        if name not in hints:
            continue
        is_list = get_origin(hints[name]) is list
        values[name] = given if is_list else given[-1]
    return read_fields(kind, values)


def read_body(kind: type[_Request], body: bytes, path_fields: Mapping[str, str]) -> _Request:
    """The request in a JSON body, with the fields that stand in its address.

    Raises:
        BodyIsNoObject: it is JSON, but no object.
        BadMlflowRequest: it is no JSON, or a field is missing or of another kind.
    """
    if not path_fields:
        try:  # nearly every request is right, and then read in one go
            return msgspec.json.decode(body, type=kind, strict=False)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError):
            pass  # what is wrong, or null, is found below
    try:
        values = msgspec.json.decode(body or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadMlflowRequest(problem=f"its body is not JSON ({error})") from error
    if isinstance(values, str):  # some clients encode twice
        return read_body(kind, values.encode(), path_fields)
    if not isinstance(values, dict):
        raise BodyIsNoObject
    return read_fields(kind, {**values, **path_fields})


def read_fields(kind: type[_Request], values: Mapping[str, Any]) -> _Request:
    """The request with these fields; what is null counts as left out.

    Raises:
        BadMlflowRequest: one is missing or of another kind.
    """
    given = {name: value for name, value in values.items() if value is not None}
    try:
        return msgspec.convert(given, kind, strict=False)
    except (msgspec.ValidationError, OverflowError) as error:
        raise BadMlflowRequest(problem=str(error)) from error
