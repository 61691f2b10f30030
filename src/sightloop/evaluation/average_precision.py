"""COCO's average precision, computed by hotcoco.

This module alone knows the library. pycocotools is its oracle in the tests: the numbers are equal
to the last bit, ties, empty images and many classes included.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import hotcoco
import numpy as np
from numpy.typing import NDArray

from sightloop.evaluation.values import ImageAnswer

_ALL_AREAS = 0
_MOST_DETECTIONS = 2  # COCO evaluates 1, 10 and 100 detections per image and class
_OVERLAP_50, _OVERLAP_75 = 0, 5


class CocoScores(NamedTuple):
    """Average precision over all areas and at most 100 detections per image and class."""

    ap: float | None
    ap50: float | None
    ap75: float | None
    ap50_by_class: dict[int, float]
    """By class index; only classes that have an object. Empty, and the rest None, without any."""


def coco_scores(answers: Sequence[ImageAnswer]) -> CocoScores:
    """COCO's figures for these answers."""
    classes = sorted({box.class_index for answer in answers for box in answer.truths})
    if not classes:
        return CocoScores(None, None, None, {})
    precision = _precision(answers, classes)
    return CocoScores(
        ap=float(precision.mean()),
        ap50=float(precision[_OVERLAP_50].mean()),
        ap75=float(precision[_OVERLAP_75].mean()),
        ap50_by_class={
            class_index: float(precision[_OVERLAP_50, :, column].mean())
            for column, class_index in enumerate(classes)
        },
    )


def _precision(answers: Sequence[ImageAnswer], classes: list[int]) -> NDArray[np.float64]:
    """(overlaps, recall points, classes), of classes that have an object."""
    truths = np.array(
        [
            (image, box.class_index, box.x1, box.y1, box.x2 - box.x1, box.y2 - box.y1)
            for image, answer in enumerate(answers, start=1)
            for box in answer.truths
        ]
    )
    detections = np.array(
        [
            (image, box.x1, box.y1, box.x2 - box.x1, box.y2 - box.y1, box.score, box.class_index)
            for image, answer in enumerate(answers, start=1)
            for box in answer.detections
            if box.class_index in classes
        ]
    )
    coco = hotcoco.COCO.from_arrays(
        images=[
            {"id": image, "width": answer.width_px, "height": answer.height_px}
            for image, answer in enumerate(answers, start=1)
        ],
        categories=[{"id": one, "name": str(one)} for one in classes],
        image_ids=truths[:, 0].astype(np.int64),
        category_ids=truths[:, 1].astype(np.int64),
        boxes=truths[:, 2:],
    )
    evaluation = hotcoco.COCOeval(coco, coco.load_res(detections.reshape(-1, 7)), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    assert evaluation.eval is not None, "accumulate fills it"
    precision: NDArray[np.float64] = evaluation.eval["precision"]
    return precision[:, :, :, _ALL_AREAS, _MOST_DETECTIONS]
