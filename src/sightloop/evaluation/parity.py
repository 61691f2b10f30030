"""Whether an exported file answers as the checkpoint it was exported from.

Exporting rounds, fuses and reorders; vendors' own tables show exports that lost a third of their
precision. So the engine writes down what the checkpoint itself finds in some images, and the file
that will be shipped must find the same there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from sightloop.contracts.bundle import Detection
from sightloop.contracts.job import LabelledBox, Parity, ParityAnswer
from sightloop.evaluation.matching import overlaps_of
from sightloop.inference.seen import Seen
from sightloop.inference.shape_agreement import disagreement

MIN_OVERLAP = 0.9
SCORE_TOLERANCE = 0.05
SHAPE_REACH = 0.05
"""How far a keypoint or a turned corner may lie from its other, as a share of the object's longer
side."""


class ParityResult(msgspec.Struct, frozen=True, kw_only=True):
    """How far the file and the checkpoint agree."""

    n_images: int
    n_compared: int
    """Detections of both sides that were looked at."""
    agreement: float | None
    """Share of them that the other side has too; None when there was nothing to compare."""
    worst_box_px: float
    """Largest distance of a corner's coordinate between the two, over detections both have."""
    worst_score: float
    """Largest difference in score between the two, over detections both have."""


def check_parity(parity: Parity, answers: Mapping[str, Seen]) -> ParityResult:
    """Compare the checkpoint's answers with the exported file's own.

    Two detections are the same when they are of one class, overlap by at least `MIN_OVERLAP` and
    differ in score by at most `SCORE_TOLERANCE`; so must their shapes, where the task has any:
    masks overlap as boxes do, keypoints and turned corners lie within `SHAPE_REACH`. One
    that only one side has, with a score that close to the floor, may lie below the floor on the
    other side and is not looked at; nor is a box without area.

    Args:
        parity: the checkpoint's answers.
        answers: the file's, by the image's file name, down to the same score floor.
    """
    results = [
        _compare(
            _with_area(answer),
            answers.get(answer.file, _NOTHING),
            clear_of_floor=parity.score_floor + SCORE_TOLERANCE,
        )
        for answer in parity.answers
    ]
    n_compared = sum(result.n_compared for result in results)
    n_alike = sum(2 * len(result.alike) for result in results)
    alike = [pair for result in results for pair in result.alike]
    return ParityResult(
        n_images=len(results),
        n_compared=n_compared,
        agreement=n_alike / n_compared if n_compared else None,
        worst_box_px=max((_box_distance_px(*pair) for pair in alike), default=0.0),
        worst_score=max((abs(one.score - other.score) for one, other in alike), default=0.0),
    )


_NOTHING = Seen([])


class _Comparison(msgspec.Struct, frozen=True):
    n_compared: int
    alike: list[tuple[Detection, Detection]]


def _compare(checkpoint: Seen, exported: Seen, *, clear_of_floor: float) -> _Comparison:
    expected, found = checkpoint.detections, exported.detections
    pairs = list(_pairs(checkpoint, exported))
    alone = _without(expected, {partner for partner, _ in pairs})
    alone += _without(found, {row for _, row in pairs})
    n_alone = sum(one.score >= clear_of_floor for one in alone)
    alike = [(expected[partner], found[row]) for partner, row in pairs]
    return _Comparison(2 * len(pairs) + n_alone, alike)


def _pairs(checkpoint: Seen, exported: Seen) -> Iterator[tuple[int, int]]:
    """Detections that are the same, as positions on both sides; each in one pair at most.

    Several objects may share one box, cut off at the edge of the picture: of those the partner is
    one that is alike in all the rest.
    """
    expected, found = checkpoint.detections, exported.detections
    if not expected or not found:
        return
    targets = [LabelledBox(one.class_index, one.x1, one.y1, one.x2, one.y2) for one in expected]
    overlaps, free = overlaps_of(found, targets), set(range(len(expected)))
    for row, one in enumerate(found):
        apart = {index: abs(expected[index].score - one.score) for index in free}
        close = [
            (-overlaps[row, index], apart[index], index)
            for index in free
            if overlaps[row, index] >= MIN_OVERLAP and apart[index] <= SCORE_TOLERANCE
        ]
        for _, _, partner in sorted(close):
            if _shapes_agree(checkpoint, partner, exported, row):
                free.remove(partner)
                yield partner, row
                break


def _with_area(answer: ParityAnswer) -> Seen:
    rows = [i for i, one in enumerate(answer.detections) if one.x1 < one.x2 and one.y1 < one.y2]
    shapes = [answer.shapes[row] for row in rows if row < len(answer.shapes)]
    return Seen([answer.detections[row] for row in rows], shapes)


def _shapes_agree(checkpoint: Seen, index: int, exported: Seen, row: int) -> bool:
    if index >= len(checkpoint.shapes) or row >= len(exported.shapes):
        return len(checkpoint.shapes) == len(exported.shapes) == 0
    one = checkpoint.detections[index]
    reach_px = SHAPE_REACH * max(one.x2 - one.x1, one.y2 - one.y1)
    return not disagreement(
        checkpoint.shapes[index],
        exported.shapes[row],
        reach_px=reach_px,
        min_overlap=MIN_OVERLAP,
    )


def _without(detections: Sequence[Detection], rows: set[int]) -> list[Detection]:
    return [one for row, one in enumerate(detections) if row not in rows]


def _box_distance_px(one: Detection, other: Detection) -> float:
    return max(
        abs(one.x1 - other.x1),
        abs(one.y1 - other.y1),
        abs(one.x2 - other.x2),
        abs(one.y2 - other.y2),
    )
