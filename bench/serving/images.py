"""The JPEG files that every server is sent: drawn scenes of 640 x 480 px."""

from __future__ import annotations

import cv2
import numpy as np

from sightloop_ultralytics.starter.scenes import draw_scene

WIDTH_PX, HEIGHT_PX = 640, 480
QUALITY = 85


def make_images(n: int) -> list[bytes]:
    """Equal on every machine; about 80 KB each."""
    rng = np.random.default_rng(20)
    images = []
    for _ in range(n):
        picture, _ = draw_scene(rng, WIDTH_PX)
        cut = np.ascontiguousarray(picture[:HEIGHT_PX])
        images.append(cv2.imencode(".jpg", cut, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes())
    return images
