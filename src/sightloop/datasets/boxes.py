"""Geometries against the image they lie on: inside its bounds, in its upright frame."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

from sightloop.datasets.geometry import (
    BoxPx,
    Geometry,
    KeypointsPx,
    MaskPx,
    OrientedBoxPx,
    Placed,
    PolygonPx,
    SizePx,
    WholeImage,
    coordinates_of,
)
from sightloop.datasets.masks import turned_mask

TURNED = frozenset({5, 6, 7, 8})
"""EXIF orientations in which width and height of the stored pixels are swapped."""

_Point = tuple[float, float]


def overshoot_px(geometry: Geometry, size: SizePx) -> float:
    """How far the geometry reaches out of the image at most; 0.0 when it lies inside.

    An oriented box counts by its centre: corners of a turned rectangle may lie outside. So do
    keypoints by their box: a hidden point may be guessed beyond the edge.

    >>> overshoot_px(BoxPx(-2.5, 0, 10, 11), SizePx(10, 10))
    2.5
    """
    if isinstance(geometry, WholeImage):
        return 0.0
    if isinstance(geometry, OrientedBoxPx):
        xs, ys = [sum(geometry.corners[0::2]) / 4], [sum(geometry.corners[1::2]) / 4]
    elif isinstance(geometry, PolygonPx):
        numbers = coordinates_of(geometry)
        xs, ys = list(numbers[0::2]), list(numbers[1::2])
    else:
        xs, ys = [geometry.x1, geometry.x2], [geometry.y1, geometry.y2]
    beyond = (-min(xs), -min(ys), max(xs) - size.width_px, max(ys) - size.height_px)
    return max(0.0, *beyond)


def clipped(box: BoxPx, size: SizePx) -> BoxPx | None:
    """The part of the box on the image; None when there is none."""
    x1, x2 = max(box.x1, 0.0), min(box.x2, float(size.width_px))
    y1, y2 = max(box.y1, 0.0), min(box.y2, float(size.height_px))
    return BoxPx(x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None


def pulled_in(geometry: Placed, size: SizePx) -> Placed | None:
    """The geometry with every coordinate that lies outside moved to the edge; None if all do."""
    box = clipped(BoxPx(geometry.x1, geometry.y1, geometry.x2, geometry.y2), size)
    if isinstance(geometry, OrientedBoxPx):
        return geometry
    if box is None or isinstance(geometry, BoxPx):
        return box
    if isinstance(geometry, MaskPx):
        return MaskPx(box.x1, box.y1, box.x2, box.y2, geometry.counts)
    if isinstance(geometry, KeypointsPx):
        return KeypointsPx(box.x1, box.y1, box.x2, box.y2, geometry.points)

    def inside(point: _Point) -> _Point:
        return (
            min(max(point[0], 0.0), float(size.width_px)),
            min(max(point[1], 0.0), float(size.height_px)),
        )

    rings = tuple(_mapped(ring, inside) for ring in geometry.rings)
    return PolygonPx(box.x1, box.y1, box.x2, box.y2, rings)


def upright(geometry: Placed, stored: SizePx, *, orientation: int) -> Placed:
    """A geometry drawn on the pixels as stored, in the frame of the image as it is to be seen.

    Args:
        geometry: drawn on the stored pixels.
        stored: size of the stored pixels.
        orientation: the EXIF value, 1 to 8.
    Source: EXIF 2.3, tag 0x0112; the values 2 to 8 are mirrored, turned by 180 degrees, mirrored
        upside down, transposed, turned clockwise, transposed across, turned anti-clockwise.

    >>> upright(BoxPx(0, 0, 2, 1), SizePx(10, 5), orientation=6)
    BoxPx(x1=4, y1=0, x2=5, y2=2)
    """
    width_px, height_px = stored
    if orientation in TURNED:
        width_px, height_px = height_px, width_px

    def seen(point: _Point) -> _Point:
        x, y = (point[1], point[0]) if orientation in TURNED else point
        return (
            width_px - x if orientation in (2, 3, 6, 7) else x,
            height_px - y if orientation in (3, 4, 7, 8) else y,
        )

    if isinstance(geometry, OrientedBoxPx):
        a, b, c, d, e, f, g, h = _mapped(geometry.corners, seen)
        return OrientedBoxPx((a, b, c, d, e, f, g, h))
    first, second = seen((geometry.x1, geometry.y1)), seen((geometry.x2, geometry.y2))
    x1, x2 = sorted((first[0], second[0]))
    y1, y2 = sorted((first[1], second[1]))
    if isinstance(geometry, PolygonPx):
        rings = tuple(_mapped(ring, seen) for ring in geometry.rings)
        return PolygonPx(x1, y1, x2, y2, rings)
    if isinstance(geometry, KeypointsPx):
        return KeypointsPx(x1, y1, x2, y2, _mapped_keypoints(geometry.points, seen))
    if isinstance(geometry, MaskPx):
        counts = turned_mask(geometry.counts, stored, orientation=orientation)
        return MaskPx(x1, y1, x2, y2, counts)
    return BoxPx(x1, y1, x2, y2)


def _mapped(numbers: tuple[float, ...], change: Callable[[_Point], _Point]) -> tuple[float, ...]:
    points = zip(numbers[0::2], numbers[1::2], strict=True)
    return tuple(chain.from_iterable(change(point) for point in points))


def _mapped_keypoints(
    points: tuple[float, ...], change: Callable[[_Point], _Point]
) -> tuple[float, ...]:
    mapped: list[float] = []
    for x, y, seen in zip(points[0::3], points[1::3], points[2::3], strict=True):
        # A point that is not labelled has no place; formats write it as 0, 0.
        mapped += (*change((x, y)), seen) if seen else (x, y, seen)
    return tuple(mapped)
