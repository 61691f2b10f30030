"""Request bodies on their way into memory: bounded in size, in time, and all together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from sightloop.device.errors import BodyTooLarge, QueueFull, SlowBody, WrongMediaType
from sightloop.device.settings import AgentSettings


class Bodies:
    """Counts what is in memory. A slow client holds only what it has sent so far."""

    def __init__(self, settings: AgentSettings) -> None:
        self._settings = settings
        self._n_open = 0
        self._buffered_bytes = 0

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """The whole body; it counts as in memory until the block ends.

        Raises:
            BodyTooLarge, SlowBody, WrongMediaType: see there.
            QueueFull: all bodies together take too much memory now.
        """
        limit_bytes = self._settings.max_body_bytes
        if request.headers.get("content-encoding", "identity") != "identity":
            encoding = request.headers["content-encoding"]
            raise WrongMediaType(media_type=encoding, wanted="bodies without content-encoding")
        announced = request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > limit_bytes:
            raise BodyTooLarge(limit_bytes=limit_bytes)
        taken = _Taken()
        self._n_open += 1
        try:
            yield await self._receive(request, taken)
        finally:
            self._n_open -= 1
            self._buffered_bytes -= taken.n_bytes

    async def _receive(self, request: Request, taken: _Taken) -> bytes:
        chunks = []
        try:
            async with asyncio.timeout(self._settings.body_deadline_s):
                async for chunk in request.stream():
                    self._take(len(chunk), taken)
                    chunks.append(chunk)
        except TimeoutError as error:
            raise SlowBody(limit_s=self._settings.body_deadline_s) from error
        return b"".join(chunks)

    def _take(self, n_bytes: int, taken: _Taken) -> None:
        taken.n_bytes += n_bytes
        self._buffered_bytes += n_bytes
        if taken.n_bytes > self._settings.max_body_bytes:
            raise BodyTooLarge(limit_bytes=self._settings.max_body_bytes)
        if self._buffered_bytes > self._settings.max_buffered_bytes:
            raise QueueFull(n_waiting=self._n_open)


class _Taken:
    """How much of the memory one body holds."""

    def __init__(self) -> None:
        self.n_bytes = 0
