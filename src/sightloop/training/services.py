"""Train, cancel a training, look how far one is; and the loop's step that trains.

A run id is trained once. Whoever asks with it again, in this process or another, after a crash or
not, gets the finished run, or goes on watching the job where its predecessor stopped.
"""

from __future__ import annotations

import msgspec

from sightloop.datasets.branches import resolve_ref
from sightloop.kernel.actors import Permission, require, step_actor
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.steps import Outcome, Step
from sightloop.kernel.worker import StepControl
from sightloop.kernel.workspace import Call, Workspace
from sightloop.tracking import store as tracking
from sightloop.tracking.errors import RunEnded
from sightloop.tracking.values import Run
from sightloop.training import store
from sightloop.training.attempts import Attempt
from sightloop.training.engines import find_engine
from sightloop.training.errors import BadRequest
from sightloop.training.folders import claimed, folder_of
from sightloop.training.recording import look_up_same_run
from sightloop.training.requests import TrainRequest, check_request
from sightloop.training.store import JobState

RUN_CANCEL_ASKED = EventKind("run.cancel_asked")
TRAIN_STEP = "train"


class CancelRun(msgspec.Struct, frozen=True, kw_only=True):
    """Which run to end."""

    run: str


class ShowJob(msgspec.Struct, frozen=True, kw_only=True):
    """Which run's job."""

    run: str


class JobFacts(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run's job is; None once the run has ended."""

    job: JobState | None


def train(workspace: Workspace, call: Call, request: TrainRequest, *, control: StepControl) -> Run:
    """The finished run. Blocks until its job has ended, which it starts unless it was before.

    Raises:
        NotAllowed: the actor may not train.
        BadRequest: the request cannot be meant.
        NotFound: there is no such commit, engine, or run to start from.
        NoCheckpoint: the run to start from left none.
        NotTheSameRun: the run id is taken by another recipe.
        NothingToTrainOn: the commit has no image to train on, or none to validate on.
        Interrupted: `control` said stop; the job goes on and the next call watches it again.
        JobFailed, JobCrashed, JobHung, JobCancelled, TimeLimitReached, OutOfMemory: as named;
            the run is recorded as failed, and asking again makes another attempt.
        ProtocolBroken: the engine does not speak as it should; the run is recorded as failed.
    """
    require(call.actor, Permission.TRAIN)
    check_request(request)
    with workspace.db.read() as tx:
        commit = resolve_ref(tx, request.dataset_commit)
    folder = folder_of(workspace, request.run)
    with claimed(folder, clock=workspace.clock, should_stop=lambda: control.should_stop):
        run = look_up_same_run(workspace, request, commit=commit)
        if run is None or run.state != "finished":
            engine = find_engine(request.engine, workspace.config.training)
            attempt = Attempt(
                workspace=workspace,
                call=call,
                request=request,
                commit=commit,
                engine=engine,
                folder=folder,
                control=control,
            )
            run = attempt.complete(run)
        folder.clear()
    return run


def train_step(workspace: Workspace, step: Step, control: StepControl) -> Outcome:
    """The step `train`: its inputs are a `TrainRequest`, its output names the run.

    The run records itself: it takes longer than a transaction may, and it is one run however
    often the step is repeated.
    """
    try:
        request = msgspec.convert(step.inputs, TrainRequest)
    except msgspec.ValidationError as error:
        raise BadRequest(field="inputs of the step", value="", problem=str(error)) from error
    call = Call(step_actor(step.name), control.progress)
    run = train(workspace, call, request, control=control)
    return Outcome({"run": run.id})


def cancel_run(workspace: Workspace, call: Call, request: CancelRun) -> None:
    """Whoever watches the run's job ends it within seconds; the run is then cancelled.

    Raises:
        NotAllowed: the actor may not train.
        RunUnknown: there is no such run.
        RunEnded: it has ended already.
    """
    require(call.actor, Permission.TRAIN)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        run = tracking.find_run(tx, request.run)
        if not store.ask_to_cancel(tx, run.id, now_ms=now_ms):
            raise RunEnded(run=run.id, state=run.state, wanted="be cancelled")
        tell(tx, RUN_CANCEL_ASKED, run.id, by=call.actor, at_ms=now_ms, data={"run": run.id})


def show_job(workspace: Workspace, call: Call, request: ShowJob) -> JobFacts:
    """How far the run's job is.

    Raises:
        NotAllowed: the actor may not read.
        RunUnknown: there is no such run.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        tracking.find_run(tx, request.run)
        return JobFacts(job=store.look_up_job(tx, request.run))
