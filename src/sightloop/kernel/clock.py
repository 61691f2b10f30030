"""Time as an argument: rules and services never ask the machine themselves."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where time comes from. Implementations may be called from several threads."""

    def now_ms(self) -> int:
        """Unix time in milliseconds, UTC. May go back when the machine's clock is set back."""
        ...

    def monotonic_s(self) -> float:
        """Seconds since some start; never goes back. For durations and deadlines only."""
        ...

    def sleep(self, duration_s: float) -> None:
        """Return after about `duration_s`."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now_ms(self) -> int:
        """Unix time in milliseconds."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """Seconds of the machine's monotonic clock."""
        return time.monotonic()

    def sleep(self, duration_s: float) -> None:
        """Give the processor away for that long."""
        time.sleep(duration_s)


def format_utc(at_ms: int) -> str:
    """The instant as people and files read it.

    >>> format_utc(0)
    '1970-01-01T00:00:00.000Z'
    """
    instant = datetime.fromtimestamp(at_ms / 1000, tz=UTC)
    return instant.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_ms % 1000:03d}Z"
