"""Images with boxes drawn on them, as data addresses that a page carries with it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
from numpy.typing import NDArray

from sightloop.inference.images import decode_picture

SHOWN_PX = 320
"""Longer side of a picture in the report."""
TRUTH, FOUND, PROPOSED = (80, 175, 60), (30, 120, 235), (200, 160, 40)
"""Colours in blue, green, red: what is there, what a model found, what it proposed."""
_QUALITY = 82


class DrawnBox(NamedTuple):
    """A box in pixels of the image, with a word at its corner."""

    x1: float
    y1: float
    x2: float
    y2: float
    label: str
    colour: tuple[int, int, int]


def picture_with_boxes(path: Path, boxes: Sequence[DrawnBox]) -> str:
    """The image with these boxes, enlarged or reduced to `SHOWN_PX`, as a `data:` address."""
    picture = decode_picture(path.read_bytes(), name=path.name)
    scale = SHOWN_PX / max(picture.shape[:2])
    shown = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    for box in boxes:
        _draw(shown, box, scale)
    ok, coded = cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    assert ok, "an 8-bit picture can always be encoded"
    return "data:image/jpeg;base64," + base64.b64encode(coded.tobytes()).decode()


def _draw(shown: NDArray[Any], box: DrawnBox, scale: float) -> None:
    corner = (int(box.x1 * scale), int(box.y1 * scale))
    cv2.rectangle(shown, corner, (int(box.x2 * scale), int(box.y2 * scale)), box.colour, 2)
    if not box.label:
        return
    (width, height), _ = cv2.getTextSize(box.label, cv2.FONT_HERSHEY_SIMPLEX, 0.42, 1)
    x = min(corner[0], shown.shape[1] - width - 4)
    y = corner[1] - 4 if corner[1] > height + 6 else int(box.y2 * scale) + height + 4
    cv2.rectangle(shown, (x, y - height - 3), (x + width + 4, y + 3), box.colour, -1)
    cv2.putText(
        shown,
        box.label,
        (x + 2, y),
        cv2.FONT_HERSHEY_SIMPLEX,
        0.42,
        (255, 255, 255),
        1,
        cv2.LINE_AA,
    )
