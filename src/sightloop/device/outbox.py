"""Puts messages into the spool from a thread of its own, so that no answer waits for a disk."""

from __future__ import annotations

import queue
import threading
from typing import NamedTuple

from sightloop.contracts.telemetry import Body
from sightloop.device.spool import Spool
from sightloop.kernel.clock import Clock

MOST_WAITING = 256
"""Messages that may wait for the disk; more are lost and counted, not piled up in memory."""


class _Waiting(NamedTuple):
    body: Body
    at_ms: int
    image: bytes


class Outbox:
    """A short queue in front of the spool. `put` never blocks."""

    def __init__(self, spool: Spool, clock: Clock) -> None:
        self._spool = spool
        self._clock = clock
        self._queue: queue.Queue[_Waiting | None] = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._work, name="outbox", daemon=True)
        self.n_lost = 0

    def start(self) -> None:
        """Begin to empty the queue."""
        self._thread.start()

    def put(self, body: Body, *, image: bytes = b"") -> None:
        """Have the message spooled soon."""
        try:
            self._queue.put_nowait(_Waiting(body, self._clock.now_ms(), image))
        except queue.Full:
            self.n_lost += 1

    def close(self) -> None:
        """Return when everything put so far is on disk."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (waiting := self._queue.get()) is not None:
            try:
                self._spool.append(waiting.body, at_ms=waiting.at_ms, image=waiting.image)
            except OSError:  # a disk that fails, rather than one that is full
                self.n_lost += 1
