"""Does this host see in a golden image what the released file must see? Pure.

The tolerances are the bundle format's own: who packages and who runs measure alike.
"""

from __future__ import annotations

from collections.abc import Sequence

from sightloop.contracts.bundle import (
    GOLDEN_BOX_TOLERANCE,
    GOLDEN_MASK_OVERLAP,
    GOLDEN_SCORE_TOLERANCE,
    Detection,
    GoldenImage,
    Thresholds,
)
from sightloop.inference.seen import Seen
from sightloop.inference.shape_agreement import disagreement


def golden_difference(
    golden: GoldenImage,
    seen: Seen,
    *,
    thresholds: Thresholds,
    longer_side_px: int,
) -> str:
    """What is wrong with `seen`, in words; empty when it agrees.

    Args:
        golden: what the bundle promises, at or above the reporting threshold.
        seen: this host's answer down to the detector's floor.
        thresholds: the bundle's own; an extra object counts only clearly above them.
        longer_side_px: of the upright image, to which corner differences are put in proportion.
    """
    reach_px = GOLDEN_BOX_TOLERANCE * longer_side_px
    found = seen.detections
    left = list(range(len(found)))
    for index, wanted in enumerate(golden.detections):
        match = next((i for i in left if _agree(wanted, found[i], reach_px=reach_px)), None)
        if match is None:
            return f"{_words(wanted)} was not found; {_nearest(wanted, found)}"
        left.remove(match)
        # One that fell just below the threshold here has no shape to compare.
        if index < len(golden.shapes) and match < len(seen.shapes):
            difference = disagreement(
                golden.shapes[index],
                seen.shapes[match],
                reach_px=reach_px,
                min_overlap=GOLDEN_MASK_OVERLAP,
            )
            if difference:
                return f"{_words(wanted)} was found in another shape: {difference}"
    clearly = thresholds.score + GOLDEN_SCORE_TOLERANCE
    extra = next((found[i] for i in left if found[i].score >= clearly), None)
    if extra is not None:
        return f"{_words(extra)} was found and should not be"
    return _probabilities_differ(golden.probabilities, seen.probabilities)


def _agree(wanted: Detection, seen: Detection, *, reach_px: float) -> bool:
    return (
        wanted.class_index == seen.class_index
        and abs(wanted.score - seen.score) <= GOLDEN_SCORE_TOLERANCE
        and _corner_distance_px(wanted, seen) <= reach_px
    )


def _probabilities_differ(expected: Sequence[float], found: Sequence[float]) -> str:
    if len(expected) != len(found):
        return f"{len(expected)} probabilities became {len(found)}"
    pairs = enumerate(zip(expected, found, strict=True))
    far = next((i for i, (a, b) in pairs if abs(a - b) > GOLDEN_SCORE_TOLERANCE), None)
    if far is None:
        return ""
    return f"class {far} has the probability {found[far]:.3f} instead of {expected[far]:.3f}"


def _corner_distance_px(first: Detection, second: Detection) -> float:
    return max(
        abs(first.x1 - second.x1),
        abs(first.y1 - second.y1),
        abs(first.x2 - second.x2),
        abs(first.y2 - second.y2),
    )


def _nearest(wanted: Detection, found: Sequence[Detection]) -> str:
    same = [seen for seen in found if seen.class_index == wanted.class_index]
    if not same:
        return "nothing of that class was"
    nearest = min(same, key=lambda seen: _corner_distance_px(wanted, seen))
    return f"nearest is {_words(nearest)}"


def _words(detection: Detection) -> str:
    d = detection
    corners = f"({d.x1:.1f}, {d.y1:.1f}, {d.x2:.1f}, {d.y2:.1f}) px"
    return f"class {d.class_index} at {corners} with score {d.score:.3f}"
