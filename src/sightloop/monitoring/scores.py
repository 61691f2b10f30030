"""From a stratum's reference histogram to bounded scores, their means, and tolerances.

A bin's *rank* u in [0, 1] is the share of the stratum's reference images below its middle. Five
scores are made of it, each with a known range, so that means are all a test needs:

    location  2u - 1                     up and down   darker or brighter than before
    spread    |2u - 1|                   up and down   wilder, or suspiciously uniform
    lower     u among the lowest tenth   up            more of the lowest values
    upper     u among the highest tenth  up            more of the highest values
    unseen    where no reference image   up            values this stratum never had
              of the stratum was

Bins are quantiles of all strata together, so a stratum leaves some empty. Below or above its
range they rank 0 or 1, the extremes; all of those, and gaps inside its range that are wide enough
not to be chance, are *unseen*. No live image is ever left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sightloop.inference.histograms import mid_ranks
from sightloop.monitoring.detector import Detector, Floats, Side
from sightloop.monitoring.settings import MonitorSettings

TAIL = 0.1
"""Largest share of the reference in a tail."""
GAP_IMAGES = 8.0
"""A run of empty bins is a gap when all strata together would put that many images there."""
N_SIDES = 7
MIN_ERRORS = 2.0

ScoreName = Literal["location", "spread", "lower", "upper", "unseen"]
_DIRECTIONS: dict[ScoreName, tuple[Literal[1, -1], ...]] = {
    "location": (1, -1),
    "spread": (1, -1),
    "lower": (1,),
    "upper": (1,),
    "unseen": (1,),
}


class Score(NamedTuple):
    """What each bin counts for, within [low, high]."""

    name: ScoreName
    values: Floats
    low: float
    high: float


def build_detector(
    counts: Sequence[int], *, pooled: Sequence[int], n_errors: float, settings: MonitorSettings
) -> Detector:
    """The bets against a stratum's reference counts.

    Args:
        counts: the stratum's, on the edges of the measure.
        pooled: those of all strata together, on the same edges.
        n_errors: standard errors of the reference to tolerate, see `tolerated_errors`.
        settings: for the smallest relevant changes.
    """
    sides: list[Side] = []
    rows: list[Floats] = []
    for score in scores_of(counts, pooled=pooled):
        smallest = _smallest_change(score.name, settings)
        for side in sides_of(score, counts, n_errors=n_errors, smallest=smallest):
            factors = side.log_factors(score.values)
            rows.extend(factors)
            sides.extend([side] * len(factors))
    return Detector(tuple(sides), np.array(rows))


def scores_of(counts: Sequence[int], *, pooled: Sequence[int]) -> list[Score]:
    """The five scores of every bin."""
    reference = np.asarray(counts, dtype=np.float64)
    below = np.cumsum(reference) / reference.sum()
    above = np.cumsum(reference[::-1])[::-1] / reference.sum()
    location = 2 * mid_ranks(counts) - 1
    return [
        Score("location", location, -1.0, 1.0),
        Score("spread", np.abs(location), 0.0, 1.0),
        Score("lower", (below <= TAIL).astype(np.float64), 0.0, 1.0),
        Score("upper", (above <= TAIL).astype(np.float64), 0.0, 1.0),
        Score("unseen", unseen_bins(counts, pooled=pooled).astype(np.float64), 0.0, 1.0),
    ]


def unseen_bins(counts: Sequence[int], *, pooled: Sequence[int]) -> NDArray[np.bool_]:
    """Which bins show values the stratum never had: (n_bins,) booleans.

    Empty bins at either end always do. A run of empty bins in between does when the stratum would
    have `GAP_IMAGES` there if it were spread as all strata together: shorter ones are chance.
    """
    reference, together = np.asarray(counts), np.asarray(pooled)
    expected = together * (reference.sum() / together.sum())
    unseen = np.zeros(len(reference), dtype=bool)
    for start, stop in _runs_of_empty(reference):
        at_an_end = start == 0 or stop == len(reference)
        unseen[start:stop] = at_an_end or expected[start:stop].sum() >= GAP_IMAGES
    return unseen


def sides_of(
    score: Score, counts: Sequence[int], *, n_errors: float, smallest: float
) -> list[Side]:
    """The directions worth betting on, each with its boundary: reference mean and tolerance.

    A side that could never win, because its boundary is at the end of the range, is left out.
    """
    reference = np.asarray(counts, dtype=np.float64)
    n_images = reference.sum()
    mean = float(reference @ score.values / n_images)
    variance = float(reference @ (score.values - mean) ** 2 / n_images)
    sides = []
    for direction in _DIRECTIONS[score.name]:
        tol = tolerance(
            variance=variance,
            room=score.high - mean if direction == 1 else mean - score.low,
            n_images=int(n_images),
            n_errors=n_errors,
            smallest=smallest,
        )
        side = Side(score.name, direction, mean + direction * tol, score.low, score.high)
        if side.is_testable:
            sides.append(side)
    return sides


def tolerance(
    *, variance: float, room: float, n_images: int, n_errors: float, smallest: float
) -> float:
    """How far a true mean may lie from the reference's without counting as a change.

    At least the smallest relevant change, and at least `n_errors` standard errors of the
    reference mean, sd / sqrt(n). A rare score needs more: with no image in a tail its sd is 0,
    which proves nothing. So the error is also taken where the mean would then be: move a share
    e of the images to the far end of the range, `room` away, until the mean that results lies
    n_errors of *its* standard errors from the one that was seen. With V the variance and
    d = e * room that is d^2 * n / n_errors^2 = (1 - d / room) * (V + d * room), a quadratic.

    Source: for a share this is the score interval of Wilson (1927).

    >>> tol = tolerance(variance=0.0, room=1.0, n_images=80, n_errors=2.0, smallest=0.01)
    >>> round(tol, 3) == round(4 / 84, 3)
    True
    """
    if room <= 0:
        return smallest
    plain = n_errors * math.sqrt(variance / n_images)
    a = n_images / n_errors**2 + 1
    b = room - variance / room
    shifted = (b + math.sqrt(b * b + 4 * a * variance)) / (2 * a)
    return max(smallest, plain, shifted)


def tolerated_errors(*, n_means: int, reference_error: float) -> float:
    """Standard errors to tolerate so that of `n_means` means all lie within, but for the given
    probability; at least two. The largest of many errors is larger than any single one.

    >>> round(tolerated_errors(n_means=300, reference_error=0.05), 2)
    3.59
    """
    return max(MIN_ERRORS, NormalDist().inv_cdf(1 - reference_error / n_means))


def _runs_of_empty(reference: NDArray[np.int64]) -> list[tuple[int, int]]:
    is_empty = np.concatenate([[False], reference == 0, [False]])
    changes = np.flatnonzero(is_empty[1:] != is_empty[:-1]).tolist()
    return list(zip(changes[::2], changes[1::2], strict=True))


def _smallest_change(name: ScoreName, settings: MonitorSettings) -> float:
    if name == "location":
        return settings.smallest_location
    return settings.smallest_spread if name == "spread" else settings.smallest_tail
