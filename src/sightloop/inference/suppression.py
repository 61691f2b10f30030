"""Non-maximum suppression: of boxes that overlap and share a class, the best score stays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sightloop.inference.geometry import Corners

Scores = NDArray[np.float32]
Classes = NDArray[np.int64]
Rows = NDArray[np.int64]


def suppress(
    corners: Corners, scores: Scores, classes: Classes, *, iou: float, max_detections: int
) -> Rows:
    """Rows that stay, best score first; equal scores keep their order.

    A box falls when a better one of its own class overlaps it by more than `iou`. All arithmetic
    is in float32, as in torchvision, so borderline overlaps fall alike. Cost: one pass over the
    remaining boxes for each that stays, at most `max_detections` passes.

    >>> corners = np.array([[0, 0, 9, 9], [0, 0, 9, 8], [0, 0, 9, 8]], dtype=np.float32)
    >>> scores = np.array([0.6, 0.9, 0.5], dtype=np.float32)
    >>> suppress(corners, scores, np.array([0, 0, 1]), iou=0.7, max_detections=300).tolist()
    [1, 2]
    """
    order = np.argsort(-scores, kind="stable")
    boxes, groups = corners[order], classes[order]
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    standing = np.ones(len(order), dtype=bool)
    kept: list[int] = []
    for row in range(len(order)):
        if len(kept) == max_detections:
            break
        if not standing[row]:
            continue
        kept.append(row)
        overlap = _overlaps(boxes, areas, row)
        standing[row + 1 :] &= (overlap <= np.float32(iou)) | (groups[row + 1 :] != groups[row])
    return order[kept]


def _overlaps(boxes: Corners, areas: NDArray[np.float32], row: int) -> NDArray[np.float32]:
    """Intersection over union of one box with all after it; boxes without area overlap nothing."""
    one, rest = boxes[row], boxes[row + 1 :]
    width = np.minimum(one[2], rest[:, 2]) - np.maximum(one[0], rest[:, 0])
    height = np.minimum(one[3], rest[:, 3]) - np.maximum(one[1], rest[:, 1])
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    union = areas[row] + areas[row + 1 :] - shared
    overlap: NDArray[np.float32] = np.divide(
        shared, union, out=np.zeros_like(shared), where=union > 0
    )
    return overlap
