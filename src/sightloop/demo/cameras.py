"""Cameras: open-loop clients that send an image to a device at a fixed rate, whatever it answers.

A request is due by the clock and not by the answer before it, so a device that stalls is not
spared. Nothing is repeated: an answer that does not come, or is no success, is a failed request.

A camera shows each image of its row once, as a camera does. When the row is over it goes on at the
same rate with images it has shown before, but as a client of the model and not as a camera of the
stream: the load stays, and nothing is audited twice.
"""

from __future__ import annotations

import itertools
import json
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import msgspec
import urllib3

from sightloop.demo.world import WorldImage

REQUEST_TIMEOUT_S = 30.0
MAX_IN_FLIGHT = 64


class Shot(msgspec.Struct, frozen=True, kw_only=True):
    """One request and what became of it; `fresh` when it stood for a part passing the camera."""

    device: str
    slice_value: str
    digest: str
    fresh: bool
    sent_at_ms: int
    latency_ms: float
    ok: bool
    problem: str
    version: int


class Camera:
    """One camera on one device. Safe for several threads."""

    def __init__(
        self,
        *,
        device: str,
        stream: str,
        url: str,
        model: str,
        per_second: float,
        on_shot: Callable[[Shot], None],
    ) -> None:
        self.device = device
        self.stream = stream
        self._url = url
        self._model = model
        self._per_second = per_second
        self._on_shot = on_shot
        self._row: list[WorldImage] = []
        self._shown: list[WorldImage] = []
        self._load: Iterator[WorldImage] = iter(())
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"camera {stream}", daemon=True)
        self._pool = urllib3.PoolManager(maxsize=MAX_IN_FLIGHT, retries=False)

    def show(self, images: Sequence[WorldImage]) -> None:
        """From the next shot on these images pass by, each once, before anything else."""
        with self._lock:
            self._row = list(images)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Send no more and wait for the answers still due."""
        self._stopping.set()
        self._thread.join()

    @property
    def n_left(self) -> int:
        """How many images of the row have not passed by yet."""
        with self._lock:
            return len(self._row)

    def _run(self) -> None:
        due_s = time.monotonic()
        with ThreadPoolExecutor(MAX_IN_FLIGHT, f"shots of {self.stream}") as shooters:
            while not self._stopping.wait(max(0.0, due_s - time.monotonic())):
                image, is_fresh = self._next()
                shooters.submit(self._shoot, image, is_fresh)
                due_s += 1 / self._per_second

    def _next(self) -> tuple[WorldImage, bool]:
        with self._lock:
            if self._row:
                image = self._row.pop(0)
                self._shown.append(image)
                self._load = itertools.cycle(list(self._shown))
                return image, True
            return next(self._load), False

    def _shoot(self, image: WorldImage, is_fresh: bool) -> None:
        sent_at_ms = time.time_ns() // 1_000_000
        started_s = time.monotonic()
        version, problem = 0, ""
        try:
            version = self._as_camera(image) if is_fresh else self._as_client(image)
        except (OSError, urllib3.exceptions.HTTPError, ValueError, KeyError) as error:
            problem = f"{type(error).__name__}: {error}"
        self._on_shot(
            Shot(
                device=self.device,
                slice_value=image.slice_value,
                digest=image.digest,
                fresh=is_fresh,
                sent_at_ms=sent_at_ms,
                latency_ms=(time.monotonic() - started_s) * 1000,
                ok=not problem,
                problem=problem,
                version=version,
            )
        )

    def _as_camera(self, image: WorldImage) -> int:
        address = f"/predict?stream={quote(self.stream)}&group={quote(image.key)}"
        return int(self._post(address, image.path.read_bytes(), {})["version"])

    def _as_client(self, image: WorldImage) -> int:
        """The Open Inference Protocol, the image as a binary BYTES tensor."""
        content = image.path.read_bytes()
        tensor = struct.pack("<I", len(content)) + content
        parameters = {"binary_data_size": len(tensor)}
        inputs = {"name": "image", "shape": [1], "datatype": "BYTES", "parameters": parameters}
        # Of no stream: these images passed a camera before.
        head = json.dumps({"parameters": {"stream": "none"}, "inputs": [inputs]}).encode()
        headers = {"Inference-Header-Content-Length": str(len(head))}
        reply = self._post(f"/v2/models/{self._model}/infer", head + tensor, headers)
        return int(reply["model_version"])

    def _post(self, address: str, body: bytes, headers: dict[str, str]) -> dict[str, str]:
        response = self._pool.request(
            "POST",
            f"{self._url}{address}",
            body=body,
            headers={"Content-Type": "application/octet-stream", **headers},
            timeout=REQUEST_TIMEOUT_S,
        )
        if response.status != 200:
            raise ValueError(f"status {response.status}: {response.data[:200]!r}")
        return dict(json.loads(response.data))
