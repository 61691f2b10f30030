"""How many devices are let in at once: after an outage all of them knock together."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

from sightloop.kernel.errors import Unavailable

MAX_AT_ONCE = 32
"""Check-ins under way. More would only wait for one another, and for longer than devices do."""
SHORTEST_WAIT_S, LONGEST_WAIT_S = 2, 30


class TooManyAtOnce(Unavailable):
    """More devices check in than can be served at this moment; a device comes back by itself."""

    code = "SRV-064"

    def __init__(self, *, retry_after_s: int) -> None:
        super().__init__(
            f"too many devices check in at this moment; try again in {retry_after_s} s",
            retry_after_s=retry_after_s,
        )


class Admission:
    """Lets so many in and sends the others away, each for another while.

    Not for threads: the event loop alone uses it.
    """

    def __init__(self, limit: int = MAX_AT_ONCE, *, rng: random.Random | None = None) -> None:
        self._limit = limit
        self._n_inside = 0
        self._rng = rng or random.Random()

    @contextmanager
    def one(self) -> Iterator[None]:
        """One request's stay.

        Raises:
            TooManyAtOnce: the house is full; the wait is drawn, so that those who were sent away
                do not come back together.
        """
        if self._n_inside >= self._limit:
            raise TooManyAtOnce(retry_after_s=self._rng.randint(SHORTEST_WAIT_S, LONGEST_WAIT_S))
        self._n_inside += 1
        try:
            yield
        finally:
            self._n_inside -= 1
