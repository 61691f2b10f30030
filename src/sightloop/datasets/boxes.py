"""Boxes against the image they lie on: inside its bounds, in its upright frame."""

from __future__ import annotations

from typing import NamedTuple

from sightloop.datasets.values import BoxPx


class SizePx(NamedTuple):
    """Width and height of an image."""

    width_px: int
    height_px: int


TURNED = frozenset({5, 6, 7, 8})
"""EXIF orientations in which width and height of the stored pixels are swapped."""


def overshoot_px(box: BoxPx, size: SizePx) -> float:
    """How far the box reaches out of the image at most; 0.0 when it lies inside.

    >>> overshoot_px(BoxPx(-2.5, 0, 10, 11), SizePx(10, 10))
    2.5
    """
    beyond = (-box.x1, -box.y1, box.x2 - size.width_px, box.y2 - size.height_px)
    return max(0.0, *beyond)


def clipped(box: BoxPx, size: SizePx) -> BoxPx | None:
    """The part of the box on the image; None when there is none."""
    x1, x2 = max(box.x1, 0.0), min(box.x2, float(size.width_px))
    y1, y2 = max(box.y1, 0.0), min(box.y2, float(size.height_px))
    return BoxPx(x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None


def upright(box: BoxPx, stored: SizePx, *, orientation: int) -> BoxPx:
    """A box drawn on the pixels as stored, in the frame of the image as it is meant to be seen.

    Args:
        box: corners on the stored pixels.
        stored: size of the stored pixels.
        orientation: the EXIF value, 1 to 8.
    Source: EXIF 2.3, tag 0x0112; the values 2 to 8 are mirrored, turned by 180 degrees, mirrored
        upside down, transposed, turned clockwise, transposed across, turned anti-clockwise.

    >>> upright(BoxPx(0, 0, 2, 1), SizePx(10, 5), orientation=6)
    BoxPx(x1=4, y1=0, x2=5, y2=2)
    """
    x1, y1, x2, y2 = box.x1, box.y1, box.x2, box.y2
    if orientation in TURNED:
        x1, y1, x2, y2 = y1, x1, y2, x2
        stored = SizePx(stored.height_px, stored.width_px)
    if orientation in (2, 3, 6, 7):
        x1, x2 = stored.width_px - x2, stored.width_px - x1
    if orientation in (3, 4, 7, 8):
        y1, y2 = stored.height_px - y2, stored.height_px - y1
    return BoxPx(x1, y1, x2, y2)
