"""Every way a job can end badly: what is raised, what is recorded, and that nothing is left."""

import threading
from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from sightloop.datasets.errors import ViewChanged
from sightloop.kernel import events
from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.config import Config
from sightloop.kernel.errors import NotAllowed, SightloopError
from sightloop.kernel.worker import StepControl
from sightloop.kernel.workspace import Call, Workspace
from sightloop.testing.workspaces import LOCAL_CALL
from sightloop.tracking import store as tracking
from sightloop.tracking.artifacts import artifacts_of
from sightloop.tracking.errors import RunEnded
from sightloop.tracking.points import metric_history
from sightloop.tracking.values import Run
from sightloop.training import supervision
from sightloop.training.errors import (
    JobCancelled,
    JobCrashed,
    JobFailed,
    JobHung,
    OutOfMemory,
    ProtocolBroken,
    TimeLimitReached,
)
from sightloop.training.folders import folder_of
from sightloop.training.process import find_process
from sightloop.training.requests import TrainRequest
from sightloop.training.services import CancelRun, cancel_run, train

pytestmark = pytest.mark.processes
RequestOf = Callable[..., TrainRequest]


def failure(
    workspace: Workspace, request: TrainRequest, *, call: Call = LOCAL_CALL
) -> SightloopError:
    """The error of a training that must fail; nothing but its record may be left of it."""
    with pytest.raises(SightloopError) as caught:
        train(workspace, call, request, control=StepControl(threading.Event()))
    assert not folder_of(workspace, request.run).root.exists()
    return caught.value


def recorded(workspace: Workspace, run: str = "run_1") -> Run:
    with workspace.db.read() as tx:
        return tracking.find_run(tx, run)


def log_of(workspace: Workspace, run: str = "run_1") -> str:
    with workspace.db.read() as tx:
        digest = artifacts_of(tx, run)["engine.log"]
    return workspace.blobs.read(digest).decode()


def limited(workspace: Workspace, **limits: object) -> Workspace:
    """The same workspace with other limits for its jobs."""
    settings = msgspec.structs.replace(workspace.config.training, **limits)
    return replace(workspace, config=Config(training=settings))


def test_an_engine_that_gives_up_is_quoted(training: Workspace, request_of: RequestOf):
    error = failure(training, request_of(fail="the light is off"))
    assert isinstance(error, JobFailed)
    assert error.message.endswith("ENGINE-TINY-2 the light is off")
    run = recorded(training)
    assert (run.state, run.exit_reason) == ("failed", "failed")
    assert (run.outputs["error_code"], run.outputs["error"]) == ("TRAIN-030", error.message)


def test_a_parameter_the_engine_does_not_know_is_refused_by_it(
    training: Workspace, request_of: RequestOf
):
    error = failure(training, request_of(learning_rate=0.1))
    assert isinstance(error, JobFailed)
    assert "learning_rate" in error.message


def test_a_failed_run_is_told_of_and_keeps_the_log(training: Workspace, request_of: RequestOf):
    failure(training, request_of(exit_with=3))
    with training.db.read() as tx:
        told = events.history(tx, subject="run_1")
    assert [event.kind for event in told] == ["run.started", "run.failed"]
    assert told[-1].data["exit_reason"] == "crashed"
    assert "something the engine printed" in log_of(training)


def test_an_engine_that_ends_without_a_word_has_crashed(training: Workspace, request_of: RequestOf):
    error = failure(training, request_of(exit_with=3))
    assert isinstance(error, JobCrashed)
    assert "exited with status 3" in error.message
    assert error.message.endswith("Traceback: something the engine printed")


def test_a_last_line_torn_by_a_crash_is_no_line(training: Workspace, request_of: RequestOf):
    error = failure(training, request_of(tear_last_line=True))
    assert isinstance(error, JobCrashed)
    assert "exited with status 1" in error.message


def test_the_signal_that_ended_an_engine_is_named(training: Workspace, request_of: RequestOf):
    error = failure(training, request_of(die_of="SIGSEGV"))
    assert isinstance(error, JobCrashed)
    assert "was ended by SIGSEGV" in error.message


def test_a_killed_engine_probably_ran_out_of_memory(training: Workspace, request_of: RequestOf):
    error = failure(training, request_of(die_of="SIGKILL"))
    assert isinstance(error, OutOfMemory)
    assert "probably because the machine ran out of memory" in error.message
    assert recorded(training).exit_reason == "out_of_memory"


def test_a_job_over_its_memory_limit_is_ended(training: Workspace, request_of: RequestOf):
    workspace = limited(training, memory_limit_bytes=120 << 20)
    error = failure(workspace, request_of(leak_bytes=200 << 20))
    assert isinstance(error, OutOfMemory)
    assert "used more than its limit of 120 MiB and was ended" in error.message
    assert error.facts["peak_memory_bytes"] > 200 << 20  # type: ignore[operator]


def test_a_job_over_its_time_limit_is_ended(training: Workspace, request_of: RequestOf):
    error = failure(limited(training, time_limit_s=0.5), request_of(run_for_s=60))
    assert isinstance(error, TimeLimitReached)
    assert "was ended after 0.5 s" in error.message
    assert recorded(training).exit_reason == "time_limit"


def test_a_job_without_a_heartbeat_is_ended(training: Workspace, request_of: RequestOf):
    error = failure(limited(training, silence_limit_s=0.5), request_of(hang=True))
    assert isinstance(error, JobHung)
    assert "wrote nothing for 0.5 s" in error.message


def test_an_engine_that_works_in_silence_but_beats_goes_on(
    training: Workspace, request_of: RequestOf
):
    workspace = limited(training, silence_limit_s=1.5)
    request = request_of(run_for_s=2.5, epochs=1, heartbeat_every_s=0.2)
    run = train(workspace, LOCAL_CALL, request, control=StepControl(threading.Event()))
    assert run.state == "finished"


def test_an_engine_deaf_to_sigterm_is_killed_after_its_grace(
    training: Workspace, request_of: RequestOf, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(supervision, "STOP_GRACE_S", 0.3)
    error = failure(limited(training, time_limit_s=0.5), request_of(ignore_sigterm=True))
    assert isinstance(error, TimeLimitReached)


def test_a_cancelled_job_ends_and_its_run_is_cancelled(training: Workspace, request_of: RequestOf):
    def cancel(what: str, done: int, _total: int) -> None:
        if (what, done) == ("epochs", 1):
            cancel_run(training, LOCAL_CALL, CancelRun(run="run_1"))

    call = Call(LOCAL_CALL.actor, cancel)
    error = failure(training, request_of(run_for_s=60, epochs=600), call=call)
    assert isinstance(error, JobCancelled)
    run = recorded(training)
    assert (run.state, run.exit_reason) == ("cancelled", "cancelled")


def test_a_run_that_has_ended_cannot_be_cancelled(training: Workspace, request_of: RequestOf):
    failure(training, request_of(fail="no"))
    with pytest.raises(RunEnded, match="is failed, so it cannot be cancelled"):
        cancel_run(training, LOCAL_CALL, CancelRun(run="run_1"))


def test_who_may_not_train_may_not_cancel(training: Workspace):
    annotator = Call(Actor(ActorId("a"), "person", Role.ANNOTATOR))
    with pytest.raises(NotAllowed):
        cancel_run(training, annotator, CancelRun(run="run_1"))


def test_a_gap_in_the_lines_ends_the_job(training: Workspace, request_of: RequestOf):
    error = failure(training, request_of(skip_a_number=True))
    assert isinstance(error, ProtocolBroken)
    assert "has number 7, not 2" in error.message
    assert find_process(folder_of(training, "run_1").root) is None


@pytest.mark.parametrize(
    ("file", "problem"),
    [("missing.csv", "tells of 'missing.csv', not there"), ("../job.json", "outside it")],
)
def test_an_artifact_must_be_a_file_of_the_engine_itself(
    training: Workspace, request_of: RequestOf, file: str, problem: str
):
    error = failure(training, request_of(tell_of=file))
    assert isinstance(error, ProtocolBroken)
    assert problem in error.message


def test_parity_answers_that_were_asked_for_must_come(training: Workspace, request_of: RequestOf):
    error = failure(training, request_of(keep_parity=True))
    assert isinstance(error, ProtocolBroken)
    assert "parity answers were wanted" in error.message


def test_a_model_trained_on_changed_images_is_refused(training: Workspace, request_of: RequestOf):
    error = failure(training, request_of(change_an_image=True))
    assert isinstance(error, ViewChanged)
    assert recorded(training).state == "failed"


def test_an_engine_that_cannot_be_started_says_why(training: Workspace, request_of: RequestOf):
    workspace = limited(training, commands={"tiny": ["/no/such/engine"]})
    error = failure(workspace, request_of())
    assert isinstance(error, JobCrashed)
    assert "cannot start /no/such/engine" in error.message


def test_a_failed_run_may_be_attempted_again(training: Workspace, request_of: RequestOf):
    request = request_of(exit_with=3)
    failure(training, request)
    failure(training, request)
    assert recorded(training).attempts == 2


def test_another_attempt_keeps_only_its_own_points(
    training: Workspace, request_of: RequestOf, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(supervision, "STOP_GRACE_S", 0.3)
    request = request_of(run_for_s=0.9, epochs=3)
    failure(limited(training, time_limit_s=0.8), request)
    run = train(training, LOCAL_CALL, request, control=StepControl(threading.Event()))
    with training.db.read() as tx:
        points = metric_history(tx, run.id, "train/loss")
    assert [point.step for point in points] == [1, 2, 3]
    assert (run.state, run.attempts) == ("finished", 2)
