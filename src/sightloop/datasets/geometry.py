"""Where an object is on its image: box, polygon, mask, keypoints, oriented box, or all of it.

Every geometry with a place carries or gives its bounding box (`x1`, `y1`, `x2`, `y2`), so that
whatever works with boxes works with all of them. Pixels are those of the upright image; corners
are rounded to thousandths. Pure. Specification: docs/formats/commit.md.

Like rows, these only hold values and cannot be part of a cycle (`gc=False`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from sightloop.datasets.errors import EmptyBox, FarAway

_GRID_PER_PX = 1000

FAR_PX = 1e9
"""No image reaches this far; beyond it thousandths of a pixel are lost in floating point."""


class SizePx(NamedTuple):
    """Width and height of an image."""

    width_px: int
    height_px: int


class _Bounded(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Corners of the bounding box, half-open: x1 <= x < x2.

    Raises:
        EmptyBox: a corner is NaN, or two are equal or swapped.
        FarAway: a corner is more than `FAR_PX` away.
    """

    x1: float
    y1: float
    x2: float
    y2: float

    def __post_init__(self) -> None:
        if not (self.x1 < self.x2 and self.y1 < self.y2):  # this form also refuses NaN
            raise EmptyBox(corners_px=(self.x1, self.y1, self.x2, self.y2))
        if self.x1 < -FAR_PX or self.y1 < -FAR_PX or self.x2 > FAR_PX or self.y2 > FAR_PX:
            raise _far_away((self.x1, self.y1, self.x2, self.y2))


class BoxPx(_Bounded, frozen=True, array_like=True, tag="box", gc=False):
    """Corners in pixels of the whole upright image, half-open: x1 <= x < x2.

    Raises:
        EmptyBox: a corner is NaN, or two are equal or swapped.
        FarAway: a corner is more than `FAR_PX` away.
    """


class PolygonPx(_Bounded, frozen=True, array_like=True, tag="polygon", gc=False):
    """One or more outlines of one object, and the box that its source gives it.

    Raises:
        EmptyBox: the box has no area.
        FarAway: a corner of the box is more than `FAR_PX` away.
    """

    rings: tuple[tuple[float, ...], ...]
    """Each `x, y, x, y, ...` with at least three points; the last joins the first."""


class MaskPx(_Bounded, frozen=True, array_like=True, tag="mask", gc=False):
    """The object's pixels, and the box that its source gives it.

    Raises:
        EmptyBox: the box has no area.
        FarAway: a corner of the box is more than `FAR_PX` away.
    """

    counts: str
    """COCO's compressed run lengths over the whole upright image, column by column; see `masks`."""


class KeypointsPx(_Bounded, frozen=True, array_like=True, tag="keypoints", gc=False):
    """Named points of an object in the order of its class's `keypoints`, and its box.

    Raises:
        EmptyBox: the box has no area.
        FarAway: a corner of the box is more than `FAR_PX` away.
    """

    points: tuple[float, ...]
    """`x, y, v` each; v as COCO has it: 0 not labelled, 1 hidden, 2 visible."""


class OrientedBoxPx(msgspec.Struct, frozen=True, array_like=True, tag="oriented box", gc=False):
    """A turned rectangle by its four corners, in drawing order.

    Raises:
        EmptyBox: its corners enclose no area.
        FarAway: a corner is more than `FAR_PX` away.
    """

    corners: tuple[float, float, float, float, float, float, float, float]
    """`x, y` four times."""

    def __post_init__(self) -> None:
        if not (self.x1 < self.x2 and self.y1 < self.y2):
            raise EmptyBox(corners_px=(self.x1, self.y1, self.x2, self.y2))
        if not all(-FAR_PX <= one <= FAR_PX for one in self.corners):
            raise _far_away(self.corners)

    @property
    def x1(self) -> float:
        """Left edge of the bounding box."""
        return min(self.corners[0::2])

    @property
    def y1(self) -> float:
        """Upper edge of the bounding box."""
        return min(self.corners[1::2])

    @property
    def x2(self) -> float:
        """Right edge of the bounding box."""
        return max(self.corners[0::2])

    @property
    def y2(self) -> float:
        """Lower edge of the bounding box."""
        return max(self.corners[1::2])


class WholeImage(msgspec.Struct, frozen=True, array_like=True, tag="image", gc=False):
    """The class is one of the whole image, which has no place on it."""


Placed = BoxPx | PolygonPx | MaskPx | KeypointsPx | OrientedBoxPx
"""A geometry with a place, and so with a bounding box."""

Geometry = BoxPx | PolygonPx | MaskPx | KeypointsPx | OrientedBoxPx | WholeImage
"""Where an object is: a tagged union."""


def bounds_of(geometry: Geometry) -> BoxPx | None:
    """The bounding box; None of a whole image, which has no place on it.

    >>> bounds_of(OrientedBoxPx((2, 0, 4, 2, 2, 4, 0, 2)))
    BoxPx(x1=0, y1=0, x2=4, y2=4)
    """
    if type(geometry) is BoxPx:
        return geometry
    if isinstance(geometry, WholeImage):
        return None
    return BoxPx(geometry.x1, geometry.y1, geometry.x2, geometry.y2)


def area_of(geometry: Geometry, size: SizePx | None = None) -> float:
    """Square pixels of the bounding box; of a whole image those of its `size`, else 0.0."""
    if isinstance(geometry, WholeImage):
        return float(size.width_px * size.height_px) if size else 0.0
    return (geometry.x2 - geometry.x1) * (geometry.y2 - geometry.y1)


def ring_area_px2(ring: Sequence[float]) -> float:
    """Square pixels inside an outline `x, y, x, y, ...`, whichever way round it goes.

    >>> ring_area_px2((0, 0, 4, 0, 4, 3))
    6.0
    """
    xs, ys = ring[0::2], ring[1::2]
    turns = zip(xs, ys, (*xs[1:], *xs[:1]), (*ys[1:], *ys[:1]), strict=False)
    return abs(sum(x * next_y - next_x * y for x, y, next_x, next_y in turns)) / 2


def iou_of(first: Placed, second: Placed) -> float:
    """Intersection over union of two bounding boxes.

    >>> iou_of(BoxPx(0, 0, 10, 10), BoxPx(5, 0, 15, 10))
    0.3333333333333333
    """
    width = min(first.x2, second.x2) - max(first.x1, second.x1)
    height = min(first.y2, second.y2) - max(first.y1, second.y1)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (area_of(first) + area_of(second) - shared)


def shift_px(first: Geometry, second: Geometry) -> float:
    """How far the coordinate that moved most has moved.

    Point by point where both have as many points, else by the corners of the bounding boxes.
    """
    old, new = coordinates_of(first), coordinates_of(second)
    if type(first) is not type(second) or len(old) != len(new):
        old, new = coordinates_of(bounds_of(first)), coordinates_of(bounds_of(second))
    return max((abs(a - b) for a, b in zip(old, new, strict=False)), default=0.0)


def coordinates_of(geometry: Geometry | None) -> tuple[float, ...]:
    """Every coordinate of the geometry, x and y in turn; the corners of a mask's box."""
    if geometry is None or isinstance(geometry, WholeImage):
        return ()
    if isinstance(geometry, OrientedBoxPx):
        return geometry.corners
    corners = (geometry.x1, geometry.y1, geometry.x2, geometry.y2)
    if isinstance(geometry, PolygonPx):
        return (*corners, *(one for ring in geometry.rings for one in ring))
    if isinstance(geometry, KeypointsPx):
        points = geometry.points
        return (*corners, *(one for at, one in enumerate(points) if at % 3 != 2))
    return corners


def rounded(geometry: Geometry) -> Geometry:
    """The geometry on the grid of thousandths of a pixel.

    Formats that write corner and size instead of two corners return to the very same numbers on
    this grid, which they would not do on floating point alone.

    Raises:
        EmptyBox: nothing is left of its area.
        FarAway: a coordinate is more than `FAR_PX` away, or no number.

    >>> rounded(BoxPx(0.1 + 0.2, 0, 10, 10)).x1
    0.3
    """
    if type(geometry) is BoxPx:
        return rounded_box(geometry)
    if isinstance(geometry, WholeImage):
        return geometry
    if isinstance(geometry, OrientedBoxPx):
        a, b, c, d, e, f, g, h = (_on_grid(one) for one in geometry.corners)
        return OrientedBoxPx((a, b, c, d, e, f, g, h))
    x1, y1, x2, y2 = (_on_grid(one) for one in (geometry.x1, geometry.y1, geometry.x2, geometry.y2))
    if isinstance(geometry, PolygonPx):
        rings = tuple(tuple(_on_grid(one) for one in ring) for ring in geometry.rings)
        return PolygonPx(x1, y1, x2, y2, rings)
    if isinstance(geometry, KeypointsPx):
        return KeypointsPx(x1, y1, x2, y2, tuple(_on_grid(one) for one in geometry.points))
    if isinstance(geometry, MaskPx):
        return MaskPx(x1, y1, x2, y2, geometry.counts)
    return BoxPx(x1, y1, x2, y2)


def rounded_box(box: BoxPx) -> BoxPx:
    """As `rounded`, of a box."""
    return BoxPx(_on_grid(box.x1), _on_grid(box.y1), _on_grid(box.x2), _on_grid(box.y2))


def enclosing(points: tuple[float, ...]) -> BoxPx:
    """The smallest box around points given as `x, y, x, y, ...`.

    Raises:
        EmptyBox: they enclose no area.
        FarAway: one is more than `FAR_PX` away.
    """
    return BoxPx(min(points[0::2]), min(points[1::2]), max(points[0::2]), max(points[1::2]))


def _far_away(coordinates: Sequence[float]) -> FarAway:
    return FarAway(coordinate_px=max(coordinates, key=abs), limit_px=FAR_PX)


def _on_grid(corner_px: float) -> float:
    if not -FAR_PX <= corner_px <= FAR_PX:  # this form also refuses NaN
        raise _far_away((corner_px,))
    # A third of the time of round(), for millions of corners; also turns -0.0 and 0 into 0.0.
    return math.floor(corner_px * _GRID_PER_PX + 0.5) / _GRID_PER_PX
