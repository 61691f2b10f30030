"""One line per event on standard error: its name, then its fields, identifiers first."""

from __future__ import annotations

import sys

from sightloop.kernel.clock import Clock, format_utc


class Log:
    """Writes events as they happen; safe for several threads, a line is never torn."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def event(self, name: str, **fields: str | float | None) -> None:
        """`2026-11-23T06:00:00.000Z agent.serving device=dev_1 url=http://...`."""
        words = [format_utc(self._clock.now_ms()), name]
        words += [f"{key}={_quoted(value)}" for key, value in fields.items()]
        sys.stderr.write(" ".join(words) + "\n")
        sys.stderr.flush()


def _quoted(value: str | float | None) -> str:
    text = "-" if value is None else str(value)
    return f'"{text}"' if " " in text else text
