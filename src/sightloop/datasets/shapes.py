"""Whether the numbers inside a geometry make the shape that they should. Pure.

Corners and far coordinates are looked at where a geometry is made; outlines, points and run
lengths only here, because a million rows are read for every one that is written.
"""

from __future__ import annotations

from collections.abc import Sequence

from sightloop.datasets.geometry import (
    FAR_PX,
    Geometry,
    KeypointsPx,
    MaskPx,
    PolygonPx,
    SizePx,
    coordinates_of,
)
from sightloop.datasets.masks import runs_of

_POINTS_OF_RING = 3
_SEEN = (0, 1, 2)


def problem_with_shape(geometry: Geometry, size: SizePx) -> str | None:
    """Why nobody could draw it on an image of that size; None when it can be drawn.

    >>> problem_with_shape(PolygonPx(0, 0, 4, 4, ((0, 0, 4, 4),)), SizePx(9, 9))
    'an outline has 4 numbers; give x, y of at least 3 points'
    """
    problem = None
    if isinstance(geometry, PolygonPx):
        problem = _problem_with_rings(geometry.rings)
    elif isinstance(geometry, KeypointsPx):
        problem = _problem_with_points(geometry.points)
    elif isinstance(geometry, MaskPx):
        problem = _problem_with_runs(geometry.counts, size)
    if problem is None:
        for one in coordinates_of(geometry):
            if not -FAR_PX <= one <= FAR_PX:  # this form also finds NaN
                return f"{one} is no coordinate; give one from {-FAR_PX:g} to {FAR_PX:g} px"
    return problem


def _problem_with_rings(rings: Sequence[Sequence[float]]) -> str | None:
    if not rings:
        return "a polygon without an outline; give at least one"
    for ring in rings:
        if len(ring) < 2 * _POINTS_OF_RING or len(ring) % 2:
            return f"an outline has {len(ring)} numbers; give x, y of at least 3 points"
    return None


def _problem_with_points(points: Sequence[float]) -> str | None:
    if not points or len(points) % 3:
        return f"keypoints of {len(points)} numbers; give x, y, v of each point"
    odd = [seen for seen in points[2::3] if seen not in _SEEN]
    return f"a keypoint's v is {odd[0]:g}; give 0, 1 or 2" if odd else None


def _problem_with_runs(counts: str, size: SizePx) -> str | None:
    try:
        runs = runs_of(counts)
    except ValueError as error:
        return f"the mask's counts are no run lengths ({error}); write them as COCO does"
    wanted = size.width_px * size.height_px
    if sum(runs) != wanted:
        return (
            f"the mask covers {sum(runs)} pixels; give runs over all {wanted} of "
            f"{size.width_px} x {size.height_px} px"
        )
    return None
