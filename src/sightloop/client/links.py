"""Where a spool is forwarded to, whatever it is."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from sightloop.contracts.tracking import BeginTracking, EndTracking, TrackBatch


class Link(Protocol):
    """A server or a workspace. Used by one thread; every call may be repeated.

    All raise `TargetAway` when the same call may work later, and `TargetRefused` when never.
    """

    def begin(self, request: BeginTracking) -> None:
        """The run is known there."""
        ...

    def log(self, request: TrackBatch) -> None:
        """The batch is taken, once."""
        ...

    def upload(self, run: str, name: str, file: Path) -> None:
        """The file's bytes are the run's artifact of that name."""
        ...

    def end(self, request: EndTracking) -> None:
        """The run has ended there."""
        ...

    def close(self) -> None:
        """Connections are dropped."""
        ...
