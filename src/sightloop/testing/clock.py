"""Time and ids that only move when a test says so."""

from __future__ import annotations


class ManualClock:
    """A clock that stands still until `advance`; sleeping advances it."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = now_ms
        self._monotonic_s = 0.0

    def now_ms(self) -> int:
        """The wall time a test set."""
        return self._now_ms

    def monotonic_s(self) -> float:
        """Seconds advanced so far."""
        return self._monotonic_s

    def sleep(self, duration_s: float) -> None:
        """Return at once, that much later."""
        self.advance(duration_s)

    def advance(self, duration_s: float) -> None:
        """Let time pass."""
        self._now_ms += round(duration_s * 1000)
        self._monotonic_s += duration_s

    def set_back(self, duration_s: float) -> None:
        """Set the wall clock back, as an operator or a flat battery does."""
        self._now_ms -= round(duration_s * 1000)


class CountingIds:
    """`run_0001`, `run_0002`, ...: readable in golden files."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def new(self, kind: str) -> str:
        """The next id of this kind."""
        self._counts[kind] = self._counts.get(kind, 0) + 1
        return f"{kind}_{self._counts[kind]:04d}"
