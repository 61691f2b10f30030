"""How a job ended, and the error that says so."""

from __future__ import annotations

import msgspec

from sightloop.contracts.job import CANCELLED_CODE, DoneLine, FailedLine
from sightloop.kernel.errors import SightloopError
from sightloop.training.errors import (
    JobCancelled,
    JobCrashed,
    JobFailed,
    JobHung,
    OutOfMemory,
    TimeLimitReached,
)
from sightloop.training.limits import Limits
from sightloop.training.reasons import ExitReason


class ExitStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a process ended: by a signal, or with a code."""

    code: int
    signal_name: str | None
    peak_memory_bytes: int


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a job. `how` completes the sentence "the engine ..."."""

    reason: ExitReason
    how: str


def conclude(
    last: DoneLine | FailedLine | None,
    *,
    ended_for: ExitReason | None,
    status: ExitStatus | None,
) -> Ending:
    """How the job ended, from its last line, from why we ended it if we did, and from its exit.

    A job that was done before our signal reached it is done.

    >>> conclude(None, ended_for=None, status=None).reason
    <ExitReason.CRASHED: 'crashed'>
    """
    if isinstance(last, DoneLine):
        return Ending(reason=ExitReason.DONE, how="is done")
    if ended_for is not None:
        return Ending(reason=ended_for, how="was ended")
    if last is None:
        return _unexplained(status)
    if last.code == CANCELLED_CODE:
        # Nobody asked us: a machine that shuts down signals every process there is.
        return Ending(reason=ExitReason.CRASHED, how="was stopped from outside")
    return Ending(reason=ExitReason.FAILED, how="gave up")


def error_of(
    ending: Ending,
    *,
    run: str,
    last: DoneLine | FailedLine | None,
    limits: Limits,
    peak_memory_bytes: int,
    log: str,
    why_cancelled: str = "",
) -> SightloopError | None:
    """What to tell whoever wanted the model; None when it is done."""
    match ending.reason:
        case ExitReason.DONE:
            return None
        case ExitReason.FAILED:
            assert isinstance(last, FailedLine), "only a failed line makes a job fail"
            return JobFailed(run=run, engine_code=last.code, message=last.message)
        case ExitReason.CANCELLED:
            return JobCancelled(run=run, why=why_cancelled)
        case ExitReason.TIME_LIMIT:
            return TimeLimitReached(run=run, time_limit_s=limits.time_limit_s, log=log)
        case ExitReason.HUNG:
            return JobHung(run=run, silence_limit_s=limits.silence_limit_s, log=log)
        case ExitReason.OUT_OF_MEMORY:
            how = _memory_story(ending, limits)
            return OutOfMemory(run=run, how=how, peak_memory_bytes=peak_memory_bytes, log=log)
        case ExitReason.CRASHED:
            return JobCrashed(run=run, how=ending.how, log=log)


def _unexplained(status: ExitStatus | None) -> Ending:
    if status is None:
        return Ending(reason=ExitReason.CRASHED, how="ended while no worker was watching")
    if status.signal_name == "SIGKILL":
        # We did not send it. The kernel's own killer is by far the likeliest to have done.
        return Ending(reason=ExitReason.OUT_OF_MEMORY, how="was killed (SIGKILL)")
    if status.signal_name is not None:
        return Ending(reason=ExitReason.CRASHED, how=f"was ended by {status.signal_name}")
    return Ending(reason=ExitReason.CRASHED, how=f"exited with status {status.code}")


def _memory_story(ending: Ending, limits: Limits) -> str:
    if ending.how == "was ended":
        limit_mib = limits.memory_limit_bytes / 2**20
        return f"used more than its limit of {limit_mib:.0f} MiB and was ended"
    return f"{ending.how}, probably because the machine ran out of memory,"
