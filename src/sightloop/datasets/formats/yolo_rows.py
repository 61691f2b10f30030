"""Annotations as label rows of YOLO: numbers that lead back to the thousandth of a pixel. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from sightloop.datasets.formats.yolo_labels import KeypointLayout, YoloTask
from sightloop.datasets.geometry import (
    BoxPx,
    KeypointsPx,
    MaskPx,
    OrientedBoxPx,
    Placed,
    PolygonPx,
    SizePx,
    WholeImage,
    bounds_of,
    enclosing,
)
from sightloop.datasets.masks import decoded, runs_of
from sightloop.datasets.truths import CROWD, is_true
from sightloop.datasets.values import Annotation, Sample

_TASK_OF: dict[type, YoloTask] = {
    KeypointsPx: "pose",
    PolygonPx: "segment",
    MaskPx: "segment",
    OrientedBoxPx: "obb",
    BoxPx: "detect",
    WholeImage: "classify",
}


_TELLING: tuple[YoloTask, ...] = ("segment", "pose", "obb")


class YoloRow(NamedTuple):
    """What a label row says of an annotation after its class, and what it does not."""

    numbers: list[float]
    """Shares of the image's width and height; visibilities as they are."""
    lost: list[str]


def true_objects(sample: Sample) -> list[Annotation]:
    """The annotations that make labels: true ones, of single objects."""
    return [one for one in sample.annotations if is_true(one) and not one.attributes.get(CROWD)]


def task_of(samples: Iterable[Sample]) -> YoloTask:
    """The task that keeps most of what the samples hold.

    Boxes can be told in every task; so they decide only where there is nothing else.
    """
    n_of: Counter[YoloTask] = Counter()
    for sample in samples:
        n_of.update(_TASK_OF[type(one.geometry)] for one in true_objects(sample))
    most = max(_TELLING, key=lambda task: n_of[task])
    if n_of[most]:
        return most
    return "detect" if n_of["detect"] or not n_of["classify"] else "classify"


def n_digits_for(size: SizePx) -> int:
    """Decimals after which a share leads back to the same thousandth of a pixel.

    A corner comes from a centre and half a size, each off by half a last digit.

    >>> n_digits_for(SizePx(640, 480)), n_digits_for(SizePx(20_000, 10))
    (7, 8)
    """
    return math.ceil(math.log10(2000 * max(size)))


def row_of(
    geometry: Placed, task: YoloTask, size: SizePx, layout: KeypointLayout | None
) -> YoloRow:
    """The row of an object in labels of that task."""
    if task == "pose" and layout is not None:
        return _pose(geometry, size, layout)
    if task == "segment":
        return _segment(geometry, size)
    if task == "obb":
        return _oriented(geometry, size)
    lost = [] if isinstance(geometry, BoxPx) else [_SHAPE_LOST[type(geometry)]]
    return YoloRow(_center(geometry, size), lost)


_SHAPE_LOST = {
    PolygonPx: "outline",
    MaskPx: "mask",
    KeypointsPx: "keypoints",
    OrientedBoxPx: "turn of an oriented box",
}


def _center(geometry: Placed, size: SizePx) -> list[float]:
    x1, y1, x2, y2 = geometry.x1, geometry.y1, geometry.x2, geometry.y2
    width_px, height_px = size
    return [
        (x1 + x2) / 2 / width_px,
        (y1 + y2) / 2 / height_px,
        (x2 - x1) / width_px,
        (y2 - y1) / height_px,
    ]


def _pose(geometry: Placed, size: SizePx, layout: KeypointLayout) -> YoloRow:
    points: list[float] = []
    lost = []
    if isinstance(geometry, KeypointsPx):
        for x, y, seen in zip(
            geometry.points[0::3], geometry.points[1::3], geometry.points[2::3], strict=True
        ):
            points += (x / size.width_px, y / size.height_px, seen)
        if len(points) != 3 * layout.n_points:
            lost.append("number of keypoints")
        if not any(points):
            lost.append("keypoints without any point")
    elif not isinstance(geometry, BoxPx):
        lost.append(_SHAPE_LOST[type(geometry)])
    padded = [*points, *[0.0] * (3 * layout.n_points - len(points))]
    return YoloRow([*_center(geometry, size), *padded], lost)


def _segment(geometry: Placed, size: SizePx) -> YoloRow:
    if isinstance(geometry, PolygonPx):
        ring = joined(geometry.rings)
        lost = ["rings of one outline, joined by a line"] if len(geometry.rings) > 1 else []
        if bounds_of(geometry) != enclosing(ring):
            lost.append("box of an outline")
        return YoloRow(_shares(ring, size), lost)
    if isinstance(geometry, MaskPx):
        ring = joined(list(_outlines(geometry, size))) or _corners(geometry)
        return YoloRow(_shares(ring, size), ["mask, written as its outline"])
    if isinstance(geometry, OrientedBoxPx):
        return YoloRow(_shares(geometry.corners, size), ["oriented box, written as an outline"])
    lost = ["keypoints"] if isinstance(geometry, KeypointsPx) else []
    return YoloRow(_shares(_corners(geometry), size), [*lost, "box, written as an outline"])


def _oriented(geometry: Placed, size: SizePx) -> YoloRow:
    if isinstance(geometry, OrientedBoxPx):
        return YoloRow(_shares(geometry.corners, size), [])
    lost = [] if isinstance(geometry, BoxPx) else [_SHAPE_LOST[type(geometry)]]
    return YoloRow(_shares(_corners(geometry), size), [*lost, "box, written as an oriented box"])


def _corners(geometry: Placed) -> tuple[float, ...]:
    x1, y1, x2, y2 = geometry.x1, geometry.y1, geometry.x2, geometry.y2
    return (x1, y1, x2, y1, x2, y2, x1, y2)


def _shares(points: Sequence[float], size: SizePx) -> list[float]:
    return [one / size[at % 2] for at, one in enumerate(points)]


def joined(rings: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """One outline that goes round all rings: to each, round it, and back the same way.

    >>> joined([(0, 0, 2, 0, 2, 2), (5, 5, 6, 5, 6, 6)])
    (0, 0, 2, 0, 2, 2, 0, 0, 5, 5, 6, 5, 6, 6, 5, 5, 0, 0)
    """
    if len(rings) < 2:
        return tuple(rings[0]) if rings else ()
    first, *others = rings
    start = tuple(first[:2])
    whole = (*first, *start)
    for ring in others:
        whole += (*ring, *ring[:2], *start)
    return whole


def _outlines(mask: MaskPx, size: SizePx) -> Iterator[tuple[float, ...]]:
    """Outer outlines of the mask's pieces, the largest first, along the edges of pixels."""
    pixels = decoded(runs_of(mask.counts), size).astype(np.uint8)
    # Twice as large, an outline through the outermost pixels' centres is off by a quarter pixel.
    large = np.repeat(np.repeat(pixels, 2, axis=0), 2, axis=1)
    found, _ = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    for one in sorted(found, key=cv2.contourArea, reverse=True):
        if len(one) >= 3:
            points = (one.reshape(-1, 2).astype(np.float64) + 0.5) / 2
            yield tuple(points.ravel().tolist())


def written(number: float, n_digits: int) -> str:
    """The number with at most so many decimals, and none that says nothing.

    >>> written(0.5, 7), written(1 / 3, 7), written(-1e-12, 7)
    ('0.5', '0.3333333', '0')
    """
    text = f"{number:.{n_digits}f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
