"""Boxes that are turned: reading them from both heads, and suppressing those that overlap.

`raw` is (1, 4 + n_classes + 1, n_anchors) and `end_to_end` is (1, k, 7), in both of which a box is
its centre and size and the angle comes last. How far two turned boxes overlap is measured between
the normal distributions that fill them.

Source: Llerena et al. (2021), Gaussian bounding boxes and probabilistic intersection-over-union,
https://arxiv.org/abs/2106.06072.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sightloop.contracts.bundle import Detection, HeadLayout, Thresholds
from sightloop.contracts.shapes import OrientedBox
from sightloop.inference.geometry import Placement
from sightloop.inference.heads import at_or_above, check_found, class_indices
from sightloop.inference.seen import Seen
from sightloop.inference.suppression import Classes, Rows, Scores

Turned = NDArray[np.float32]
"""(n, 5): centre x and y, width, height, angle in radians from the x axis towards the y axis."""

MOST_CANDIDATES = 3000
"""Boxes that suppression compares, the best of them: its cost grows with their square."""
_TINY = np.float32(1e-7)
_BLOCK = 256


class FoundTurned(NamedTuple):
    """Turned boxes in pixels of the model's input, best score first."""

    boxes: Turned
    scores: Scores
    classes: Classes


def read_turned(
    output: NDArray[np.float32],
    layout: HeadLayout,
    *,
    n_classes: int,
    score_floor: float,
    thresholds: Thresholds,
) -> FoundTurned:
    """Turned boxes in the output with at least `score_floor`; arguments as `heads.read_head`.

    Raises:
        BrokenAnswer: a number is not finite, or names a class that does not exist.
    """
    if layout == "raw":
        found = _read_raw(output[0], score_floor, n_classes=n_classes)
    else:
        found = _read_end_to_end(output[0], score_floor)
    check_found(found.boxes[:, :4], found.classes, found.boxes[:, 4:], n_classes=n_classes)
    if layout == "raw":
        rows = suppress_turned(*found, iou=thresholds.iou)
    else:
        rows = np.argsort(-found.scores, kind="stable")
    rows = rows[: thresholds.max_detections]
    return FoundTurned(found.boxes[rows], found.scores[rows], found.classes[rows])


def seen_turned(found: FoundTurned, placement: Placement) -> Seen:
    """The boxes in pixels of the picture; one that lies wholly beside it is left out."""
    detections, shapes = [], []
    for (x, y, width, height, angle), score, class_index in zip(
        _to_image(found.boxes, placement).tolist(), found.scores, found.classes, strict=True
    ):
        shape = OrientedBox(x, y, width, height, angle)
        xs, ys = zip(*shape.corners(), strict=True)
        x1, x2 = max(min(xs), 0.0), min(max(xs), float(placement.picture_width_px))
        y1, y2 = max(min(ys), 0.0), min(max(ys), float(placement.picture_height_px))
        if x1 < x2 and y1 < y2:
            detections.append(Detection(int(class_index), float(score), x1, y1, x2, y2))
            shapes.append(shape)
    return Seen(detections, shapes)


def suppress_turned(boxes: Turned, scores: Scores, classes: Classes, *, iou: float) -> Rows:
    """Rows that stay, best score first.

    A box falls when any better one of its class overlaps it by more than `iou`, also one that
    fell itself: so Ultralytics does it for turned boxes, and its thresholds are chosen for that.
    """
    order = np.argsort(-scores, kind="stable")[:MOST_CANDIDATES]
    standing = np.ones(len(order), dtype=bool)
    for one in np.unique(classes[order]):
        rows = np.flatnonzero(classes[order] == one)
        standing[rows] = _standing(boxes[order[rows]], iou)
    kept: Rows = order[standing]
    return kept


def overlaps(first: Turned, second: Turned) -> NDArray[np.float32]:
    """(n, m): how far each of `first` overlaps each of `second`, 0 to 1.

    >>> one = np.array([[5, 5, 4, 2, 0.3]], dtype=np.float32)
    >>> bool(overlaps(one, one)[0, 0] > 0.99)
    True
    """
    x1, y1, a1, b1, c1 = (column[:, np.newaxis] for column in _gaussians(first))
    x2, y2, a2, b2, c2 = (column[np.newaxis] for column in _gaussians(second))
    a, b, c = a1 + a2, b1 + b2, c1 + c2
    determinant = a * b - c**2
    between = (a * (y1 - y2) ** 2 + b * (x1 - x2) ** 2 + 2 * c * (x2 - x1) * (y1 - y2)) / (
        4 * (determinant + _TINY)
    )
    own = np.maximum(a1 * b1 - c1**2, 0) * np.maximum(a2 * b2 - c2**2, 0)
    spread = np.log(determinant / (4 * np.sqrt(own) + _TINY) + _TINY) / 2
    distance = np.clip(between + spread, _TINY, 100)
    shared: NDArray[np.float32] = 1 - np.sqrt(1 - np.exp(-distance) + _TINY)
    return shared


def _read_raw(anchors: NDArray[np.float32], score_floor: float, *, n_classes: int) -> FoundTurned:
    all_scores = anchors[4 : 4 + n_classes]
    best = all_scores.max(axis=0)
    rows = at_or_above(best, score_floor)
    return FoundTurned(
        boxes=anchors[[0, 1, 2, 3, -1]][:, rows].T,
        scores=best[rows],
        classes=all_scores[:, rows].argmax(axis=0).astype(np.int64),
    )


def _read_end_to_end(rows: NDArray[np.float32], score_floor: float) -> FoundTurned:
    rows = rows[at_or_above(rows[:, 4], score_floor)]
    return FoundTurned(rows[:, [0, 1, 2, 3, 6]], rows[:, 4], class_indices(rows[:, 5]))


def _standing(boxes: Turned, iou: float) -> NDArray[np.bool_]:
    """Which of the boxes, best first, no earlier one overlaps; block by block to bound memory."""
    fallen = np.zeros(len(boxes), dtype=bool)
    later = np.arange(len(boxes))
    for start in range(0, len(boxes), _BLOCK):
        earlier = np.arange(start, min(start + _BLOCK, len(boxes)))
        shared = overlaps(boxes[earlier], boxes[start:]) > np.float32(iou)
        before = earlier[:, np.newaxis] < later[np.newaxis, start:]
        fallen[start:] |= (shared & before).any(axis=0)
    return ~fallen


def _gaussians(boxes: Turned) -> tuple[NDArray[np.float32], ...]:
    """Centre and the three covariances of the normal distribution that stands for each box."""
    x, y, width, height, angle = boxes.T
    along, across = width**2 / 12, height**2 / 12
    cos, sin = np.cos(angle), np.sin(angle)
    return (
        x,
        y,
        along * cos**2 + across * sin**2,
        along * sin**2 + across * cos**2,
        (along - across) * cos * sin,
    )


def _to_image(boxes: Turned, placement: Placement) -> Turned:
    # Width and height are scaled as if the box were not turned: the two scales differ only by the
    # rounding of the resized picture to whole pixels.
    scale_x = placement.width_px / placement.picture_width_px
    scale_y = placement.height_px / placement.picture_height_px
    offset_px = np.array([placement.left_px, placement.top_px, 0, 0, 0], dtype=np.float32)
    scale = np.array([scale_x, scale_y, scale_x, scale_y, 1], dtype=np.float32)
    moved: Turned = (boxes - offset_px) / scale
    return moved
