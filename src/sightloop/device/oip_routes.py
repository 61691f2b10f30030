"""The routes of the Open Inference Protocol v2."""

from __future__ import annotations

import asyncio

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sightloop.device import oip
from sightloop.device.errors import MalformedBody, UnknownModel
from sightloop.device.front import Front, json_response
from sightloop.device.model_slot import ModelSlot
from sightloop.device.state import Installed
from sightloop.device.version import AGENT_VERSION

LENGTH_HEADER = "Inference-Header-Content-Length"


class ServerMetadata(msgspec.Struct, frozen=True):
    """What `GET v2` tells."""

    name: str
    version: str
    extensions: list[str]


class ModelMetadata(msgspec.Struct, frozen=True):
    """What `GET v2/models/M` tells."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[oip.TensorMetadata]
    outputs: list[oip.TensorMetadata]


class OipRoutes:
    """Each method answers one route."""

    def __init__(self, front: Front) -> None:
        self._front = front

    def routes(self) -> list[Route]:
        """All of them, with and without a version."""
        plain = [
            Route("/v2", self.server),
            Route("/v2/health/live", self.live),
            Route("/v2/health/ready", self.ready),
        ]
        for model in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
            plain += [
                Route(model, self.model),
                Route(f"{model}/ready", self.model_ready),
                Route(f"{model}/infer", self.infer, methods=["POST"]),
            ]
        return plain

    async def server(self, request: Request) -> Response:  # noqa: ARG002 - a route's form
        """Name, version, extensions."""
        return json_response(ServerMetadata("sightloop", AGENT_VERSION, oip.EXTENSIONS))

    async def live(self, request: Request) -> Response:  # noqa: ARG002 - a route's form
        """The agent answers, so it is alive."""
        return Response(status_code=200)

    async def ready(self, request: Request) -> Response:  # noqa: ARG002 - a route's form
        """Whatever runs here answers, or lets requests wait for a moment at most.

        A slot that was never given a model does not make the others unready.
        """
        running = [slot for slot in self._front.slots.values() if slot.running]
        ready = bool(running) and all(slot.is_ready for slot in running)
        return Response(status_code=200 if ready else 503)

    async def model(self, request: Request) -> Response:
        """Versions and tensors of a running model."""
        slot, running = self._find(request)
        return json_response(
            ModelMetadata(
                running.model,
                [str(running.version)],
                f"sightloop_{slot.task}",
                oip.INPUTS,
                oip.OUTPUTS[slot.task],
            )
        )

    async def model_ready(self, request: Request) -> Response:
        """Whether that model, in that version, answers."""
        slot, _ = self._find(request)
        return Response(status_code=200 if slot.is_ready else 503)

    async def infer(self, request: Request) -> Response:
        """An image in, tensors out."""
        slot, running = self._find(request)
        async with self._front.bodies.read(request) as body:
            asked = oip.read_request(body, json_bytes=_json_bytes(request), task=slot.task)
            stream = self._front.stream(asked.stream, slot=slot.name)
            pinned = running if "version" in request.path_params else None
            answered = await self._front.answer(
                asked.image,
                stream,
                group=asked.group,
                pinned=pinned,
                timeout_s=asked.timeout_s,
            )
        # Masks as pixels may be many: nobody else waits while they are unpacked.
        if any(name in oip.ONLY_WHEN_ASKED for name, _ in asked.outputs):
            reply = await asyncio.to_thread(oip.write_reply, asked, answered.prediction)
        else:
            reply = oip.write_reply(asked, answered.prediction)
        if reply.json_bytes is None:
            return Response(reply.body, media_type="application/json")
        headers = {LENGTH_HEADER: str(reply.json_bytes)}
        return Response(reply.body, headers=headers, media_type="application/octet-stream")

    def _find(self, request: Request) -> tuple[ModelSlot, Installed]:
        model = request.path_params["model"]
        version = request.path_params.get("version", "")
        for slot in self._front.slots.values():
            running = slot.running
            if running and running.model == model and version in ("", str(running.version)):
                return slot, running
        names = [
            f"{slot.running.model}@{slot.running.version}"
            for slot in self._front.slots.values()
            if slot.running
        ]
        raise UnknownModel(model=model, version=version, running=names)


def _json_bytes(request: Request) -> int | None:
    text = request.headers.get(LENGTH_HEADER)
    if text is None:
        return None
    if not text.isdecimal():
        raise MalformedBody(problem=f"{LENGTH_HEADER} is {text!r}, which is no number")
    return int(text)
