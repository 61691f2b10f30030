"""Adding up how devices served: request counts and latency histograms. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

from sightloop.contracts.telemetry import HealthBody


class HealthSums(msgspec.Struct, frozen=True, kw_only=True):
    """All windows of a selection together.

    `latency_counts[i]` answers took at most `latency_bounds_ms[i]` and more than the bound before;
    the last count is of those above every bound.
    """

    n_windows: int
    n_requests: int
    n_failed: int
    latency_bounds_ms: list[float]
    latency_counts: list[int]
    max_resident_bytes: int

    @property
    def failed_share(self) -> float | None:
        """Failed requests per request; None when there was no request."""
        return self.n_failed / self.n_requests if self.n_requests else None

    def latency_quantile_ms(self, share: float) -> float | None:
        """A bound that at least this share of the answers kept; None without any answer.

        It is never below the true quantile, and infinite when the quantile lies above the
        largest bound.
        """
        n_answers = sum(self.latency_counts)
        if n_answers == 0:
            return None
        n_within = 0
        for bound_ms, count in zip(self.latency_bounds_ms, self.latency_counts, strict=False):
            n_within += count
            if n_within >= share * n_answers:
                return bound_ms
        return math.inf


def sum_health(windows: Iterable[HealthBody]) -> HealthSums:
    """The windows together; agents with different latency bounds add up as well.

    A count moves to the same bound among all bounds. That keeps "at most this long" true for every
    answer, so quantiles can only come out too high.
    """
    known = list(windows)
    by_bound: dict[float, int] = {}
    for window in known:
        bounds_ms = [*window.latency_bounds_ms, math.inf]
        for bound_ms, count in zip(bounds_ms, window.latency_counts, strict=True):
            by_bound[bound_ms] = by_bound.get(bound_ms, 0) + count
    n_above_all = by_bound.pop(math.inf, 0)
    bounds_ms = sorted(by_bound)
    return HealthSums(
        n_windows=len(known),
        n_requests=sum(window.n_requests for window in known),
        n_failed=sum(window.n_failed for window in known),
        latency_bounds_ms=bounds_ms,
        latency_counts=[*(by_bound[bound_ms] for bound_ms in bounds_ms), n_above_all],
        max_resident_bytes=max((window.resident_bytes for window in known), default=0),
    )
