"""How far two people agree on what an image shows. Pure.

Two boxes match when they are of one class and overlap by at least one half; the pairs that overlap
most match first, and each box at most once. Agreement is twice the matches over all boxes of both:
1 when the drawings tell the same, 0 when they share nothing. It is the F1 of either drawing judged
by the other, so neither person counts as the one who is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sightloop.review.values import LabelBox

IOU = 0.5


class Agreement(NamedTuple):
    """`mean_iou` is over the matches, None where there are none."""

    agreement: float
    mean_iou: float | None
    n_matched: int


def compare(first: Sequence[LabelBox], second: Sequence[LabelBox]) -> Agreement:
    """How far the drawings agree; which of them comes first does not matter.

    >>> compare([], [])
    Agreement(agreement=1.0, mean_iou=None, n_matched=0)
    """
    if not first and not second:
        return Agreement(1.0, None, 0)
    overlaps = _overlaps(first, second)
    pairs = [(row, column) for row, column in np.argwhere(overlaps >= IOU).tolist()]
    free_first, free_second = set(range(len(first))), set(range(len(second)))
    matched = []
    for row, column in sorted(pairs, key=lambda pair: -overlaps[pair]):
        if row in free_first and column in free_second:
            free_first.remove(row)
            free_second.remove(column)
            matched.append(float(overlaps[row, column]))
    return Agreement(
        2 * len(matched) / (len(first) + len(second)),
        sum(matched) / len(matched) if matched else None,
        len(matched),
    )


def _overlaps(first: Sequence[LabelBox], second: Sequence[LabelBox]) -> NDArray[np.float64]:
    """(n_first, n_second): intersection over union; 0 where the classes differ."""
    one, two = _corners(first)[:, np.newaxis], _corners(second)[np.newaxis]
    low, high = np.maximum(one[..., :2], two[..., :2]), np.minimum(one[..., 2:], two[..., 2:])
    shared = (high - low).clip(0).prod(axis=2)
    areas = [(each[..., 2:] - each[..., :2]).prod(axis=2) for each in (one, two)]
    overlaps: NDArray[np.float64] = shared / (areas[0] + areas[1] - shared)
    classes = np.array([box.class_id for box in first], dtype=object)[:, np.newaxis]
    others = np.array([box.class_id for box in second], dtype=object)[np.newaxis]
    overlaps[classes != others] = 0
    return overlaps


def _corners(boxes: Sequence[LabelBox]) -> NDArray[np.float64]:
    rows = [(one.box.x1, one.box.y1, one.box.x2, one.box.y2) for one in boxes]
    return np.array(rows, dtype=np.float64).reshape(len(rows), 4)
