"""Does this host see in a golden image what the released file must see? Pure.

The tolerances are the bundle format's own: who packages and who runs measure alike.
"""

from __future__ import annotations

from collections.abc import Sequence

from sightloop.contracts.bundle import (
    GOLDEN_BOX_TOLERANCE,
    GOLDEN_SCORE_TOLERANCE,
    Detection,
    Thresholds,
)


def golden_difference(
    expected: Sequence[Detection],
    found: Sequence[Detection],
    *,
    thresholds: Thresholds,
    longer_side_px: int,
) -> str:
    """What is wrong with `found`, in words; empty when it agrees.

    Args:
        expected: what the bundle promises, at or above the reporting threshold.
        found: this host's answer down to the detector's floor.
        thresholds: the bundle's own; an extra object counts only clearly above them.
        longer_side_px: of the upright image, to which corner differences are put in proportion.
    """
    reach_px = GOLDEN_BOX_TOLERANCE * longer_side_px
    left = list(found)
    for wanted in expected:
        match = next((seen for seen in left if _agree(wanted, seen, reach_px=reach_px)), None)
        if match is None:
            return f"{_words(wanted)} was not found; {_nearest(wanted, found)}"
        left.remove(match)
    clearly = thresholds.score + GOLDEN_SCORE_TOLERANCE
    extra = next((seen for seen in left if seen.score >= clearly), None)
    return "" if extra is None else f"{_words(extra)} was found and should not be"


def _agree(wanted: Detection, seen: Detection, *, reach_px: float) -> bool:
    return (
        wanted.class_index == seen.class_index
        and abs(wanted.score - seen.score) <= GOLDEN_SCORE_TOLERANCE
        and _corner_distance_px(wanted, seen) <= reach_px
    )


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
