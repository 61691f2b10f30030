"""Oriented boxes as a rectangle and an angle, the way labelling tools write them. Pure.

Angles are degrees, clockwise as seen, since y grows downwards.
"""

from __future__ import annotations

import math
from typing import NamedTuple

Corners = tuple[float, float, float, float, float, float, float, float]
"""`x, y` four times, in drawing order."""

SLACK_PX = 0.01
"""Corners this close to those of a rectangle count as one: they were rounded, each by itself."""


class TurnedBox(NamedTuple):
    """A rectangle that was turned about its first corner; sizes in pixels."""

    x: float
    y: float
    width: float
    height: float
    degrees: float

    @property
    def corners(self) -> Corners:
        """First corner, along the width, opposite, along the height."""
        turn = math.radians(self.degrees)
        cos, sin = math.cos(turn), math.sin(turn)
        along = (self.width * cos, self.width * sin)
        down = (-self.height * sin, self.height * cos)
        return (
            self.x,
            self.y,
            self.x + along[0],
            self.y + along[1],
            self.x + along[0] + down[0],
            self.y + along[1] + down[1],
            self.x + down[0],
            self.y + down[1],
        )

    @property
    def upright(self) -> tuple[float, float, float, float]:
        """Corners x1, y1, x2, y2 of the box before it was turned about its centre."""
        center_x, center_y = center_of(self.corners)
        half_width, half_height = self.width / 2, self.height / 2
        return (
            center_x - half_width,
            center_y - half_height,
            center_x + half_width,
            center_y + half_height,
        )


def turned_about_center(box: tuple[float, float, float, float], degrees: float) -> Corners:
    """The corners of a box x1, y1, x2, y2 that was turned about its centre.

    >>> [round(one, 6) for one in turned_about_center((0, 0, 4, 2), 90)]
    [3.0, -1.0, 3.0, 3.0, 1.0, 3.0, 1.0, -1.0]
    """
    x1, y1, x2, y2 = box
    width, height = x2 - x1, y2 - y1
    turn = math.radians(degrees)
    cos, sin = math.cos(turn), math.sin(turn)
    center_x, center_y = (x1 + x2) / 2, (y1 + y2) / 2
    x = center_x - width / 2 * cos + height / 2 * sin
    y = center_y - width / 2 * sin - height / 2 * cos
    return TurnedBox(x, y, width, height, degrees).corners


def turned_box_of(corners: Corners) -> TurnedBox:
    """The rectangle that fits these corners, the first corner and the edge after it foremost."""
    ax, ay, bx, by, cx, cy, dx, dy = corners
    width = (math.hypot(bx - ax, by - ay) + math.hypot(cx - dx, cy - dy)) / 2
    height = (math.hypot(dx - ax, dy - ay) + math.hypot(cx - bx, cy - by)) / 2
    # Both long sides have a say: four rounded corners know the angle better than two.
    turn = math.atan2((by - ay) + (cy - dy), (bx - ax) + (cx - dx))
    center_x, center_y = center_of(corners)
    cos, sin = math.cos(turn), math.sin(turn)
    x = center_x - width / 2 * cos + height / 2 * sin
    y = center_y - width / 2 * sin - height / 2 * cos
    return TurnedBox(x, y, width, height, math.degrees(turn) % 360)


def is_rectangle(corners: Corners) -> bool:
    """Whether a rectangle and an angle say all there is, drawing order included."""
    again = turned_box_of(corners).corners
    return all(abs(a - b) <= SLACK_PX for a, b in zip(corners, again, strict=True))


def center_of(corners: Corners) -> tuple[float, float]:
    """The mean of the corners."""
    return sum(corners[0::2]) / 4, sum(corners[1::2]) / 4
