"""Runs that programs track themselves: begun once, each batch once, ended once."""

import math

import msgspec
import pytest

from sightloop.contracts.tracking import BeginTracking, EndTracking, TrackBatch
from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.errors import NotAllowed
from sightloop.kernel.workspace import Call, Workspace
from sightloop.testing.faults import CrashPlan, SimulatedCrash, crashing
from sightloop.testing.workspaces import LOCAL_CALL
from sightloop.tracking.batches import last_batch
from sightloop.tracking.errors import (
    BadName,
    ExperimentDeleted,
    ParamChanged,
    RunDeleted,
    RunUnknown,
)
from sightloop.tracking.experiments import create_default
from sightloop.tracking.organising import CreateExperiment, create_experiment, mark_experiment
from sightloop.tracking.points import metric_history
from sightloop.tracking.receiving import begin_tracking, end_tracking, take_batch
from sightloop.tracking.recording import mark_run
from sightloop.tracking.services import ShowRun, show_run

pytestmark = pytest.mark.both_databases

RUN = "run_" + "0" * 22
BEGIN = BeginTracking(run=RUN, experiment="pcb", name="first", user="anna", started_at_ms=5)


@pytest.fixture
def begun(workspace: Workspace) -> Workspace:
    with workspace.db.write() as tx:
        create_default(tx, now_ms=0)
    begin_tracking(workspace, LOCAL_CALL, BEGIN)
    return workspace


def batch(number: int, value: float = 0.5, **more: dict[str, str]) -> TrackBatch:
    points = [("loss", value, number, 10 + number)]
    return TrackBatch(run=RUN, part="main", number=number, points=points, **more)


def history(workspace: Workspace) -> list[tuple[float, int]]:
    with workspace.db.read() as tx:
        return [(point.value, point.step) for point in metric_history(tx, RUN, "loss")]


def test_a_run_is_begun_with_the_clients_own_id_and_time(begun: Workspace):
    shown = show_run(begun, LOCAL_CALL, ShowRun(run=RUN))
    assert (shown.run.experiment, shown.run.name, shown.run.user) == ("pcb", "first", "anna")
    assert (shown.run.started_at_ms, shown.run.state) == (5, "running")
    assert shown.tags == {"mlflow.runName": "first", "mlflow.user": "anna"}


def test_beginning_twice_changes_nothing(begun: Workspace):
    take_batch(begun, LOCAL_CALL, batch(0))
    again = msgspec.structs.replace(BEGIN, name="other")
    assert begin_tracking(begun, LOCAL_CALL, again).state == "running"
    assert show_run(begun, LOCAL_CALL, ShowRun(run=RUN)).run.name == "first"


def test_a_batch_is_taken_once(begun: Workspace):
    take_batch(begun, LOCAL_CALL, batch(0, tags={"a": "old"}))
    take_batch(begun, LOCAL_CALL, batch(1, tags={"a": "new"}))
    take_batch(begun, LOCAL_CALL, batch(0, tags={"a": "old"}))
    assert show_run(begun, LOCAL_CALL, ShowRun(run=RUN)).tags["a"] == "new"
    assert history(begun) == [(0.5, 0), (0.5, 1)]


def test_parts_of_a_run_number_their_own_batches(begun: Workspace):
    take_batch(begun, LOCAL_CALL, batch(7))
    child = TrackBatch(run=RUN, part="child-1", number=0, points=[("loss", 0.25, 0, 1)])
    take_batch(begun, LOCAL_CALL, child)
    assert history(begun) == [(0.25, 0), (0.5, 7)]


def test_a_value_that_is_no_number_is_kept(begun: Workspace):
    points = [("loss", "NaN", 0, 1)]
    take_batch(begun, LOCAL_CALL, TrackBatch(run=RUN, part="main", number=0, points=points))
    ((value, _),) = history(begun)
    assert math.isnan(value)


def test_a_crash_before_any_write_loses_nothing_that_is_sent_again(begun: Workspace):
    counted = CrashPlan()
    take_batch(crashing(begun, counted), LOCAL_CALL, batch(0, tags={"n": "0"}))
    assert counted.n_writes > 0
    for number in range(1, counted.n_writes + 1):
        dying = crashing(begun, CrashPlan(before_write=number - 1))
        with pytest.raises(SimulatedCrash):
            take_batch(dying, LOCAL_CALL, batch(number, tags={"n": str(number)}))
        dying.db.close()
        take_batch(begun, LOCAL_CALL, batch(number, tags={"n": str(number)}))
        assert show_run(begun, LOCAL_CALL, ShowRun(run=RUN)).tags["n"] == str(number)
    assert history(begun) == [(0.5, n) for n in range(counted.n_writes + 1)]


def test_a_run_stays_as_it_ended_first(begun: Workspace):
    end_tracking(
        begun, LOCAL_CALL, EndTracking(run=RUN, state="failed", ended_at_ms=9, reason="no")
    )
    end_tracking(begun, LOCAL_CALL, EndTracking(run=RUN, state="finished", ended_at_ms=11))
    run = show_run(begun, LOCAL_CALL, ShowRun(run=RUN)).run
    assert (run.state, run.ended_at_ms, run.exit_reason) == ("failed", 9, "no")


def test_a_batch_of_a_run_that_was_not_begun_is_refused(workspace: Workspace):
    with pytest.raises(RunUnknown):
        take_batch(workspace, LOCAL_CALL, batch(0))


def test_a_batch_with_a_name_that_cannot_be_is_refused_whole(begun: Workspace):
    points = [("loss", 1.0, 0, 1), ("../up", 1.0, 0, 1)]
    with pytest.raises(BadName, match="lead elsewhere"):
        take_batch(begun, LOCAL_CALL, TrackBatch(run=RUN, part="main", number=0, points=points))
    assert history(begun) == []


def test_a_changed_parameter_is_refused_and_the_points_stay(begun: Workspace):
    take_batch(begun, LOCAL_CALL, batch(0, params={"lr": "1"}))
    with pytest.raises(ParamChanged):
        take_batch(begun, LOCAL_CALL, batch(1, params={"lr": "2"}))
    assert history(begun) == [(0.5, 0), (0.5, 1)]
    with begun.db.read() as tx:
        assert last_batch(tx, RUN, "main") == 0


def test_a_deleted_run_takes_nothing(begun: Workspace):
    mark_run(begun, LOCAL_CALL, RUN, is_deleted=True)
    with pytest.raises(RunDeleted):
        take_batch(begun, LOCAL_CALL, batch(0))
    with pytest.raises(RunDeleted):
        begin_tracking(begun, LOCAL_CALL, BEGIN)


def test_a_run_is_not_begun_in_a_deleted_experiment(begun: Workspace):
    number = create_experiment(begun, LOCAL_CALL, CreateExperiment(name="gone"))
    mark_experiment(begun, LOCAL_CALL, number, is_deleted=True)
    begin = BeginTracking(run="run_" + "1" * 22, experiment="gone", started_at_ms=1)
    with pytest.raises(ExperimentDeleted):
        begin_tracking(begun, LOCAL_CALL, begin)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.DEVICE, Role.ANNOTATOR])
def test_who_may_not_train_may_not_track(role: Role, begun: Workspace):
    call = Call(Actor(ActorId("eve"), "person", role))
    with pytest.raises(NotAllowed):
        take_batch(begun, call, batch(0))
    with pytest.raises(NotAllowed):
        begin_tracking(begun, call, BEGIN)
    with pytest.raises(NotAllowed):
        end_tracking(begun, call, EndTracking(run=RUN, state="failed", ended_at_ms=1))
