"""One picture between the thread that read it and the one that sends it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import cv2

from sightloop.device.sources.pictures import Bgr

QUALITY = 95
"""Of the JPEG file a camera's picture becomes; what the model saw is what is kept, byte by byte."""


def nothing() -> None:
    """What is to be done about a picture of a camera."""


class Taken(NamedTuple):
    """A picture as it was taken from its source."""

    frame: Bgr | bytes
    """Pixels, or an image file as it is."""
    at_s: float
    at_ms: int
    name: str = ""
    position_ms: float = -1.0
    finish: Callable[[], None] = nothing
    """Called when the supervisor has dealt with it."""


def take_now(
    frame: Bgr | bytes,
    *,
    name: str = "",
    position_ms: float = -1.0,
    finish: Callable[[], None] = nothing,
) -> Taken:
    """The picture, taken at this moment."""
    return Taken(
        frame,
        time.monotonic(),
        time.time_ns() // 1_000_000,
        name=name,
        position_ms=position_ms,
        finish=finish,
    )


def image_file(frame: Bgr | bytes) -> bytes | None:
    """The picture as the bytes of an image file; None when it cannot be one (too wide for JPEG)."""
    if isinstance(frame, bytes):
        return frame
    try:
        is_done, content = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    except cv2.error:
        return None
    return content.tobytes() if is_done else None
