"""Every service by its name: what the HTTP interface, the pages and the command line call.

An operation's name is its room's word and a verb. The request and result types are read off the
service's own signature, so that the table cannot disagree with the code.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec

from sightloop.kernel.workspace import Call, Workspace

Service = Callable[[Workspace, Call, Any], Any]


class Nothing(msgspec.Struct, frozen=True):
    """A request without any field."""


class Done(msgspec.Struct, frozen=True):
    """The answer of services that only do."""

    done: bool = True


@dataclass(frozen=True, slots=True)
class Operation:
    """A service and the types of what goes in and comes out."""

    name: str
    service: Service
    request_type: type[msgspec.Struct]
    result_type: Any
    summary: str

    def run(self, workspace: Workspace, call: Call, request: msgspec.Struct) -> Any:  # noqa: ANN401
        """Call the service."""
        return self.service(workspace, call, request)


def describe(name: str, service: Service) -> Operation:
    """The operation that a service is, by its signature and docstring."""
    hints = typing.get_type_hints(service)
    summary = (service.__doc__ or "").strip().splitlines()[0]
    return Operation(name, service, hints["request"], hints["return"], summary)


@cache
def operations() -> dict[str, Operation]:
    """All operations by name; importing the rooms is left until somebody asks."""
    from sightloop.server.catalogue import SERVICES

    return {name: describe(name, service) for name, service in sorted(SERVICES.items())}


def operation_named(name: str) -> Operation:
    """One operation; only the rooms that it needs are loaded where they can be told by its name."""
    if name.startswith("data."):
        from sightloop.server.data_catalogue import DATA_SERVICES

        return describe(name, DATA_SERVICES[name])
    return operations()[name]
