"""The route `GET /metrics`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sightloop.device.front import Front
from sightloop.device.metrics import MEDIA_TYPE, metrics_text


class Metrics:
    """Answers one route."""

    def __init__(self, front: Front) -> None:
        self._front = front

    def routes(self) -> list[Route]:
        """It."""
        return [Route("/metrics", self.metrics)]

    async def metrics(self, request: Request) -> Response:  # noqa: ARG002 - a route's form
        """Everything that is counted, for Prometheus."""
        front = self._front
        text = metrics_text(
            front.status(),
            {name: slot.counts for name, slot in front.slots.items()},
            front.shadows.status(),
            triton_names=front.settings.triton_metrics,
        )
        return Response(text, media_type=MEDIA_TYPE)
