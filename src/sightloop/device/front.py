"""The HTTP front: routes, limits, and one JSON shape for errors. Clients never meet a worker."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from sightloop.contracts.check_in import StreamDeclaration
from sightloop.device.bodies import Bodies
from sightloop.device.errors import UnknownStream
from sightloop.device.image_request import Drawing, ImageRequest, Prediction
from sightloop.device.live import Live
from sightloop.device.model_slot import ModelSlot
from sightloop.device.recorder import Recorder
from sightloop.device.settings import NO_STREAM, AgentSettings
from sightloop.device.shadow import Shadows
from sightloop.device.state import Installed
from sightloop.device.status import AgentStatus
from sightloop.kernel.clock import Clock
from sightloop.kernel.errors import SightloopError, Unavailable

RETRY_AFTER_S = 1
_JSON = "application/json"
_UNREAD = frozenset({408, 413, 415})
"""After these the rest of the body may still be on its way: the connection is not used again."""


class Answered(NamedTuple):
    """A prediction, for which stream, how long it took, and the picture of it if one was wanted."""

    prediction: Prediction
    stream: str
    duration_ms: float
    drawing: Drawing | None


class Front:
    """What the routes share."""

    def __init__(
        self,
        settings: AgentSettings,
        slots: Mapping[str, ModelSlot],
        *,
        recorder: Recorder,
        clock: Clock,
        status: Callable[[], AgentStatus],
    ) -> None:
        self.settings = settings
        self.slots = slots
        self.live = Live(clock)
        self.shadows = Shadows(settings, slots, clock=clock, rng=random.Random())
        self.bodies = Bodies(settings)
        self.status = status
        self._streams = {stream.name: stream for stream in settings.streams}
        self._recorder = recorder
        self._clock = clock
        self._numbers = itertools.count(1)

    def stream(self, name: str, *, slot: str = "") -> StreamDeclaration:
        """The stream of that name; without one, the first (of that slot).

        A request of stream `none` comes from no camera (a preview, a load test): it is answered and
        counts for health, but is neither profiled nor kept.

        Raises:
            UnknownStream: it was not declared, or feeds another slot.
        """
        if name == NO_STREAM:
            return StreamDeclaration(NO_STREAM, slot or next(iter(self._streams.values())).slot)
        fitting = [one for one in self._streams.values() if slot in ("", one.slot)]
        found = [one for one in fitting if name in ("", one.name)]
        if not found:
            raise UnknownStream(stream=name, streams=[one.name for one in fitting])
        return found[0]

    async def answer(
        self,
        content: bytes,
        stream: StreamDeclaration,
        *,
        group: str,
        pinned: Installed | None = None,
        timeout_s: float | None = None,
        drawn: bool = False,
    ) -> Answered:
        """What the stream's slot finds in the image. Raises what `ModelSlot.ask` raises."""
        loop = asyncio.get_running_loop()
        is_watched = self.live.wants(stream.name)
        request = ImageRequest(
            id=next(self._numbers),
            content=content,
            stream=stream,
            group=group,
            pinned=pinned,
            draws=self._recorder.draw(stream),
            admitted_at_ms=self._clock.now_ms(),
            admitted_s=self._clock.monotonic_s(),
            answer=loop.create_future(),
            drawn=loop.create_future() if drawn or is_watched else None,
            timeout_s=timeout_s,
        )
        prediction = await self.slots[stream.slot].ask(request)
        duration_ms = 1000 * (self._clock.monotonic_s() - request.admitted_s)
        self.shadows.offer(request, prediction, number=next(self._numbers))
        if request.drawn is not None and is_watched:
            self.live.expect(request.drawn, stream.name, prediction, duration_ms=duration_ms)
        drawing = None
        if request.drawn is not None and drawn:
            # A worker that hangs over it is ended, which sets it. Shielded: whoever watches may be
            # waiting for the same picture when this client leaves.
            drawing = await asyncio.shield(request.drawn)
        return Answered(prediction, stream.name, duration_ms, drawing)

    async def health(self, request: Request) -> Response:  # noqa: ARG002 - a route's form
        """`GET /health`."""
        return json_response(self.status())


def make_app(front: Front, routes: list[Route]) -> Starlette:
    """The ASGI application: the front's own routes and the given ones."""
    own = [Route("/health", front.health)]
    return Starlette(
        routes=[*own, *routes],
        exception_handlers={
            SightloopError: _told(_our_error),
            HTTPException: _told(_http_error),
            ClientDisconnect: _told(lambda _: Response(status_code=400)),
            Exception: _told(_bug),
        },
    )


def json_response(record: msgspec.Struct, *, status: int = 200) -> Response:
    """The record as a response."""
    return Response(msgspec.json.encode(record), status, media_type=_JSON)


class Problem(msgspec.Struct, frozen=True):
    """What is wrong, in one line, and its stable code."""

    error: str
    code: str


def _told(
    render: Callable[[Exception], Response],
) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def handler(request: Request, error: Exception) -> Response:  # noqa: ARG001
        return render(error)

    return handler


def _our_error(error: Exception) -> Response:
    assert isinstance(error, SightloopError), "registered for these"
    response = json_response(
        Problem(_one_line(error.message), error.code), status=error.http_status
    )
    if isinstance(error, Unavailable):
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    if error.http_status in _UNREAD:
        response.headers["Connection"] = "close"
    return response


def _http_error(error: Exception) -> Response:
    assert isinstance(error, HTTPException), "registered for these"
    response = json_response(Problem(error.detail, "DEV-000"), status=error.status_code)
    response.headers.update(error.headers or {})
    return response


def _bug(error: Exception) -> Response:
    """Starlette raises it once more after this answer, so that the log holds it whole."""
    message = f"the agent made a mistake ({type(error).__name__}); its log says more"
    return json_response(Problem(message, "DEV-000"), status=500)


def _one_line(message: str) -> str:
    return " ".join(message.split())
