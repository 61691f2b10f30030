"""Where a job's lines go while it is watched: to its run, or nowhere."""

from __future__ import annotations

from sightloop.kernel.workspace import Workspace
from sightloop.tracking.points import add_points
from sightloop.tracking.values import MetricPoint, RunId
from sightloop.training import store
from sightloop.training.lines import Told


class RunLedger:
    """Of a training: points go to its run, and how far it is to its open job."""

    def __init__(self, workspace: Workspace, run: RunId) -> None:
        self._workspace = workspace
        self._run = run
        with workspace.db.read() as tx:
            job = store.look_up_job(tx, run)
        assert job is not None, "a job is opened before its process is started"
        self.lines_recorded = job.lines_taken
        self.peak_memory_bytes = job.peak_memory_bytes

    def record(self, told: Told, points: list[MetricPoint], *, peak_memory_bytes: int) -> None:
        """Write down what is new: points first, so that no line counts that was not kept."""
        progress = told.progress
        with self._workspace.db.points.write() as tx:
            add_points(tx, self._run, points)
        with self._workspace.db.write() as tx:
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
        """Whether a person wants the run to end."""
        with self._workspace.db.read() as tx:
            job = store.look_up_job(tx, self._run)
        return job is not None and job.cancel_asked_at_ms is not None


class NoLedger:
    """Of a job whose result alone counts; an interrupted one begins anew, or is read anew."""

    lines_recorded = 0
    peak_memory_bytes = 0

    def record(self, told: Told, points: list[MetricPoint], *, peak_memory_bytes: int) -> None:
        """Nothing is kept."""

    def is_cancel_asked(self) -> bool:
        """Nobody can ask; whoever waits for it can stop waiting."""
        return False
