"""How serving goes: requests, failures and latencies of one bundle in one slot. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque

from sightloop.contracts.telemetry import HealthBody
from sightloop.kernel.digests import Digest

LATENCY_BOUNDS_MS = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0]
"""Upper ends of the latency bins; one more bin holds what took longer."""

RECENT = 1000
"""Requests over which the latency percentile of a check-in is taken."""


class ServingHealth:
    """Counts since the bundle was switched in, and since the last window. Not for threads.

    A request fails when the device could not answer a readable image in time. What a client got
    wrong (an unreadable image, a body that is too long) says nothing about the bundle.
    """

    def __init__(self, *, slot: str, bundle: Digest, at_ms: int) -> None:
        self._slot = slot
        self._bundle = bundle
        self.n_requests = 0
        self.n_failed = 0
        self._recent_ms: deque[float] = deque(maxlen=RECENT)
        self._open_window(at_ms)

    def count(self, *, latency_ms: float, failed: bool) -> None:
        """One more request was answered, or given up."""
        self.n_requests += 1
        self.n_failed += failed
        self._n_window_requests += 1
        self._n_window_failed += failed
        self._counts[bisect_left(LATENCY_BOUNDS_MS, latency_ms)] += 1
        self._recent_ms.append(latency_ms)

    def latency_p95_ms(self) -> float:
        """Of the last thousand requests; 0.0 before the first."""
        if not self._recent_ms:
            return 0.0
        ordered = sorted(self._recent_ms)
        return ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]

    def close_window(self, *, at_ms: int, resident_bytes: int) -> HealthBody | None:
        """The window since the last call; None when nothing was asked in it."""
        body = None
        if self._n_window_requests:
            body = HealthBody(
                slot=self._slot,
                bundle=self._bundle,
                started_at_ms=self._started_at_ms,
                ended_at_ms=max(at_ms, self._started_at_ms),
                n_requests=self._n_window_requests,
                n_failed=self._n_window_failed,
                latency_bounds_ms=LATENCY_BOUNDS_MS,
                latency_counts=self._counts,
                resident_bytes=resident_bytes,
            )
        self._open_window(at_ms)
        return body

    def _open_window(self, at_ms: int) -> None:
        self._started_at_ms = at_ms
        self._n_window_requests = 0
        self._n_window_failed = 0
        self._counts = [0] * (len(LATENCY_BOUNDS_MS) + 1)
