"""The device's side of the talk with its server: plain HTTPS requests, always outbound.

Every call ends in one of three ways: an answer, `ServerAway` (try again later, perhaps not before
a given time) or `ServerRefused` (trying the same again is of no use).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import msgspec
import urllib3
from urllib3.exceptions import HTTPError

from sightloop.contracts.check_in import CheckIn, CheckInReply, EnrolReply, EnrolRequest
from sightloop.contracts.decode import decode, encode
from sightloop.contracts.telemetry import TelemetryBatch, TelemetryReply
from sightloop.device.errors import ServerAway, ServerRefused
from sightloop.kernel.digests import Digest

T = TypeVar("T", bound=msgspec.Struct)

TIMEOUT = urllib3.Timeout(connect=5.0, read=30.0)
CHUNK_BYTES = 1 << 16
LONGEST_REPLY_BYTES = 8 << 20
"""A reply is read into memory; a server that sends more than this is not ours."""

_LATER = frozenset({408, 425, 429, 500, 502, 503, 504, 507})


class ServerLink:
    """Requests to one server as one device. Safe for several threads."""

    def __init__(self, server: str, *, token: str) -> None:
        self._server = server.rstrip("/")
        self._token = token
        self._pool = urllib3.PoolManager(maxsize=4, timeout=TIMEOUT, retries=False)

    def close(self) -> None:
        """Drop the open connections."""
        self._pool.clear()

    def enrol(self, request: EnrolRequest) -> EnrolReply:
        """Become a device; the link's token is the one-time enrolment token.

        Raises:
            ServerAway, ServerRefused: see the module.
            WrongFormat: the answer is not an enrolment.
        """
        return self._post("/device/v1/enrol", request, EnrolReply)

    def check_in(self, request: CheckIn) -> CheckInReply:
        """Tell how the device is, hear what is wanted of it.

        Raises:
            ServerAway, ServerRefused: see the module.
            WrongFormat: the answer is not a check-in reply.
        """
        return self._post("/device/v1/check-in", request, CheckInReply)

    def send_batch(self, batch: TelemetryBatch) -> TelemetryReply:
        """Hand over messages.

        Raises:
            ServerAway, ServerRefused: see the module.
            WrongFormat: the answer is not a telemetry reply.
        """
        return self._post("/device/v1/telemetry", batch, TelemetryReply)

    def upload(self, digest: Digest, content: bytes) -> None:
        """Hand over the bytes of an image; sending them again changes nothing.

        Raises:
            ServerAway, ServerRefused: see the module.
        """
        path = f"/device/v1/blobs/{digest.removeprefix('sha256:')}"
        headers = {"Content-Type": "application/octet-stream"}
        with self._request("PUT", path, body=content, headers=headers) as response:
            response.read(LONGEST_REPLY_BYTES)

    @contextmanager
    def open(
        self, path: str, *, from_byte: int = 0
    ) -> Iterator[tuple[urllib3.BaseHTTPResponse, int]]:
        """A response to read piecewise, and the byte of the file at which it begins.

        Raises:
            ServerAway, ServerRefused: see the module; also while the block reads.
        """
        headers = {"Range": f"bytes={from_byte}-"} if from_byte else {}
        with self._request("GET", path, body=None, headers=headers) as response:
            # A server that does not know ranges sends the whole file with 200.
            yield response, from_byte if response.status == 206 else 0

    def url(self, path: str) -> str:
        """The address of a path on this server."""
        return self._server + path

    def _post(self, path: str, request: msgspec.Struct, kind: type[T]) -> T:
        headers = {"Content-Type": "application/json"}
        with self._request("POST", path, body=encode(request), headers=headers) as response:
            content = response.read(LONGEST_REPLY_BYTES)
        return decode(content, kind, what=f"the answer of {self.url(path)}")

    @contextmanager
    def _request(
        self, method: str, path: str, *, body: bytes | None, headers: Mapping[str, str]
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        url = self.url(path)
        headers = {**headers, "Authorization": f"Bearer {self._token}"}
        try:
            response = self._pool.request(
                method, url, body=body, headers=headers, preload_content=False, redirect=False
            )
            try:
                _check(response, url)
                yield response
            finally:
                # A connection whose body was read to its end is back in the pool by now; any
                # other is of no use, and reading on could take for ever.
                response.close()
        except HTTPError as error:
            raise ServerAway(url=url, reason=str(error)) from error


class _Problem(msgspec.Struct, frozen=True):
    code: str = ""
    message: str = ""


class _ProblemBody(msgspec.Struct, frozen=True):
    error: _Problem = _Problem()


def _check(response: urllib3.BaseHTTPResponse, url: str) -> None:
    if 200 <= response.status < 300:
        return
    reason = _reason(response.read(1 << 16)) or response.reason or "no reason given"
    if response.status in _LATER:
        raise ServerAway(
            url=url,
            reason=f"status {response.status}, {reason}",
            retry_after_s=_retry_after_s(response.headers),
        )
    raise ServerRefused(url=url, status=response.status, reason=reason)


def _reason(content: bytes) -> str:
    try:
        problem = msgspec.json.decode(content, type=_ProblemBody).error
    except msgspec.DecodeError:
        return ""
    return f"{problem.code} {problem.message}".strip()


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds asked for; a date is not understood and counts as nothing asked."""
    text = headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else None
