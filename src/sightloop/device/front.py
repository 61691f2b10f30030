"""The HTTP front: routes, limits, and one JSON shape for errors. Clients never meet a worker."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from sightloop.contracts.check_in import StreamDeclaration
from sightloop.device.bodies import Bodies
from sightloop.device.errors import UnknownStream, WrongMediaType
from sightloop.device.image_request import ImageRequest, Prediction
from sightloop.device.model_slot import ModelSlot
from sightloop.device.multipart import image_part
from sightloop.device.page import page_of
from sightloop.device.predict import MEDIA_TYPES, WANTED, drawn_image, reply_of
from sightloop.device.recorder import Recorder
from sightloop.device.settings import NO_STREAM, AgentSettings
from sightloop.device.state import Installed
from sightloop.device.status import AgentStatus
from sightloop.kernel.clock import Clock
from sightloop.kernel.errors import SightloopError, Unavailable

RETRY_AFTER_S = 1
_JSON = "application/json"
_UNREAD = frozenset({408, 413, 415})
"""After these the rest of the body may still be on its way: the connection is not used again."""


class Answered(msgspec.Struct, frozen=True):
    """A prediction, for which stream, and how long it took."""

    prediction: Prediction
    stream: str
    duration_ms: float


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
        self.slots = slots
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
    ) -> Answered:
        """What the stream's slot finds in the image. Raises what `ModelSlot.ask` raises."""
        request = ImageRequest(
            id=next(self._numbers),
            content=content,
            stream=stream,
            group=group,
            pinned=pinned,
            draws=self._recorder.draw(stream),
            admitted_at_ms=self._clock.now_ms(),
            admitted_s=self._clock.monotonic_s(),
            answer=asyncio.get_running_loop().create_future(),
        )
        prediction = await self.slots[stream.slot].ask(request)
        duration_ms = 1000 * (self._clock.monotonic_s() - request.admitted_s)
        return Answered(prediction, stream.name, duration_ms)

    async def predict(self, request: Request) -> Response:
        """`POST /predict?stream=&group=&drawn=`; with `drawn=1` a JPEG with the answer in it."""
        content_type = request.headers.get("content-type", "")
        media_type = content_type.partition(";")[0].strip().lower()
        if media_type != "multipart/form-data" and media_type not in MEDIA_TYPES:
            raise WrongMediaType(media_type=media_type, wanted=WANTED)
        stream = self.stream(request.query_params.get("stream", ""))
        async with self.bodies.read(request) as body:
            if media_type == "multipart/form-data":
                body = image_part(body, content_type=content_type)
            group = request.query_params.get("group", "")
            answered = await self.answer(body, stream, group=group)
            if request.query_params.get("drawn", "") in ("1", "true"):
                drawn = await asyncio.to_thread(drawn_image, body, answered.prediction)
                return Response(drawn, media_type="image/jpeg")
        return json_response(
            reply_of(answered.prediction, stream=answered.stream, duration_ms=answered.duration_ms)
        )

    async def health(self, request: Request) -> Response:  # noqa: ARG002 - a route's form
        """`GET /health`."""
        return json_response(self.status())

    async def page(self, request: Request) -> Response:  # noqa: ARG002 - a route's form
        """`GET /`."""
        return HTMLResponse(page_of(self.status()))


def make_app(front: Front, routes: list[Route]) -> Starlette:
    """The ASGI application: the front's own routes and the given ones."""
    own = [
        Route("/", front.page),
        Route("/health", front.health),
        Route("/predict", front.predict, methods=["POST"]),
    ]
    return Starlette(
        routes=[*own, *routes],
        exception_handlers={
            SightloopError: _told(_our_error),
            HTTPException: _told(_http_error),
            ClientDisconnect: _told(lambda _: Response(status_code=400)),
        },
    )


def json_response(record: msgspec.Struct, *, status: int = 200) -> Response:
    """The record as a response."""
    return Response(msgspec.json.encode(record), status, media_type=_JSON)


class _Problem(msgspec.Struct, frozen=True):
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
    response = json_response(_Problem(error.message, error.code), status=error.http_status)
    if isinstance(error, Unavailable):
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    if error.http_status in _UNREAD:
        response.headers["Connection"] = "close"
    return response


def _http_error(error: Exception) -> Response:
    assert isinstance(error, HTTPException), "registered for these"
    return json_response(_Problem(error.detail, "DEV-000"), status=error.status_code)
