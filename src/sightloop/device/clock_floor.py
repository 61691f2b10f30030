"""What time it is at least, for a device whose clock may be wrong. Pure.

Only what raises the floor is kept: a clock that stands in 1970 after a power cut must not make
old metadata fresh again.
"""

from __future__ import annotations

STEP_MS = 3_600_000
"""The floor is written down when it rises by as much: not at every check-in."""


def raise_floor(known_ms: int, *, server_time_ms: int, ends_at_ms: int) -> int:
    """The floor after the server told its time beside metadata that ends then.

    A server that lies about the future cannot raise it past the end of the metadata just
    verified: the next publication ends later, so updates never stop for good.

    >>> raise_floor(0, server_time_ms=10_000_000, ends_at_ms=20_000_000)
    10000000
    >>> raise_floor(0, server_time_ms=90_000_000, ends_at_ms=20_000_000)
    19999999
    >>> raise_floor(10_000_000, server_time_ms=5_000_000, ends_at_ms=20_000_000)
    10000000
    """
    told_ms = min(server_time_ms, ends_at_ms - 1)
    return told_ms if told_ms >= known_ms + STEP_MS else known_ms
