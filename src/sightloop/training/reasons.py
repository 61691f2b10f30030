"""Why the process of a job is no more."""

from __future__ import annotations

from enum import StrEnum


class ExitReason(StrEnum):
    """What ended a job; recorded with its run."""

    DONE = "done"
    FAILED = "failed"
    """The engine said why it could not go on."""
    CRASHED = "crashed"
    CANCELLED = "cancelled"
    TIME_LIMIT = "time_limit"
    HUNG = "hung"
    OUT_OF_MEMORY = "out_of_memory"
