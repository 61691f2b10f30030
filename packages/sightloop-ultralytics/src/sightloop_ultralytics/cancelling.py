"""Stopping when asked to. SIGTERM only leaves a note, which is looked at where stopping is safe."""

from __future__ import annotations

import signal
from types import FrameType


class Cancelled(BaseException):
    """The job was asked to stop. Not an `Exception`: Ultralytics catches many of those."""


class Cancellation:
    """Whether somebody asked the job to stop."""

    def __init__(self) -> None:
        self._is_asked = False

    def listen(self) -> None:
        """From now on take note of SIGTERM."""
        signal.signal(signal.SIGTERM, self._ask)

    def check(self, *_: object) -> None:
        """Return unless the job should stop; also fits as an Ultralytics callback.

        Raises:
            Cancelled: it should.
        """
        if self._is_asked:
            raise Cancelled

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self._is_asked = True
