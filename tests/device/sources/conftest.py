"""Films, folders and cameras under test: real files, and an HTTP server that plays a camera."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest


def draw_frame(index: int, *, size_px: int = 64) -> np.ndarray:
    """A grey picture with one bright blob, which wanders with the index."""
    frame = np.full((size_px, size_px, 3), 110, np.uint8)
    place = (8 + index % 47, 8 + index % 43)
    cv2.circle(frame, place, 5, (60, 60, 250), -1)
    return frame


def jpeg(frame: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", frame)[1].tobytes()


def write_film(path: Path, *, n: int, fps: float = 10.0) -> Path:
    film = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), fps, (64, 64))
    for index in range(n):
        film.write(draw_frame(index))
    film.release()
    return path


class MjpegCamera:
    """A network camera: a multipart stream of JPEG files, which can hang, die or send garbage."""

    def __init__(self) -> None:
        self.frame_of: Callable[[int], bytes] = lambda index: jpeg(draw_frame(index))
        self.black = jpeg(np.zeros((64, 64, 3), np.uint8))
        self.fps = 50.0
        self.die_after: int | None = None
        self.hang_after: int | None = None
        self.n_connections = 0
        self.paths: list[str] = []
        self._stopping = threading.Event()
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                camera.n_connections += 1
                camera.paths.append(self.path)
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                try:
                    camera._play(self)
                except OSError:
                    return  # whoever looked has gone

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/live.mjpg"

    def stop(self) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def _play(self, handler: BaseHTTPRequestHandler) -> None:
        index = 0
        while not self._stopping.is_set():
            if self.die_after is not None and index >= self.die_after:
                return
            if self.hang_after is not None and index >= self.hang_after:
                self._stopping.wait(0.05)
                continue
            content = self.frame_of(index)
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(content)}\r\n\r\n"
            handler.wfile.write(head.encode() + content + b"\r\n")
            index += 1
            time.sleep(1 / self.fps)


@contextmanager
def mjpeg_camera() -> Iterator[MjpegCamera]:
    camera = MjpegCamera()
    try:
        yield camera
    finally:
        camera.stop()


@pytest.fixture
def camera() -> Iterator[MjpegCamera]:
    with mjpeg_camera() as camera:
        yield camera


@pytest.fixture
def film(tmp_path: Path) -> Callable[[int], Path]:
    """Write a film of so many pictures, ten a second; the same one when asked again."""

    def write(n: int) -> Path:
        path = tmp_path / "film.mp4"
        return path if path.exists() else write_film(path, n=n)

    return write


@pytest.fixture
def fill(tmp_path: Path) -> Callable[..., Path]:
    """Put pictures of these names into a folder; the folder."""
    folder = tmp_path / "incoming"
    folder.mkdir()

    def put(*names: str) -> Path:
        for index, name in enumerate(names):
            (folder / name).write_bytes(jpeg(draw_frame(index)))
        return folder

    return put
