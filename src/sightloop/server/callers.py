"""Calling a service, wherever it runs: in this process, or in the server that owns the workspace.

While a server runs on a workspace it owns the writes, so the command line sends it the same
request struct it would otherwise hand to the service.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast
from urllib.parse import urlsplit

import msgspec

from sightloop.kernel.actors import LOCAL
from sightloop.kernel.errors import SightloopError, Unavailable
from sightloop.kernel.progress import Progress
from sightloop.kernel.workspace import Call, Workspace

Result = TypeVar("Result")


class ServerAway(Unavailable):
    """The server does not answer."""

    code = "SRV-020"

    def __init__(self, *, url: str, problem: str) -> None:
        super().__init__(
            f"the server at {url} does not answer ({problem}); start it with `sightloop up`, "
            "or leave out --server to work on the workspace's files",
            url=url,
            problem=problem,
        )


class RemoteRefusal(SightloopError):
    """The server answered with an error; code, message and facts are its own."""

    code = "SRV-021"

    def __init__(self, *, code: str, message: str, facts: dict[str, Any]) -> None:
        super().__init__(message, **facts)
        self.code = code


class Caller(Protocol):
    """Runs one operation and returns its result."""

    def call(
        self, operation: str, request: msgspec.Struct, result: type[Result], *, progress: Progress
    ) -> Result:
        """The operation's result.

        Raises:
            SightloopError: what the service raised.
        """
        ...


class LocalCaller:
    """Calls services in this process, as the person at the keyboard."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def call(
        self,
        operation: str,
        request: msgspec.Struct,
        result: type[Result],  # noqa: ARG002 - a remote caller needs it
        *,
        progress: Progress,
    ) -> Result:
        """Run the service here; see `Caller.call`."""
        from sightloop.server.operations import operation_named

        called = operation_named(operation)
        found = called.run(self._workspace, Call(LOCAL, progress), request)
        return cast("Result", found)


def result_from(found: object, result: type[Result]) -> Result:
    """What was read from JSON as the operation's result; there, keys are always texts.

    >>> result_from({"1": 0.5}, dict[int, float])
    {1: 0.5}
    """
    return msgspec.convert(found, result, str_keys=True)


class RemoteCaller:
    """Calls services of a server over HTTP."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token

    def call(
        self, operation: str, request: msgspec.Struct, result: type[Result], *, progress: Progress
    ) -> Result:
        """Send the request; see `Caller.call`.

        Raises:
            ServerAway: nobody answers there.
            RemoteRefusal: the server says no.
        """
        for line in self._lines(f"/api/v1/{operation}", msgspec.json.encode(request)):
            if "progress" in line:
                progress(**line["progress"])
            elif "error" in line:
                raise RemoteRefusal(**line["error"])
            else:
                return result_from(line["result"], result)
        raise ServerAway(url=self._url, problem="it broke off in the middle of an answer")

    def _lines(self, path: str, body: bytes) -> Iterator[dict[str, Any]]:
        import http.client

        address = urlsplit(self._url)
        is_secure = address.scheme == "https"
        kind = http.client.HTTPSConnection if is_secure else http.client.HTTPConnection
        connection = kind(address.hostname or "", address.port)
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Accept": "application/x-ndjson",
            "Content-Type": "application/json",
        }
        try:
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            if response.status != 200:
                yield json.loads(response.read())
                return
            for line in response:
                yield cast("dict[str, Any]", json.loads(line))
        except (OSError, http.client.HTTPException, json.JSONDecodeError) as error:
            raise ServerAway(url=self._url, problem=str(error)) from error
        finally:
            connection.close()


def read_token(state: Path) -> str:
    """The workspace's own token, as `sightloop up` wrote it.

    Raises:
        ServerAway: the workspace has none, so no server ever ran on it.
    """
    try:
        return (state / "token").read_text().strip()
    except FileNotFoundError as error:
        raise ServerAway(url=str(state), problem="no token was made yet") from error
