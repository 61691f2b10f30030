"""Reading the two heads of YOLO26: what the numbers of an output tensor mean.

`raw` is (1, 4 + n_classes + n_extra, n_anchors): for each anchor a box as centre and size in input
pixels, one score per class, and what the task knows of an object beside its box. Like Ultralytics
when it predicts, only the best class of an anchor counts (its validator may count several); then
overlapping boxes of a class are suppressed. `end_to_end` is (1, k, 6 + n_extra): corners in input
pixels, score, class index, extra numbers; its rows are final and only filtered.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sightloop.contracts.bundle import HeadLayout, Thresholds
from sightloop.inference.errors import BrokenAnswer
from sightloop.inference.geometry import Corners
from sightloop.inference.suppression import Classes, Scores, suppress


class Found(NamedTuple):
    """Objects found, best score first; row i of each array is one object."""

    corners_px: Corners
    scores: Scores
    classes: Classes
    extras: NDArray[np.float32]
    """(n, n_extra): coefficients of masks, or keypoints; nothing for a model that finds boxes."""


def read_head(
    output: NDArray[np.float32],
    layout: HeadLayout,
    *,
    n_classes: int,
    score_floor: float,
    thresholds: Thresholds,
) -> Found:
    """Objects in the output with at least `score_floor`, in pixels of the model's input.

    Args:
        output: the tensor as the file returned it, batch of one.
        layout: how to read it.
        n_classes: classes the model knows.
        score_floor: lowest score of interest, above 0.
        thresholds: overlap and number of boxes at which suppression stops; `score` is not used.

    Raises:
        BrokenAnswer: a number is not finite, or names a class that does not exist.
    """
    found = (
        _read_raw(output[0], score_floor, n_classes=n_classes)
        if layout == "raw"
        else _read_end_to_end(output[0], score_floor)
    )
    check_found(found.corners_px, found.classes, found.extras, n_classes=n_classes)
    rows = (
        suppress(*found[:3], iou=thresholds.iou, max_detections=thresholds.max_detections)
        if layout == "raw"
        else np.argsort(-found.scores, kind="stable")[: thresholds.max_detections]
    )
    return Found(
        found.corners_px[rows], found.scores[rows], found.classes[rows], found.extras[rows]
    )


def check_found(
    boxes_px: NDArray[np.float32], classes: Classes, extras: NDArray[np.float32], *, n_classes: int
) -> None:
    """Return when every number can be what it stands for.

    Raises:
        BrokenAnswer: a number is not finite, or names a class that does not exist.
    """
    if not np.isfinite(boxes_px).all():
        raise BrokenAnswer(problem="a box whose corners are not finite numbers")
    if ((classes < 0) | (classes >= n_classes)).any():
        raise BrokenAnswer(problem=f"a class index outside 0 to {n_classes - 1}")
    if not np.isfinite(extras).all():
        raise BrokenAnswer(problem="a mask, a keypoint or an angle that is not a finite number")


def _read_raw(anchors: NDArray[np.float32], score_floor: float, *, n_classes: int) -> Found:
    all_scores = anchors[4 : 4 + n_classes]
    best = all_scores.max(axis=0)
    rows = at_or_above(best, score_floor)
    center, half_size = anchors[:2, rows].T, anchors[2:4, rows].T / np.float32(2)
    return Found(
        corners_px=np.concatenate([center - half_size, center + half_size], axis=1),
        scores=best[rows],
        classes=all_scores[:, rows].argmax(axis=0).astype(np.int64),
        extras=anchors[4 + n_classes :, rows].T,
    )


def _read_end_to_end(rows: NDArray[np.float32], score_floor: float) -> Found:
    rows = rows[at_or_above(rows[:, 4], score_floor)]
    return Found(
        corners_px=rows[:, :4],
        scores=rows[:, 4],
        classes=class_indices(rows[:, 5]),
        extras=rows[:, 6:],
    )


def class_indices(numbers: NDArray[np.float32]) -> Classes:
    """Class indices out of a column of floats; -1 for one that is no number, which is refused."""
    return np.where(np.isfinite(numbers), numbers, -1).astype(np.int64)


def at_or_above(scores: Scores, score_floor: float) -> NDArray[np.int64]:
    """Rows whose score is at least the floor.

    Raises:
        BrokenAnswer: a score is no number.
    """
    if np.isnan(scores).any():  # a comparison would quietly drop them
        raise BrokenAnswer(problem="scores that are not numbers")
    return np.flatnonzero(scores >= score_floor)
