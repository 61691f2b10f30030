"""When to come back: as asked, spread out, and ever later while nobody answers. Pure."""

from __future__ import annotations

import random

JITTER = 0.2
"""Share by which every wait is made longer or shorter, so that a fleet does not march in step."""

FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 300.0
LONGEST_RETRY_AFTER_S = 3600.0
"""A server may ask for more patience than we would have, but not for a day of silence."""

SHORTEST_CHECK_IN_S = 0.2
LONGEST_CHECK_IN_S = 86_400.0


def check_in_delay_s(asked_s: float, *, rng: random.Random) -> float:
    """Seconds until the next check-in when the last one went well."""
    bounded = min(max(asked_s, SHORTEST_CHECK_IN_S), LONGEST_CHECK_IN_S)
    return bounded * rng.uniform(1 - JITTER, 1 + JITTER)


def retry_delay_s(n_failures: int, *, rng: random.Random, retry_after_s: float | None) -> float:
    """Seconds until the next try after `n_failures` in a row, at least 1 of them.

    What the server asks for is honoured as a lower bound. Without it the wait doubles up to
    `LONGEST_RETRY_S`, and any part of it between none and all is drawn: after an outage every
    device starts at the same moment, and a small jitter would keep them together.
    """
    if retry_after_s is not None:
        return min(retry_after_s, LONGEST_RETRY_AFTER_S) * rng.uniform(1, 1 + JITTER)
    ceiling = min(FIRST_RETRY_S * 2.0 ** min(n_failures - 1, 30), LONGEST_RETRY_S)
    return rng.uniform(FIRST_RETRY_S / 4, max(ceiling, FIRST_RETRY_S))
