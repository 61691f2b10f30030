"""A link to a server: its operations over HTTP, with nothing but the standard library."""

from __future__ import annotations

import http.client
from pathlib import Path
from typing import IO
from urllib.parse import quote, urlsplit

import msgspec

from sightloop.client.errors import TargetAway, TargetRefused
from sightloop.contracts.tracking import BeginTracking, EndTracking, TrackBatch

TIMEOUT_S = 15.0
LONGEST_ANSWER_BYTES = 1 << 20
_REFUSED = frozenset({400, 409, 413, 422})
"""Any other failure may be mended at the server's side: it is down, busy, older, or the token is
to be replaced. A run it does not know is begun there again."""


class ServerLink:
    """One connection, kept open between requests and opened anew after an error."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token
        self._connection: http.client.HTTPConnection | None = None

    def begin(self, request: BeginTracking) -> None:
        """See `Link.begin`."""
        self._call("tracking.begin", request)

    def log(self, request: TrackBatch) -> None:
        """See `Link.log`."""
        self._call("tracking.log", request)

    def end(self, request: EndTracking) -> None:
        """See `Link.end`."""
        self._call("tracking.end", request)

    def upload(self, run: str, name: str, file: Path) -> None:
        """See `Link.upload`."""
        path = f"/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/{quote(name)}"
        headers = {"Content-Length": str(file.stat().st_size)}
        with file.open("rb") as body:
            self._request("PUT", path, body, headers | {"Content-Type": "application/octet-stream"})

    def close(self) -> None:
        """See `Link.close`."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _call(self, operation: str, request: msgspec.Struct) -> None:
        body = msgspec.json.encode(request)
        self._request("POST", f"/api/v1/{operation}", body, {"Content-Type": "application/json"})

    def _request(
        self, method: str, path: str, body: bytes | IO[bytes], headers: dict[str, str]
    ) -> None:
        headers = headers | {"Authorization": f"Bearer {self._token}"}
        try:
            if self._connection is None:
                self._connection = self._connect()
            self._connection.request(method, urlsplit(self._url).path + path, body, headers)
            response = self._connection.getresponse()
            content = response.read(LONGEST_ANSWER_BYTES)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise TargetAway(target=self._url, problem=_words_of(error)) from error
        if not response.isclosed() or response.will_close:
            self.close()
        if response.status >= 300:
            self._fail(response.status, content)

    def _fail(self, status: int, content: bytes) -> None:
        problem = _problem_in(content) or f"status {status}"
        if status in _REFUSED:
            raise TargetRefused(target=self._url, problem=problem)
        if status in (401, 403):
            problem += "; is SIGHTLOOP_TOKEN a token of this server?"
        raise TargetAway(target=self._url, problem=problem)

    def _connect(self) -> http.client.HTTPConnection:
        address = urlsplit(self._url)
        is_secure = address.scheme == "https"
        kind = http.client.HTTPSConnection if is_secure else http.client.HTTPConnection
        return kind(address.hostname or "", address.port, timeout=TIMEOUT_S)


def _words_of(error: Exception) -> str:
    return str(error) or type(error).__name__


class _Problem(msgspec.Struct, frozen=True):
    code: str = ""
    message: str = ""


class _Body(msgspec.Struct, frozen=True):
    error: _Problem = _Problem()
    message: str = ""
    """Where MLflow's routes tell what was wrong."""


def _problem_in(content: bytes) -> str:
    try:
        body = msgspec.json.decode(content, type=_Body)
    except msgspec.DecodeError:
        return ""
    return (body.message or f"{body.error.message} [{body.error.code}]").strip()
