"""What the lines of a job add up to."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from sightloop.contracts.job import (
    ArtifactLine,
    CheckpointLine,
    DoneLine,
    FailedLine,
    JobLine,
    MetricLine,
    ProgressLine,
)
from sightloop.tracking.values import MetricPoint


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an engine has said so far."""

    n_lines: int = 0
    artifacts: dict[str, str] = {}
    """Files below the output folder, by artifact name; a name told again means the newer file."""
    checkpoint: CheckpointLine | None = None
    progress: ProgressLine | None = None
    last: DoneLine | FailedLine | None = None
    """What the engine concluded with; whatever follows it is not heard."""


def add_lines(told: Told, lines: Iterable[JobLine]) -> Told:
    """What was told, and these lines after it.

    >>> told = add_lines(Told(), [ProgressLine(n=1, what="epochs", done=1, total=3)])
    >>> told.n_lines, told.progress.done
    (1, 1)
    """
    for line in lines:
        told = _add(told, line)
    return told


def points_in(lines: Iterable[JobLine], *, after: int) -> list[MetricPoint]:
    """The metric points in lines with a number above `after`."""
    return [
        MetricPoint(key=line.name, value=line.measured, step=line.step, at_ms=line.at_ms)
        for line in lines
        if isinstance(line, MetricLine) and line.n > after
    ]


def _add(told: Told, line: JobLine) -> Told:
    if told.last is not None:
        return told
    changes: dict[str, object] = {"n_lines": line.n}
    if isinstance(line, ArtifactLine):
        changes["artifacts"] = {**told.artifacts, line.name: line.file}
    elif isinstance(line, CheckpointLine):
        changes["checkpoint"] = line
    elif isinstance(line, ProgressLine):
        changes["progress"] = line
    elif isinstance(line, DoneLine | FailedLine):
        changes["last"] = line
    return msgspec.structs.replace(told, **changes)
