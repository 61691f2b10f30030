"""The last answered picture of each stream that somebody is looking at.

Nothing is drawn and nothing held while nobody looks. Whoever watches makes one image a second be
drawn, after its client has been answered.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from sightloop.device.image_request import Drawing, Prediction
from sightloop.kernel.clock import Clock

WATCHED_S = 5.0
"""How long a look lasts; a page looks again every second."""

EVERY_S = 0.9
"""Shortest time between two pictures of a stream."""

MOST_STREAMS = 8
"""Pictures in memory; a ninth stream takes the place of the one that was looked at first."""


class LivePicture(NamedTuple):
    """What is shown."""

    jpeg: bytes
    """Empty when it could not be drawn."""
    problem: str
    model: str
    version: int
    n_objects: int
    duration_ms: float
    at_ms: int


class Live:
    """For the event loop only."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._watched_until_s: dict[str, float] = {}
        self._next_s: dict[str, float] = {}
        self._pictures: dict[str, LivePicture] = {}

    def watch(self, stream: str) -> LivePicture | None:
        """The last picture; there will be a newer one soon, if any image comes."""
        now_s = self._clock.monotonic_s()
        self._forget(now_s)
        if stream not in self._watched_until_s and len(self._watched_until_s) >= MOST_STREAMS:
            self._drop(next(iter(self._watched_until_s)))
        self._watched_until_s[stream] = now_s + WATCHED_S
        return self._pictures.get(stream)

    def wants(self, stream: str) -> bool:
        """Whether an image that comes now should be drawn; asking claims the turn."""
        until_s = self._watched_until_s.get(stream)
        if until_s is None:
            return False
        now_s = self._clock.monotonic_s()
        if now_s > until_s:
            self._drop(stream)
            return False
        if now_s < self._next_s.get(stream, now_s):
            return False
        self._next_s[stream] = now_s + EVERY_S
        return True

    def expect(
        self,
        drawn: asyncio.Future[Drawing],
        stream: str,
        prediction: Prediction,
        *,
        duration_ms: float,
    ) -> None:
        """Show the picture when it is drawn."""

        def show(drawn: asyncio.Future[Drawing]) -> None:
            if drawn.cancelled() or stream not in self._watched_until_s:
                return
            drawing = drawn.result()
            self._pictures[stream] = LivePicture(
                jpeg=drawing.jpeg,
                problem=drawing.problem,
                model=prediction.by.model,
                version=prediction.by.version,
                n_objects=len(prediction.detections),
                duration_ms=duration_ms,
                at_ms=self._clock.now_ms(),
            )

        drawn.add_done_callback(show)

    def _forget(self, now_s: float) -> None:
        for stream, until_s in list(self._watched_until_s.items()):
            if now_s > until_s:
                self._drop(stream)

    def _drop(self, stream: str) -> None:
        del self._watched_until_s[stream]
        self._pictures.pop(stream, None)
        self._next_s.pop(stream, None)
