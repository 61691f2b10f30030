"""Boxes around shapes of formats that give them none. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from sightloop.datasets.formats.listing import Box, Keypoints
from sightloop.datasets.geometry import KeypointsPx, PolygonPx, enclosing, rounded

_HALF_PX = 0.5


def keypoints_in_box(points: Sequence[float]) -> Keypoints:
    """The points `x, y, v` with the box around those that are labelled.

    Points on one line, or one alone, get half a pixel of room on each side where there is none.
    Without any labelled point there is no box; `placing` will say so.
    """
    labelled = [
        one
        for at in range(0, len(points), 3)
        if points[at + 2]
        for one in (points[at], points[at + 1])
    ]
    if not labelled:
        return Keypoints(points)
    x1, x2 = _with_room(min(labelled[0::2]), max(labelled[0::2]))
    y1, y2 = _with_room(min(labelled[1::2]), max(labelled[1::2]))
    return Keypoints(points, Box((x1, y1, x2, y2), "corners"))


def has_own_box(geometry: PolygonPx | KeypointsPx) -> bool:
    """Whether the shape's box is another than the one around it, and so would be lost."""
    if isinstance(geometry, PolygonPx):
        around = enclosing(sum(geometry.rings, ()))
        numbers = (around.x1, around.y1, around.x2, around.y2)
    else:
        box = keypoints_in_box(geometry.points).box
        if box is None:
            return True
        numbers = box.numbers
    again = rounded(PolygonPx(*numbers, ()))
    mine = (geometry.x1, geometry.y1, geometry.x2, geometry.y2)
    return not isinstance(again, PolygonPx) or mine != (again.x1, again.y1, again.x2, again.y2)


def _with_room(low: float, high: float) -> tuple[float, float]:
    return (low, high) if low < high else (low - _HALF_PX, high + _HALF_PX)
