"""Where whoever watches a job writes down how far it is."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from sightloop.kernel.workspace import Workspace
from sightloop.tracking.points import add_points
from sightloop.tracking.values import MetricPoint, RunId
from sightloop.training import store
from sightloop.training.lines import Told


class Noted(NamedTuple):
    """What an earlier watcher of the job wrote down."""

    n_lines: int
    peak_memory_bytes: int


class JobNotes(Protocol):
    """Notes about one job."""

    def read(self) -> Noted:
        """What was written last."""
        ...

    def write(self, told: Told, points: list[MetricPoint], *, peak_memory_bytes: int) -> None:
        """Note everything told so far; `points` are those that were not noted yet."""
        ...

    def is_cancel_asked(self) -> bool:
        """Whether somebody wants the job to end."""
        ...


class RunNotes:
    """In the database, with the run whose job it is."""

    def __init__(self, workspace: Workspace, run: RunId) -> None:
        self._db = workspace.db
        self._run = run

    def read(self) -> Noted:
        """See `JobNotes.read`."""
        with self._db.read() as tx:
            job = store.look_up_job(tx, self._run)
        assert job is not None, "a job is opened before its process is started"
        return Noted(job.lines_taken, job.peak_memory_bytes)

    def write(self, told: Told, points: list[MetricPoint], *, peak_memory_bytes: int) -> None:
        """See `JobNotes.write`."""
        progress = told.progress
        with self._db.points.write() as points_tx:
            add_points(points_tx, self._run, points)
        with self._db.write() as tx:
            store.note_job(
                tx,
                self._run,
                lines_taken=told.n_lines,
                peak_memory_bytes=peak_memory_bytes,
                doing=progress.what if progress else "",
                done=progress.done if progress else 0,
                total=progress.total if progress else 0,
            )

    def is_cancel_asked(self) -> bool:
        """See `JobNotes.is_cancel_asked`."""
        with self._db.read() as tx:
            job = store.look_up_job(tx, self._run)
        return job is not None and job.cancel_asked_at_ms is not None
