"""Cameras: open-loop clients that send an image to a device at a fixed rate, whatever it answers.

A request is due by the clock and not by the answer before it, so a device that stalls is not
spared. Nothing is repeated: an answer that does not come, or is no success, is a failed request.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import quote

import msgspec
import urllib3

from sightloop.demo.world import WorldImage

REQUEST_TIMEOUT_S = 30.0
MAX_IN_FLIGHT = 64


class Shot(msgspec.Struct, frozen=True, kw_only=True):
    """One request and what became of it. `image` counts the images this camera has sent."""

    device: str
    stream: str
    slice_value: str
    image: int
    digest: str
    sent_at_ms: int
    latency_ms: float
    ok: bool
    problem: str
    version: int


@dataclass(slots=True)
class Camera:
    """One camera on one device. `show` changes what passes in front of it."""

    device: str
    stream: str
    url: str
    per_second: float
    shots: list[Shot] = field(default_factory=list)
    on_shot: Callable[[Shot], None] = lambda shot: None
    _images: Iterable[WorldImage] = ()
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _sent: int = 0
    _first_pass_left: int = 0

    def show(self, images: Sequence[WorldImage]) -> None:
        """From the next shot on these images pass by, over and over in the same order."""
        with self._lock:
            self._images = itertools.cycle(images)
            self._first_pass_left = len(images)

    def start(self) -> None:
        """Begin to send."""
        self._thread = threading.Thread(target=self._run, name=f"camera {self.stream}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Send no more and wait for the answers still due."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    @property
    def n_fresh_left(self) -> int:
        """How many images of the present row have not passed by yet."""
        with self._lock:
            return max(self._first_pass_left, 0)

    def _run(self) -> None:
        pool = urllib3.PoolManager(maxsize=MAX_IN_FLIGHT, retries=False)
        due_s = time.monotonic()
        with ThreadPoolExecutor(MAX_IN_FLIGHT, f"shots of {self.stream}") as shooters:
            while not self._stopping.wait(max(0.0, due_s - time.monotonic())):
                with self._lock:
                    image = next(iter(self._images), None)
                    self._first_pass_left -= 1
                    self._sent += 1
                    number = self._sent
                if image is not None:
                    shooters.submit(self._shoot, pool, image, number)
                due_s += 1 / self.per_second

    def _shoot(self, pool: urllib3.PoolManager, image: WorldImage, number: int) -> None:
        sent_at_ms = time.time_ns() // 1_000_000
        started_s = time.monotonic()
        version, problem = 0, ""
        try:
            response = pool.request(
                "POST",
                f"{self.url}/predict?stream={quote(self.stream)}&group={quote(image.key)}",
                body=image.path.read_bytes(),
                headers={"Content-Type": "image/jpeg"},
                timeout=REQUEST_TIMEOUT_S,
            )
            if response.status == 200:
                version = int(json.loads(response.data)["version"])
            else:
                problem = f"status {response.status}: {response.data[:200]!r}"
        except (OSError, urllib3.exceptions.HTTPError, ValueError, KeyError) as error:
            problem = f"{type(error).__name__}: {error}"
        shot = Shot(
            device=self.device,
            stream=self.stream,
            slice_value=image.slice_value,
            image=number,
            digest=image.digest,
            sent_at_ms=sent_at_ms,
            latency_ms=(time.monotonic() - started_s) * 1000,
            ok=not problem,
            problem=problem,
            version=version,
        )
        with self._lock:
            self.shots.append(shot)
        self.on_shot(shot)
