"""The route `POST /predict`: one image or a form of several in, objects or drawn pictures out."""

from __future__ import annotations

import asyncio
import base64

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sightloop.contracts.check_in import StreamDeclaration
from sightloop.device.errors import MalformedBody, NotDrawn, WrongMediaType
from sightloop.device.front import Answered, Front, json_response
from sightloop.device.multipart import FilePart, file_parts
from sightloop.device.predict import (
    MEDIA_TYPES,
    WANTED,
    AnsweredImage,
    PredictionsReply,
    PredictReply,
    UnansweredImage,
    reply_of,
)
from sightloop.kernel.errors import SightloopError

_FORM = "multipart/form-data"
_YES, _NO = ("1", "true"), ("", "0", "false")


class PredictRoute:
    """Answers one route."""

    def __init__(self, front: Front) -> None:
        self._front = front

    def routes(self) -> list[Route]:
        """It."""
        return [Route("/predict", self.predict, methods=["POST"])]

    async def predict(self, request: Request) -> Response:
        """`POST /predict?stream=&group=&drawn=`.

        One image: its prediction, or with `drawn=1` a JPEG with the answer in it. A form with
        several: the predictions of all, each with its drawn picture in base64 if that was wanted.
        """
        content_type = request.headers.get("content-type", "")
        media_type = content_type.partition(";")[0].strip().lower()
        if media_type != _FORM and media_type not in MEDIA_TYPES:
            raise WrongMediaType(media_type=media_type, wanted=WANTED)
        stream = self._front.stream(request.query_params.get("stream", ""))
        group = request.query_params.get("group", "")
        drawn = _drawn(request.query_params.get("drawn", ""))
        async with self._front.bodies.read(request) as body:
            if media_type != _FORM:
                files = [FilePart("", body)]
            else:
                files = file_parts(body, content_type=content_type)
                body = b""  # the parts are copies
            if len(files) > 1:
                return await self._several(files, stream, group=group, drawn=drawn)
            answered = await self._front.answer(files[0].content, stream, group=group, drawn=drawn)
        if answered.drawing is None:
            return json_response(_reply(answered))
        if not answered.drawing.jpeg:
            raise NotDrawn(problem=answered.drawing.problem)
        return Response(answered.drawing.jpeg, media_type="image/jpeg")

    async def _several(
        self, files: list[FilePart], stream: StreamDeclaration, *, group: str, drawn: bool
    ) -> Response:
        async def one(file: FilePart) -> AnsweredImage | UnansweredImage:
            try:
                answered = await self._front.answer(file.content, stream, group=group, drawn=drawn)
            except SightloopError as error:
                problems.append(error)
                return UnansweredImage(file.name, error.message, error.code)
            drawing = answered.drawing.jpeg if answered.drawing else b""
            text = base64.b64encode(drawing).decode() if drawing else msgspec.UNSET
            return AnsweredImage(file.name, _reply(answered), text)

        problems: list[SightloopError] = []
        told = await asyncio.gather(*map(one, files))
        if len(problems) == len(files):  # there is nothing to tell but what is wrong
            raise problems[0]
        return json_response(PredictionsReply(images=told))


def _drawn(value: str) -> bool:
    if value not in _YES + _NO:
        raise MalformedBody(problem=f"drawn is {value[:20]!r}; it should be 0 or 1")
    return value in _YES


def _reply(answered: Answered) -> PredictReply:
    return reply_of(answered.prediction, stream=answered.stream, duration_ms=answered.duration_ms)
