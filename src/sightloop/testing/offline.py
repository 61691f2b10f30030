"""A device that is out of touch for weeks: what it saw, what it spooled, what it gave up."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from sightloop.contracts.bundle import Detection
from sightloop.contracts.check_in import StreamDeclaration, StreamPolicy
from sightloop.contracts.telemetry import Body, HealthBody, KeptImageBody, ProfileBody
from sightloop.device.drop_order import Shelf, shelf_of
from sightloop.device.image_request import ImageRequest
from sightloop.device.messages import Observed
from sightloop.device.recorder import Recorder
from sightloop.device.spool import Spool
from sightloop.device.state import Installed
from sightloop.device.windows import MeasureFacts, ReferenceFacts
from sightloop.kernel.digests import digest_of
from sightloop.testing.clock import ManualClock

DEVICE = "device_test"
BY = Installed(bundle=digest_of(b"bundle"), model="pcb", version=1)
STREAM = StreamDeclaration("cam1", "main", "")
_FACTS = ReferenceFacts([MeasureFacts("brightness", 2, {"": [0.5, 0.5]})], 2, [""])
_HEALTH_EVERY_S = 6 * 3600.0


class Account(NamedTuple):
    """What became of everything that was worth a message."""

    n_images: int
    n_in_windows: int
    """Images that a profile which was spooled counts."""
    n_lost_windows: int
    """Images whose window was open when the power failed."""
    spooled: Counter[Shelf]
    """Messages handed to the spool."""
    most_bytes: int
    """The largest the spool has been."""


class OfflineDevice:
    """A recorder and a spool under a clock that a test moves; there is no server.

    The spool writes real files. A power failure is a spool that is opened anew without the old one
    being closed, and a recorder whose open windows are gone.
    """

    def __init__(
        self, root: Path, *, clock: ManualClock, limit_bytes: int, image_bytes: int, seed: int
    ) -> None:
        self._root = root
        self._clock = clock
        self._limit_bytes = limit_bytes
        self._image_bytes = image_bytes
        self._chance = random.Random(seed)
        self._n_images = self._n_in_windows = self._n_lost = self._in_open = 0
        self._spooled: Counter[Shelf] = Counter()
        self._most_bytes = 0
        self._n_boots = 0
        self._next_health_s = 0.0
        self.audited: list[bytes] = []
        """The images that the audit lane kept, in order."""
        self.boot()

    def boot(self) -> None:
        """Start again on what lies on the disk."""
        self._n_lost += self._in_open
        self._in_open = 0
        self._n_boots += 1
        self.spool = Spool(self._root, device=DEVICE, limit_bytes=self._limit_bytes)
        self._recorder = Recorder(
            DEVICE,
            [STREAM],
            policies=[StreamPolicy(stream="cam1", audit_rate=0.1, uncertain_per_hour=1)],
            post=self,
            clock=self._clock,
            seed=f"boot {self._n_boots}",
        )

    def live(self, duration_s: float, *, every_s: float) -> None:
        """See an image every so many seconds."""
        for _ in range(int(duration_s / every_s)):
            self._see()
            self._clock.advance(every_s)
            self._recorder.close_due()
            if self._clock.monotonic_s() >= self._next_health_s:
                self._next_health_s = self._clock.monotonic_s() + _HEALTH_EVERY_S
                self.put(_health(self._clock.now_ms()))

    def stop(self) -> Account:
        """End orderly; what became of everything so far."""
        self._recorder.close_all()
        return Account(
            self._n_images, self._n_in_windows, self._n_lost, self._spooled, self._most_bytes
        )

    def put(self, body: Body, *, image: bytes = b"") -> None:
        """What the recorder and the health report hand to the spool."""
        if isinstance(body, ProfileBody):
            self._n_in_windows += body.profile.n_images
            self._in_open -= body.profile.n_images
        if isinstance(body, KeptImageBody) and body.lane == "audit":
            self.audited.append(image)
        self._spooled[shelf_of(body)] += 1
        self.spool.append(body, at_ms=self._clock.now_ms(), image=image)
        self._most_bytes = max(self._most_bytes, self.spool.facts.size_bytes)

    def _see(self) -> None:
        self._n_images += 1
        self._in_open += 1
        loop = asyncio.new_event_loop()
        request = ImageRequest(
            id=self._n_images,
            content=self._chance.randbytes(self._image_bytes),
            stream=STREAM,
            group="",
            pinned=None,
            draws=self._recorder.draw(STREAM),
            admitted_at_ms=self._clock.now_ms(),
            admitted_s=self._clock.monotonic_s(),
            answer=asyncio.Future(loop=loop),
        )
        loop.close()
        observed = Observed(
            id=self._n_images,
            bins=[self._chance.randrange(2)],
            uncertainty=self._chance.random(),
            descriptor=[1.0],
            detections=[Detection(0, 0.9, 0, 0, 1, 1)],
            n_reported=1,
        )
        self._recorder.observe(request, observed, by=BY, facts=_FACTS, redact=None)


def _health(now_ms: int) -> HealthBody:
    return HealthBody(
        slot="main",
        bundle=BY.bundle,
        started_at_ms=now_ms - int(1000 * _HEALTH_EVERY_S),
        ended_at_ms=now_ms,
        n_requests=1,
        n_failed=0,
        latency_bounds_ms=[],
        latency_counts=[1],
        resident_bytes=0,
    )
