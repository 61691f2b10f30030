"""When a running job has to be ended."""

from __future__ import annotations

import msgspec

from sightloop.training.reasons import ExitReason


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much a job may take. A memory limit of 0 is none."""

    time_limit_s: float
    silence_limit_s: float
    memory_limit_bytes: int


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """A living job at one moment."""

    ran_s: float
    silent_s: float
    """Since its last line, or since somebody began to listen."""
    memory_bytes: int
    is_cancel_asked: bool


def breach(seen: Observation, limits: Limits) -> ExitReason | None:
    """Why the job has to end now; None while it may go on. A person's wish comes first.

    >>> limits = Limits(time_limit_s=60, silence_limit_s=10, memory_limit_bytes=0)
    >>> seen = Observation(ran_s=5, silent_s=11, memory_bytes=9, is_cancel_asked=False)
    >>> breach(seen, limits)
    <ExitReason.HUNG: 'hung'>
    """
    if seen.is_cancel_asked:
        return ExitReason.CANCELLED
    if 0 < limits.memory_limit_bytes < seen.memory_bytes:
        return ExitReason.OUT_OF_MEMORY
    if seen.ran_s > limits.time_limit_s:
        return ExitReason.TIME_LIMIT
    if seen.silent_s > limits.silence_limit_s:
        return ExitReason.HUNG
    return None
