import math

import msgspec
import pytest

from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.digests import Digest
from sightloop.kernel.errors import NotAllowed
from sightloop.kernel.workspace import Call, Workspace
from sightloop.testing.workspaces import LOCAL_CALL
from sightloop.tracking import services, store
from sightloop.tracking.artifacts import record_artifact
from sightloop.tracking.errors import RunUnknown
from sightloop.tracking.points import add_points
from sightloop.tracking.services import ListRuns, PointFacts, ShowHistory, ShowRun
from sightloop.tracking.values import CodeState, MetricPoint, RunId, RunInputs

pytestmark = pytest.mark.both_databases

DIGEST = Digest("sha256:" + "0" * 64)
DEVICE_CALL = Call(Actor(ActorId("device_1"), "device", Role.DEVICE))


@pytest.fixture
def run(workspace: Workspace) -> RunId:
    return start(workspace, "run_1")


def start(workspace: Workspace, name: str) -> RunId:
    inputs = RunInputs(
        dataset_commit=DIGEST,
        code=CodeState(commit=None, patch=None, dirty=False),
        parameters={},
        engine="tiny",
        engine_version="",
        environment=DIGEST,
        seed=0,
        threads=1,
        hardware="",
    )
    with workspace.db.write() as tx:
        started = store.start_run(
            tx, RunId(name), experiment="parts", name=name, inputs=inputs, now_ms=1
        )
    return started.id


def test_a_run_is_shown_with_its_newest_values_and_artifacts(workspace: Workspace, run: RunId):
    with workspace.db.points.write() as tx:
        add_points(tx, run, [MetricPoint(key="ap", value=0.5, step=1, at_ms=3)])
        add_points(tx, run, [MetricPoint(key="ap", value=0.6, step=2, at_ms=4)])
    with workspace.db.write() as tx:
        record_artifact(tx, run, "args.yaml", digest=DIGEST, size_bytes=7)
    shown = services.show_run(workspace, LOCAL_CALL, ShowRun(run=run))
    assert shown.run.id == run
    assert shown.metrics == {"ap": PointFacts(value=0.6, step=2, at_ms=4)}
    assert [artifact.name for artifact in shown.artifacts] == ["args.yaml"]


def test_not_a_number_travels_as_text(workspace: Workspace, run: RunId):
    with workspace.db.points.write() as tx:
        add_points(tx, run, [MetricPoint(key="loss", value=math.nan, step=1, at_ms=3)])
    shown = services.show_history(workspace, LOCAL_CALL, ShowHistory(run=run, key="loss"))
    assert msgspec.to_builtins(shown)["points"] == [{"value": "NaN", "step": 1, "at_ms": 3}]


def test_a_metric_nobody_logged_has_no_points(workspace: Workspace, run: RunId):
    shown = services.show_history(workspace, LOCAL_CALL, ShowHistory(run=run, key="loss"))
    assert shown.points == []


def test_the_history_of_an_unknown_run_is_an_error(workspace: Workspace):
    with pytest.raises(RunUnknown):
        services.show_history(workspace, LOCAL_CALL, ShowHistory(run="run_9", key="loss"))


def test_the_last_page_says_that_it_is_the_last(workspace: Workspace):
    for number in range(3):
        start(workspace, f"run_{number}")
    first = services.list_runs(workspace, LOCAL_CALL, ListRuns(limit=2))
    last = services.list_runs(workspace, LOCAL_CALL, ListRuns(limit=2, before=first.next_before))
    assert [run.id for run in first.runs + last.runs] == ["run_2", "run_1", "run_0"]
    assert last.next_before is None


@pytest.mark.parametrize(
    ("service", "request_"),
    [
        (services.list_runs, ListRuns()),
        (services.show_run, ShowRun(run="run_1")),
        (services.show_history, ShowHistory(run="run_1", key="loss")),
    ],
)
def test_a_device_may_not_look_at_runs(workspace: Workspace, service, request_):
    with pytest.raises(NotAllowed):
        service(workspace, DEVICE_CALL, request_)
