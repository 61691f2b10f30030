"""Do two shapes of one object, seen by two hosts or two files, tell the same? Pure."""

from __future__ import annotations

import math

from sightloop.contracts.shapes import Keypoints, Mask, OrientedBox, Shape
from sightloop.inference.keypoints import SHOWN_FROM
from sightloop.inference.masks import overlap_of


def disagreement(expected: Shape, found: Shape, *, reach_px: float, min_overlap: float) -> str:
    """How the shapes differ, in words; empty when they agree.

    Args:
        expected: what should be there.
        found: what is.
        reach_px: how far a keypoint or a corner may lie from its other.
        min_overlap: intersection over union that two masks must have.
    """
    match expected, found:
        case Mask(), Mask():
            if (expected.height_px, expected.width_px) != (found.height_px, found.width_px):
                return "the masks are of pictures of other sizes"
            overlap = overlap_of(expected, found)
            return "" if overlap >= min_overlap else f"the masks overlap by {overlap:.2f} only"
        case Keypoints(), Keypoints():
            return _keypoints_differ(expected, found, reach_px)
        case OrientedBox(), OrientedBox():
            apart_px = corner_distance_px(expected, found)
            return "" if apart_px <= reach_px else f"a corner lies {apart_px:.1f} px away"
    return f"one is a {type(expected).__name__}, the other a {type(found).__name__}"


def corner_distance_px(first: OrientedBox, second: OrientedBox) -> float:
    """Largest distance between corners of the two, whichever of them each begins with.

    >>> corner_distance_px(OrientedBox(0, 0, 4, 2, 0.0), OrientedBox(0, 0, 4, 2, math.pi)) < 1e-6
    True
    """
    ours, theirs = first.corners(), second.corners()
    return min(
        max(math.dist(one, theirs[(i + turn) % 4]) for i, one in enumerate(ours))
        for turn in range(4)
    )


def _keypoints_differ(expected: Keypoints, found: Keypoints, reach_px: float) -> str:
    if len(expected.points) != len(found.points):
        return f"{len(expected.points)} keypoints became {len(found.points)}"
    for index, (one, other) in enumerate(zip(expected.points, found.points, strict=True)):
        apart_px = math.dist(one[:2], other[:2])
        if apart_px > reach_px and min(one[2], other[2]) >= SHOWN_FROM:
            return f"keypoint {index} lies {apart_px:.1f} px away"
    return ""
