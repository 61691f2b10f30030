"""Look-alikes whose labels contradict each other. Pure.

Of two images that look alike, the boxes of one are laid over the other in shares of width and
height. An object that only one of them has, of a class for which both are labelled, is a missing
or a superfluous label on one of the two; which one, only a look can tell.
"""

from __future__ import annotations

import numpy as np

from sightloop.datasets.curation.columns import Columns, Numbers
from sightloop.datasets.curation.suspicions import Suspicions, iou_between

MAX_COMPARED = 50_000
"""Pairs that are compared, the most alike first: some 10 s."""

SAME_OBJECT_IOU = 0.3
"""Look-alikes may be cropped or shifted a little, so less than for boxes on one image."""


def contradictions(columns: Columns, first: Numbers, second: Numbers) -> Suspicions:
    """Samples with fewer objects than a look-alike, each once, against the most contrary one."""
    worst: dict[int, tuple[float, int, int]] = {}
    for one, other in zip(first[:MAX_COMPARED], second[:MAX_COMPARED], strict=True):
        for sample, copy in ((int(one), int(other)), (int(other), int(one))):
            n_missing, n_objects = _missing(columns, sample, copy)
            if n_missing:
                found = (n_missing / n_objects, n_missing, copy)
                worst[sample] = max(worst.get(sample, found), found)
    rows = np.array(sorted(worst), np.int64)
    told = [worst[row] for row in rows.tolist()]
    return Suspicions(
        "unlike its copy",
        rows,
        np.full(len(rows), -1),
        np.array([copy for _, _, copy in told], np.int64),
        np.array([share for share, _, _ in told]),
        np.array([n for _, n, _ in told], np.float64),
    )


def _missing(columns: Columns, sample: int, copy: int) -> tuple[int, int]:
    """How many objects of `copy` the sample lacks, and how many `copy` has, of classes of both."""
    mine, theirs = (_shares(columns, row) for row in (sample, copy))
    shared = _classes_of(columns, sample) & _classes_of(columns, copy)
    theirs = [one for one in theirs if one[0] in shared]
    n_missing = 0
    free = dict(enumerate(mine))
    for class_code, box in theirs:
        at = _best(free, class_code, box)
        if at is None:
            n_missing += 1
        else:
            del free[at]
    return n_missing, len(theirs)


def _best(free: dict[int, tuple[int, Numbers]], class_code: int, box: Numbers) -> int | None:
    """The free object of that class that overlaps most; None if none does enough."""
    same = [at for at, (code, _) in free.items() if code == class_code]
    if not same:
        return None
    iou = iou_between(np.stack([free[at][1] for at in same]), np.repeat(box[None], len(same), 0))
    iou = np.where(np.isnan(box[0]), 1.0, iou)
    best = int(np.argmax(iou))
    return same[best] if iou[best] >= SAME_OBJECT_IOU else None


def _shares(columns: Columns, row: int) -> list[tuple[int, Numbers]]:
    at = np.arange(columns.starts[row], columns.starts[row + 1])
    at = at[columns.vouched[at]]
    boxes = columns.corners_px[at] / np.tile(columns.sizes_px[row], 2)
    return list(zip(columns.classes[at].tolist(), boxes, strict=True))


def _classes_of(columns: Columns, row: int) -> set[int]:
    low, high = np.searchsorted(columns.labelled[:, 0], [row, row + 1])
    return set(columns.labelled[low:high, 1].tolist())
