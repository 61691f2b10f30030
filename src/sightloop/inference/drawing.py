"""A picture with the answer drawn into it, for people to look at."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np

from sightloop.contracts.shapes import Keypoints, Mask, OrientedBox, Shape
from sightloop.inference.images import Picture
from sightloop.inference.keypoints import SHOWN_FROM
from sightloop.inference.masks import decode_mask
from sightloop.inference.seen import Seen

_OPACITY = 0.4
_GOLDEN_ANGLE = 0.381966
"""Turning by it, the hues of neighbouring classes lie far apart, however many there are."""

Colour = tuple[int, int, int]


def draw(picture: Picture, seen: Seen, class_names: Sequence[str]) -> Picture:
    """A copy of the picture with every object on it, the best one on top."""
    drawn = picture.copy()
    width_px = max(round(max(picture.shape[:2]) / 400), 1)
    shapes: list[Shape | None] = [*seen.shapes]
    shapes += [None] * (len(seen.detections) - len(shapes))
    if seen.probabilities:
        for line, one in enumerate(seen.detections[:5]):
            text = f"{class_names[one.class_index]} {one.score:.2f}"
            _write(drawn, text, (4, 4 + line * 14 * width_px), _colour(one.class_index), width_px)
        return drawn
    for one, shape in reversed(list(zip(seen.detections, shapes, strict=True))):
        colour = _colour(one.class_index)
        left_top = (round(one.x1), round(one.y1))
        if shape is None or isinstance(shape, Keypoints):
            cv2.rectangle(drawn, left_top, (round(one.x2), round(one.y2)), colour, width_px)
        if shape is not None:
            _draw_shape(drawn, shape, colour, width_px)
        _write(drawn, f"{class_names[one.class_index]} {one.score:.2f}", left_top, colour, width_px)
    return drawn


def encode_jpeg(picture: Picture) -> bytes:
    """The picture as a JPEG file."""
    is_done, content = cv2.imencode(".jpg", picture)
    assert is_done, "a picture of three bytes a pixel can always be encoded"
    return content.tobytes()


def _draw_shape(drawn: Picture, shape: Shape, colour: Colour, width_px: int) -> None:
    match shape:
        case Mask():
            inside = decode_mask(shape)
            tinted = drawn[inside] * (1 - _OPACITY) + np.array(colour) * _OPACITY
            drawn[inside] = tinted.astype(np.uint8)
            rings = [np.array(ring, dtype=np.int32).reshape(-1, 1, 2) for ring in shape.rings]
            cv2.drawContours(drawn, rings, -1, colour, width_px)
        case Keypoints():
            for x, y, visible in shape.points:
                if visible >= SHOWN_FROM:
                    cv2.circle(drawn, (round(x), round(y)), 2 * width_px, colour, -1)
        case OrientedBox():
            corners = np.array(shape.corners()).round().astype(np.int32).reshape(-1, 1, 2)
            cv2.polylines(drawn, [corners], isClosed=True, color=colour, thickness=width_px)


def _write(drawn: Picture, text: str, at: tuple[int, int], colour: Colour, width_px: int) -> None:
    scale = 0.4 * width_px
    (text_width, text_height), below = cv2.getTextSize(
        text, cv2.FONT_HERSHEY_SIMPLEX, scale, width_px
    )
    left = min(max(at[0], 0), max(drawn.shape[1] - text_width, 0))
    top = min(max(at[1], 0), max(drawn.shape[0] - text_height - below, 0))
    bottom = top + text_height + below
    cv2.rectangle(drawn, (left, top), (left + text_width, bottom), colour, -1)
    dark = sum(colour) > 380
    ink = (0, 0, 0) if dark else (255, 255, 255)
    place = (left, bottom - below)
    cv2.putText(drawn, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, ink, width_px, cv2.LINE_AA)


def _colour(class_index: int) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(class_index * _GOLDEN_ANGLE % 1, 0.85, 0.95)
    return round(255 * blue), round(255 * green), round(255 * red)
