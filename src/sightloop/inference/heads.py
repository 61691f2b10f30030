"""Reading the two heads of YOLO26: what the numbers of an output tensor mean.

`raw` is (1, 4 + n_classes, n_anchors): for each anchor a box as centre and size in input pixels and
one score per class. Like Ultralytics when it predicts, only the best class of an anchor counts (its
validator may count several); then overlapping boxes of a class are suppressed. `end_to_end` is
(1, k, 6): corners in input pixels, score, class index; its rows are final and only filtered.
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
    read = _read_raw if layout == "raw" else _read_end_to_end
    found = read(output[0], score_floor)
    if not np.isfinite(found.corners_px).all():
        raise BrokenAnswer(problem="a box whose corners are not finite numbers")
    if ((found.classes < 0) | (found.classes >= n_classes)).any():
        raise BrokenAnswer(problem=f"a class index outside 0 to {n_classes - 1}")
    rows = (
        suppress(*found, iou=thresholds.iou, max_detections=thresholds.max_detections)
        if layout == "raw"
        else np.argsort(-found.scores, kind="stable")[: thresholds.max_detections]
    )
    return Found(found.corners_px[rows], found.scores[rows], found.classes[rows])


def _read_raw(anchors: NDArray[np.float32], score_floor: float) -> Found:
    all_scores = anchors[4:]
    best = all_scores.max(axis=0)
    rows = _at_or_above(best, score_floor)
    center, half_size = anchors[:2, rows].T, anchors[2:4, rows].T / np.float32(2)
    return Found(
        corners_px=np.concatenate([center - half_size, center + half_size], axis=1),
        scores=best[rows],
        classes=all_scores[:, rows].argmax(axis=0).astype(np.int64),
    )


def _read_end_to_end(rows: NDArray[np.float32], score_floor: float) -> Found:
    rows = rows[_at_or_above(rows[:, 4], score_floor)]
    # A class that is not finite has no integer; -1 is outside every range and refused above.
    classes = np.where(np.isfinite(rows[:, 5]), rows[:, 5], -1).astype(np.int64)
    return Found(corners_px=rows[:, :4], scores=rows[:, 4], classes=classes)


def _at_or_above(scores: Scores, score_floor: float) -> NDArray[np.int64]:
    if np.isnan(scores).any():  # a comparison would quietly drop them
        raise BrokenAnswer(problem="scores that are not numbers")
    return np.flatnonzero(scores >= score_floor)
