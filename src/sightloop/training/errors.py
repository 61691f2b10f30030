"""What training refuses, and how a job can end badly. The reactions are those of `kernel.errors`.

A job that would fail again in the same way is bad input or refused; one that may well succeed
the next time is unavailable, and the worker tries it again.
"""

from __future__ import annotations

from sightloop.kernel.errors import BadInput, NotFound, Refused, Unavailable


class EngineUnknown(NotFound):
    """No engine of that name is installed or configured."""

    code = "TRAIN-001"

    def __init__(self, *, engine: str, known: list[str]) -> None:
        there = ", ".join(known) if known else "none"
        super().__init__(
            what="engine",
            name=engine,
            hint=f"known are: {there}; install one, or name its command under [training.commands]",
        )
        self.facts["known"] = known


class BadRequest(BadInput):
    """A training request asks for something that cannot be."""

    code = "TRAIN-010"

    def __init__(self, *, field: str, value: str, problem: str) -> None:
        super().__init__(
            f"training request: {field} is {value[:80]!r}, but {problem}",
            field=field,
            value=value[:80],
            problem=problem,
        )


class NothingToTrainOn(BadInput):
    """The commit has no images where training needs some."""

    code = "TRAIN-011"

    def __init__(self, *, dataset_commit: str, split: str) -> None:
        super().__init__(
            f"commit {dataset_commit} has no image in its {split} split; "
            "commit more images, or change the commit's split rule",
            dataset_commit=dataset_commit,
            split=split,
        )


class NoCheckpoint(BadInput):
    """A run was named to start from, but it left no checkpoint."""

    code = "TRAIN-012"

    def __init__(self, *, run: str, state: str) -> None:
        super().__init__(
            f"run {run} is {state} and kept no checkpoint; start from a finished run, "
            "a file or an architecture",
            run=run,
            state=state,
        )


class NotTheSameRun(BadInput):
    """The run exists with another recipe; it cannot become a different one."""

    code = "TRAIN-013"

    def __init__(self, *, run: str) -> None:
        super().__init__(
            f"run {run} exists with another recipe, commit or engine; "
            "give the new training a run id of its own",
            run=run,
        )


class ProtocolBroken(BadInput):
    """What the engine wrote does not follow docs/formats/job.md."""

    code = "TRAIN-020"

    def __init__(self, *, where: str, problem: str) -> None:
        super().__init__(
            f"{where}: {problem}; the engine does not follow docs/formats/job.md - update it",
            where=where,
            problem=problem,
        )


class JobFailed(BadInput):
    """The engine itself says why it cannot do this job."""

    code = "TRAIN-030"

    def __init__(self, *, run: str, engine_code: str, message: str) -> None:
        super().__init__(
            f"run {run} failed in the engine: {engine_code} {message}",
            run=run,
            engine_code=engine_code,
            engine_message=message,
        )


class JobCrashed(Unavailable):
    """The engine's process is gone and it never said why."""

    code = "TRAIN-031"

    def __init__(self, *, run: str, how: str, log: str) -> None:
        super().__init__(
            f"run {run}: the engine {how} without a last word; it will be tried again if a "
            f"worker runs it.{_said(log)}",
            run=run,
            how=how,
            log=log,
        )


class JobHung(Unavailable):
    """The engine's heartbeat stopped."""

    code = "TRAIN-032"

    def __init__(self, *, run: str, silence_limit_s: float, log: str) -> None:
        super().__init__(
            f"run {run}: the engine wrote nothing for {silence_limit_s:g} s and was ended; if it "
            f"really works that long in silence, raise [training] silence_limit_s.{_said(log)}",
            run=run,
            silence_limit_s=silence_limit_s,
            log=log,
        )


class JobCancelled(Refused):
    """Somebody asked for the job to stop."""

    code = "TRAIN-033"

    def __init__(self, *, run: str, why: str = "") -> None:
        because = f": {why}" if why else ""
        super().__init__(
            f"run {run} was cancelled{because}; train again to make another attempt", run=run
        )


class TimeLimitReached(Refused):
    """The job took longer than it may."""

    code = "TRAIN-034"

    def __init__(self, *, run: str, time_limit_s: float, log: str) -> None:
        super().__init__(
            f"run {run} was ended after {time_limit_s:g} s; ask for fewer epochs or smaller "
            f"images, or raise [training] time_limit_s.{_said(log)}",
            run=run,
            time_limit_s=time_limit_s,
            log=log,
        )


class OutOfMemory(Refused):
    """The job needed more memory than it may have, or than there is."""

    code = "TRAIN-035"

    def __init__(self, *, run: str, how: str, peak_memory_bytes: int, log: str) -> None:
        super().__init__(
            f"run {run} {how} (at most {peak_memory_bytes / 2**20:.0f} MiB were seen in use); "
            f"ask for a smaller batch_size or image_size_px, or give it more memory.{_said(log)}",
            run=run,
            how=how,
            peak_memory_bytes=peak_memory_bytes,
            log=log,
        )


def _said(log: str) -> str:
    return f" Its log ends:\n{log}" if log else " Its log is empty."
