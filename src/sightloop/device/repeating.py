"""A thread that does one thing again and again, and survives whatever that thing raises."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable

from sightloop.device.log import Log

AFTER_A_BUG_S = 30.0


class RepeatingThread:
    """Calls `step` until stopped; it returns the seconds until its next call."""

    def __init__(self, name: str, step: Callable[[], float], *, log: Log) -> None:
        self._name = name
        self._step = step
        self._log = log
        self._stopping = threading.Event()
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        """Call the step now, and from then on when it asked to be called."""
        self._thread.start()

    def wake(self) -> None:
        """Call the step as soon as possible."""
        self._woken.set()

    def stop(self, *, timeout_s: float) -> None:
        """Let the step under way finish, at most so long, and call it no more."""
        self._stopping.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()
            try:
                delay_s = self._step()
            except Exception:  # noqa: BLE001 - a bug in one station must not silence it for ever
                if self._stopping.is_set():
                    return  # What it waited for was taken down before it.
                self._log.event("agent.bug", thread=self._name, trace=traceback.format_exc())
                delay_s = AFTER_A_BUG_S
            self._woken.wait(delay_s)
