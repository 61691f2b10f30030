"""Which detection found which object: greedily, best score first, as COCO does it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sightloop.contracts.bundle import Detection
from sightloop.contracts.job import LabelledBox

IOU = 0.5


class Counts(NamedTuple):
    """How an image went at one score threshold."""

    n_found: int
    n_missed: int
    n_false: int


def match(
    detections: Sequence[Detection], truths: Sequence[LabelledBox], *, iou: float = IOU
) -> list[int | None]:
    """For each detection the index of the object it found; None if it found none.

    The detection with the best score chooses first and takes the free object of its class that it
    overlaps most, if by at least `iou`; of equal ones the last. Equal scores keep their order.

    >>> match([Detection(0, 0.6, 0, 0, 9, 9), Detection(0, 0.9, 0, 0, 9, 8)],
    ...       [LabelledBox(0, 0, 0, 9, 9)])
    [None, 0]
    """
    found: list[int | None] = [None] * len(detections)
    if not detections or not truths:
        return found
    overlaps = overlaps_of(detections, truths)
    scores = np.array([one.score for one in detections])
    able = overlaps.max(axis=1) >= iou
    for row in np.argsort(-scores, kind="stable"):
        if not able[row]:
            continue
        last_best = len(truths) - 1 - int(overlaps[row, ::-1].argmax())
        if overlaps[row, last_best] >= iou:
            found[row] = last_best
            overlaps[:, last_best] = -1
    return found


def count_image(
    detections: Sequence[Detection], truths: Sequence[LabelledBox], *, score_threshold: float
) -> Counts:
    """Objects found and missed, and detections that found none, at or above the threshold."""
    shown = [one for one in detections if one.score >= score_threshold]
    n_found = sum(index is not None for index in match(shown, truths))
    return Counts(n_found, len(truths) - n_found, len(shown) - n_found)


def image_loss(
    detections: Sequence[Detection], truths: Sequence[LabelledBox], *, score_threshold: float
) -> float:
    """How wrong the answer to an image is, in [0, 1]: 1 - F1 at an overlap of one half.

    0 when there is nothing to find and nothing was reported; 1 when nothing of what is there was
    found, or something was reported where there is nothing.

    >>> image_loss([], [], score_threshold=0.25)
    0.0
    """
    counts = count_image(detections, truths, score_threshold=score_threshold)
    if not any(counts):
        return 0.0
    return 1 - 2 * counts.n_found / (2 * counts.n_found + counts.n_missed + counts.n_false)


def overlaps_of(
    detections: Sequence[Detection], truths: Sequence[LabelledBox]
) -> NDArray[np.float64]:
    """(n_detections, n_truths): intersection over union; -1 where the classes differ.

    Computed from corner, width and height, and not from the two corners, so that overlaps on the
    edge of a threshold fall as they do in pycocotools.
    """
    found, true = _corners_and_sizes(detections), _corners_and_sizes(truths)
    ends, true_ends = found[:, :2] + found[:, 2:], true[:, :2] + true[:, 2:]
    starts = np.maximum(found[:, np.newaxis, :2], true[np.newaxis, :, :2])
    shared = (np.minimum(ends[:, np.newaxis], true_ends[np.newaxis]) - starts).clip(0).prod(axis=2)
    areas, true_areas = found[:, 2] * found[:, 3], true[:, 2] * true[:, 3]
    union = areas[:, np.newaxis] + true_areas[np.newaxis] - shared
    overlaps: NDArray[np.float64] = np.divide(
        shared, union, out=np.zeros_like(shared), where=union > 0
    )
    classes = np.array([one.class_index for one in detections])
    true_classes = np.array([one.class_index for one in truths])
    overlaps[classes[:, np.newaxis] != true_classes[np.newaxis]] = -1
    return overlaps


def _corners_and_sizes(boxes: Sequence[Detection] | Sequence[LabelledBox]) -> NDArray[np.float64]:
    rows = [(box.x1, box.y1, box.x2 - box.x1, box.y2 - box.y1) for box in boxes]
    return np.array(rows, dtype=np.float64)
