"""Names of records: a kind and a part nobody else has.

Records made by a step are named after the step's inputs (`derived_id`), so that a step which is
run again after a crash finds what it made before. Everything else is named by `Ids.new`, which
sorts by time.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from typing import Protocol

from sightloop.kernel.clock import Clock

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u


class Ids(Protocol):
    """A source of fresh names. Implementations may be called from several threads."""

    def new(self, kind: str) -> str:
        """`kind_` and a part never returned before."""
        ...


class TimeSortedIds:
    """Ids whose order is the order of their making: 48 bits of time, 60 bits of chance."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last_ms = 0

    def new(self, kind: str) -> str:
        """A fresh id; a clock that goes back does not make ids go back."""
        with self._lock:
            self._last_ms = max(self._last_ms, self._clock.now_ms())
            at_ms = self._last_ms
        return f"{kind}_{_base32(at_ms, 10)}{_base32(secrets.randbits(60), 12)}"


def derived_id(kind: str, *parts: str) -> str:
    """The id that follows from `parts`; equal parts give equal ids.

    >>> derived_id("run", "a", "b") == derived_id("run", "a", "b") != derived_id("run", "ab")
    True
    """
    joined = "\x00".join(parts).encode()
    number = int.from_bytes(hashlib.sha256(joined).digest()[:14], "big")
    return f"{kind}_{_base32(number, 22)}"


def _base32(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        digits.append(_ALPHABET[number % 32])
        number //= 32
    return "".join(reversed(digits))
