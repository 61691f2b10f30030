"""What becomes of a training that goes well, and of requests that never start one."""

import math
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from sightloop.contracts.decode import decode
from sightloop.contracts.job import CHECKPOINT_ARTIFACT, MODEL_ARTIFACT, PARITY_ARTIFACT, Parity
from sightloop.datasets.errors import NoSuchRef
from sightloop.datasets.splits import SplitRule
from sightloop.inference.model_file import read_model_facts
from sightloop.kernel import events
from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.clock import SystemClock
from sightloop.kernel.config import Config, TrainingConfig
from sightloop.kernel.digests import Digest
from sightloop.kernel.environment import Environment
from sightloop.kernel.errors import NotAllowed
from sightloop.kernel.worker import StepControl
from sightloop.kernel.workspace import Call, Workspace
from sightloop.testing.blob_commits import commit_blobs
from sightloop.testing.workspaces import LOCAL_CALL, fresh_workspace
from sightloop.tracking.artifacts import artifacts_of
from sightloop.tracking.errors import RunUnknown
from sightloop.tracking.points import metric_history
from sightloop.tracking.values import Run
from sightloop.training import store
from sightloop.training.errors import (
    EngineUnknown,
    JobFailed,
    NoCheckpoint,
    NothingToTrainOn,
    NotTheSameRun,
)
from sightloop.training.folders import folder_of
from sightloop.training.requests import TrainRequest
from sightloop.training.services import ShowJob, show_job, train

pytestmark = pytest.mark.processes
TINY = [sys.executable, "-m", "sightloop.testing.tiny_engine"]
VIEWER = Call(Actor(ActorId("viewer"), "person", Role.VIEWER))
RequestOf = Callable[..., TrainRequest]


def control() -> StepControl:
    return StepControl(threading.Event())


def run_of(workspace: Workspace, request: TrainRequest) -> Run:
    return train(workspace, LOCAL_CALL, request, control=control())


def artifacts(workspace: Workspace, run: str) -> dict[str, Digest]:
    with workspace.db.read() as tx:
        return artifacts_of(tx, run)


def told(workspace: Workspace, run: str) -> list[str]:
    with workspace.db.read() as tx:
        return [event.kind for event in events.history(tx, subject=run)]


def losses(workspace: Workspace, run: str) -> list[float]:
    with workspace.db.read() as tx:
        return [point.value for point in metric_history(tx, run, "train/loss")]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workspace, Run]]:
    """A workspace and a run that the tiny engine really trained in it."""
    config = Config(training=TrainingConfig(threads=1, commands={"tiny": TINY}))
    root = tmp_path_factory.mktemp("done") / "workspace"
    workspace = fresh_workspace(root, config=config, clock=SystemClock())
    request = TrainRequest(
        run="run_1",
        experiment="parts",
        name="first",
        dataset_commit=commit_blobs(workspace),
        engine="tiny",
        weights="blobs",
        epochs=3,
        image_size_px=64,
        batch_size=4,
        parity_images=2,
    )
    yield workspace, run_of(workspace, request)
    workspace.db.close()


def test_a_finished_run_keeps_everything_the_engine_delivered(done: tuple[Workspace, Run]):
    workspace, run = done
    kept = artifacts(workspace, run.id)
    assert set(kept) == {
        MODEL_ARTIFACT,
        CHECKPOINT_ARTIFACT,
        PARITY_ARTIFACT,
        "engine.log",
        "results.png",
    }
    assert (run.state, run.exit_reason, run.attempts) == ("finished", "done", 1)
    assert run.outputs["model_file"] == kept[MODEL_ARTIFACT]
    assert run.outputs["checkpoint"] == kept[CHECKPOINT_ARTIFACT]
    assert (run.outputs["declared_licence"], run.outputs["engine_version"]) == (
        "Apache-2.0",
        "tiny 1",
    )


def test_the_kept_model_is_the_file_the_engine_exported(done: tuple[Workspace, Run]):
    workspace, run = done
    facts = read_model_facts(workspace.blobs.local_path(Digest(run.outputs["model_file"])))
    assert facts.class_names == ["scratch", "dent"]
    assert facts.input.width_px == 64


def test_parity_answers_are_about_images_of_the_validation_split(done: tuple[Workspace, Run]):
    workspace, run = done
    content = workspace.blobs.read(artifacts(workspace, run.id)[PARITY_ARTIFACT])
    answers = decode(content, Parity, what="parity").answers
    assert len(answers) == 2
    assert all(answer.detections for answer in answers)


def test_every_point_is_kept_once_and_in_order(done: tuple[Workspace, Run]):
    workspace, run = done
    curve = losses(workspace, run.id)
    assert len(curve) == 3
    assert curve == sorted(curve, reverse=True)
    with workspace.db.read() as tx:
        recalls = metric_history(tx, run.id, "val/recall")
    assert all(math.isnan(point.value) for point in recalls)


def test_a_run_records_what_went_into_it(done: tuple[Workspace, Run]):
    workspace, run = done
    assert (run.inputs.engine, run.inputs.seed, run.inputs.threads) == ("tiny", 0, 1)
    assert run.inputs.parameters["image_size_px"] == "64"
    assert run.inputs.code.commit is not None
    environment = decode(workspace.blobs.read(run.inputs.environment), Environment, what="it")
    assert "msgspec" in environment.distributions
    assert environment.hardware.cpu in run.inputs.hardware


def test_a_finished_run_leaves_nothing_behind_but_its_record(done: tuple[Workspace, Run]):
    workspace, run = done
    assert not folder_of(workspace, run.id).root.exists()
    assert show_job(workspace, LOCAL_CALL, ShowJob(run=run.id)).job is None
    assert told(workspace, run.id) == ["run.started", "run.finished"]
    assert int(run.outputs["peak_memory_bytes"]) > 1 << 20


def test_the_event_of_a_finished_run_names_its_commit(done: tuple[Workspace, Run]):
    workspace, run = done
    with workspace.db.read() as tx:
        finished = events.history(tx, subject=run.id)[-1]
    assert finished.data == {
        "run": "run_1",
        "experiment": "parts",
        "dataset_commit": run.inputs.dataset_commit,
        "attempt": 1,
        "exit_reason": "done",
    }


def test_asking_for_a_finished_run_again_trains_nothing(
    training: Workspace, request_of: RequestOf, tmp_path: Path
):
    request = request_of(starts_file=str(tmp_path / "starts"))
    assert run_of(training, request) == run_of(training, request)
    assert (tmp_path / "starts").read_bytes() == b"."
    assert not folder_of(training, request.run).root.exists()


def test_a_branch_may_be_named_instead_of_its_commit(
    training: Workspace, request_of: RequestOf, commit: Digest
):
    run = run_of(training, request_of(dataset_commit="main"))
    assert run.inputs.dataset_commit == commit


@pytest.mark.parametrize("change", [{"epochs": 4}, {"seed": 1}, {"engine": "yolo26"}])
def test_a_run_id_cannot_be_used_for_another_recipe(
    training: Workspace, request_of: RequestOf, change: dict[str, object]
):
    run_of(training, request_of())
    with pytest.raises(NotTheSameRun, match="run_1 exists with another recipe") as caught:
        run_of(training, request_of(**change))
    assert caught.value.code == "TRAIN-013"


def test_a_run_can_start_from_the_checkpoint_of_another(training: Workspace, request_of: RequestOf):
    first = run_of(training, request_of())
    second = run_of(training, request_of(run="run_2", weights="run:run_1"))
    assert second.inputs.parameters["weights"] == "run:run_1"
    assert second.inputs.parameters["weights_digest"] == first.outputs["checkpoint"]


def test_weights_of_a_file_are_kept_with_the_run(
    training: Workspace, request_of: RequestOf, tmp_path: Path
):
    path = tmp_path / "mine.pt"
    path.write_bytes(b"weights")
    run = run_of(training, request_of(weights=str(path)))
    assert training.blobs.read(Digest(run.inputs.parameters["weights_digest"])) == b"weights"


def test_training_on_from_a_checkpoint_begins_where_it_ended(done: tuple[Workspace, Run]):
    workspace, run = done
    request = TrainRequest(
        run="run_2",
        experiment="parts",
        name="second",
        dataset_commit=run.inputs.dataset_commit,
        engine="tiny",
        weights="run:run_1",
        epochs=1,
        image_size_px=64,
        batch_size=4,
        parity_images=0,
    )
    second = run_of(workspace, request)
    assert second.outputs["details.level"] == run.outputs["details.level"]
    assert PARITY_ARTIFACT not in artifacts(workspace, second.id)


def test_a_run_without_a_checkpoint_cannot_be_started_from(
    training: Workspace, request_of: RequestOf
):
    with pytest.raises(RunUnknown):
        run_of(training, request_of(weights="run:nobody"))
    with pytest.raises(JobFailed):
        run_of(training, request_of(fail="no"))
    with pytest.raises(NoCheckpoint, match="run run_1 is failed and kept no checkpoint") as caught:
        run_of(training, request_of(run="run_2", weights="run:run_1"))
    assert caught.value.code == "TRAIN-012"


def test_progress_and_the_state_of_the_job_are_told_while_it_runs(
    training: Workspace, request_of: RequestOf
):
    seen: list[tuple[str, int, int]] = []
    run = train(
        training,
        Call(LOCAL_CALL.actor, lambda *told: seen.append(told)),
        request_of(),
        control=control(),
    )
    assert ("laying out images", 12, 12) in seen
    assert ("epochs", 3, 3) in seen
    assert run.state == "finished"


def test_the_job_of_a_running_run_can_be_looked_at(training: Workspace, request_of: RequestOf):
    states: list[store.JobState | None] = []

    def look(what: str, _done: int, _total: int) -> None:
        if what == "epochs":
            states.append(show_job(training, LOCAL_CALL, ShowJob(run="run_1")).job)

    call = Call(LOCAL_CALL.actor, look)
    train(training, call, request_of(epochs=2, run_for_s=0.1), control=control())
    assert states[0] is not None
    assert states[0].cancel_asked_at_ms is None


def test_who_may_only_look_may_not_train(training: Workspace, request_of: RequestOf):
    with pytest.raises(NotAllowed):
        train(training, VIEWER, request_of(), control=control())


def test_an_unknown_engine_starts_no_run(training: Workspace, request_of: RequestOf):
    with pytest.raises(EngineUnknown):
        run_of(training, request_of(engine="yolo99"))
    assert told(training, "run_1") == []
    assert not folder_of(training, "run_1").root.exists()


def test_an_unknown_commit_starts_no_run(training: Workspace, request_of: RequestOf):
    with pytest.raises(NoSuchRef):
        run_of(training, request_of(dataset_commit="nowhere"))
    assert told(training, "run_1") == []


def test_a_commit_without_validation_images_is_refused(training: Workspace, request_of: RequestOf):
    rule = SplitRule(train=1.0, val=0.0, test=0.0)
    commit = commit_blobs(training, branch="all-train", split_rule=rule)
    with pytest.raises(NothingToTrainOn, match="no image in its val split") as caught:
        run_of(training, request_of(dataset_commit=commit))
    assert caught.value.code == "TRAIN-011"
    assert told(training, "run_1") == ["run.started", "run.failed"]


def test_rare_slices_are_repeated_as_often_as_asked(training: Workspace, request_of: RequestOf):
    commit = commit_blobs(training, branch="lines", slices={"line": "9"})
    request = request_of(dataset_commit=commit, repeats={"line=9": 3})
    run = run_of(training, request)
    assert run.inputs.parameters["repeats.line=9"] == "3"
    assert msgspec.json.decode(run.inputs.parameters["parameters.pretend"]) is True
