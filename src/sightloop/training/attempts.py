"""One execution of a run: from wherever it stands to its recorded end."""

from __future__ import annotations

from dataclasses import dataclass

from sightloop.datasets.views import check_view
from sightloop.kernel.digests import Digest
from sightloop.kernel.errors import SightloopError, Unavailable
from sightloop.kernel.worker import StepControl
from sightloop.kernel.workspace import Call, Workspace
from sightloop.tracking.values import MetricPoint, Run
from sightloop.training import store
from sightloop.training.endings import error_of
from sightloop.training.engines import Engine
from sightloop.training.errors import JobCrashed
from sightloop.training.folders import JobFolder
from sightloop.training.jobs import prepare_job, read_written_view, start_job
from sightloop.training.ledgers import RunLedger
from sightloop.training.limits import Limits
from sightloop.training.process import JobProcess, find_process
from sightloop.training.reasons import ExitReason
from sightloop.training.recording import record_done, record_failure, record_start
from sightloop.training.requests import TrainRequest
from sightloop.training.supervision import Ended, Supervision


@dataclass(frozen=True, slots=True)
class Attempt:
    """What it takes to make one run; whoever holds its folder may use it."""

    workspace: Workspace
    call: Call
    request: TrainRequest
    commit: Digest
    engine: Engine
    folder: JobFolder
    control: StepControl

    def complete(self, known: Run | None) -> Run:
        """The finished run; what goes wrong for good is recorded and raised.

        Args:
            known: the run as it stands, None when it was never started.
        """
        process = find_process(self.folder.root)
        if known is None or known.state != "running" or self._has_lost_its_job(known, process):
            self.folder.clear()
            process = None
            run = record_start(
                self.workspace,
                self.call.actor,
                self.request,
                commit=self.commit,
                engine=self.engine,
            )
        else:
            run = known
        try:
            ended = self._watch(run, process or self._start(run))
        except JobCrashed as error:
            self._fail(run, error, reason=ExitReason.CRASHED)
            raise
        except Unavailable:
            raise  # nobody's fault: the job, or the rest of the work, waits for the next call
        except SightloopError as error:
            self._fail(run, error)
            raise
        return self._conclude(run, ended)

    def _has_lost_its_job(self, run: Run, process: JobProcess | None) -> bool:
        """Whether lines were recorded of a job that this machine knows nothing of."""
        if process is not None:
            return False
        with self.workspace.db.read() as tx:
            job = store.look_up_job(tx, run.id)
        return job is None or job.lines_taken > 0

    def _start(self, run: Run) -> JobProcess:
        prepare_job(self.workspace, self.folder, self.request, run=run, progress=self.call.progress)
        return start_job(self.workspace, self.folder, self.engine)

    def _watch(self, run: Run, process: JobProcess) -> Ended:
        supervision = Supervision(
            self.workspace,
            self.folder,
            process,
            ledger=RunLedger(self.workspace, run.id),
            limits=limits_of(self.workspace),
            progress=self.call.progress,
        )
        return supervision.until_end(lambda: self.control.should_stop)

    def _conclude(self, run: Run, ended: Ended) -> Run:
        failure = error_of(
            ended.ending,
            run=run.id,
            last=ended.told.last,
            limits=limits_of(self.workspace),
            peak_memory_bytes=ended.peak_memory_bytes,
            log=self.folder.log_tail(),
            why_cancelled=self._why_cancelled(run),
        )
        if failure is not None:
            self._fail(run, failure, reason=ended.ending.reason, points=ended.unrecorded)
            raise failure
        try:
            check_view(self.workspace, read_written_view(self.folder))
            return record_done(
                self.workspace, self.call.actor, run, folder=self.folder, ended=ended
            )
        except Unavailable:
            raise  # a full disk, say: the engine's work lies there and is recorded later
        except SightloopError as error:
            self._fail(run, error, points=ended.unrecorded)
            raise

    def _why_cancelled(self, run: Run) -> str:
        with self.workspace.db.read() as tx:
            job = store.look_up_job(tx, run.id)
        return "" if job is None else job.cancel_why

    def _fail(
        self,
        run: Run,
        error: SightloopError,
        *,
        reason: ExitReason = ExitReason.FAILED,
        points: list[MetricPoint] | None = None,
    ) -> None:
        record_failure(
            self.workspace,
            self.call.actor,
            run,
            folder=self.folder,
            reason=reason,
            error=error,
            points=points or [],
        )
        self.folder.clear()


def limits_of(workspace: Workspace) -> Limits:
    """The bounds of every job of this workspace."""
    settings = workspace.config.training
    return Limits(
        time_limit_s=settings.time_limit_s,
        silence_limit_s=settings.silence_limit_s,
        memory_limit_bytes=settings.memory_limit_bytes,
    )
