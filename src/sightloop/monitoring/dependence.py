"""Whether neighbouring images resemble each other too much for a guarantee.

The null of `detector` speaks of the mean given all that was seen before. Consecutive frames of a
conveyor break it without any drift. Devices therefore send, per window and measure, sums over
neighbouring images; here they become the lag-1 correlation *within* windows. Differences between
windows are left out on purpose: they are what a drift looks like, and a drift must not talk its
own alarm down.
"""

from __future__ import annotations

import math

import msgspec

from sightloop.contracts.profile import Dependence

MIN_PAIRS = 3
"""Fewer in a window say nothing about it."""
ERRORS_ABOVE = 2.0
"""A correlation counts when it lies above the limit by this many standard errors."""


class NeighbourSums(msgspec.Struct, frozen=True):
    """Sums over all windows of a monitor: what a correlation within windows needs."""

    n_pairs: int = 0
    n_windows: int = 0
    covariance: float = 0.0
    variance: float = 0.0


class Correlation(msgspec.Struct, frozen=True):
    """Of a measure's ranks in one image and the next; `error` is its standard error."""

    value: float
    error: float


def add_window(sums: NeighbourSums, window: Dependence) -> NeighbourSums:
    """The sums with one more window, centred on the window's own means."""
    if window.n < MIN_PAIRS:
        return sums
    n, first, second = window.n, window.sum_first, window.sum_second
    variances = (window.sum_first_squared - first**2 / n, window.sum_second_squared - second**2 / n)
    return NeighbourSums(
        n_pairs=sums.n_pairs + n,
        n_windows=sums.n_windows + 1,
        covariance=sums.covariance + window.sum_product - first * second / n,
        variance=sums.variance + sum(variances) / 2,
    )


def correlation_of(sums: NeighbourSums) -> Correlation | None:
    """The lag-1 correlation; None while nothing varied.

    Centring a window of n pairs on its own mean lowers the estimate by about 1 / n, which is
    added back: independent images come out at 0 also in short windows.
    """
    if sums.variance <= 0:
        return None
    raw = sums.covariance / sums.variance + sums.n_windows / sums.n_pairs
    value = min(max(raw, -1.0), 1.0)
    return Correlation(value, math.sqrt((1 - value * value) / sums.n_pairs))


def is_too_dependent(sums: NeighbourSums, *, limit: float) -> bool:
    """Whether the correlation is clearly above the limit."""
    found = correlation_of(sums)
    return found is not None and found.value - ERRORS_ABOVE * found.error > limit
