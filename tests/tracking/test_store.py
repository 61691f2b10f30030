import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sightloop.kernel.database import Database
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Workspace
from sightloop.tracking import store
from sightloop.tracking.artifacts import artifacts_of, list_artifacts, record_artifact
from sightloop.tracking.errors import BadPoint, RunEnded, RunKnown, RunUnknown
from sightloop.tracking.points import add_points, forget_points, latest_metrics, metric_history
from sightloop.tracking.values import CodeState, MetricPoint, Run, RunId, RunInputs

pytestmark = pytest.mark.both_databases

DIGEST = Digest("sha256:" + "0" * 64)
OTHER = Digest("sha256:" + "1" * 64)
INPUTS = RunInputs(
    dataset_commit=DIGEST,
    code=CodeState(commit="c0ffee", patch=None, dirty=False),
    parameters={"epochs": "3"},
    engine="tiny",
    engine_version="tiny 1",
    environment=DIGEST,
    seed=0,
    threads=2,
    hardware="a machine",
)


def start(db: Database, run: str = "run_1", *, experiment: str = "parts", now_ms: int = 1) -> Run:
    with db.write() as tx:
        return store.start_run(
            tx, RunId(run), experiment=experiment, name="first", inputs=INPUTS, now_ms=now_ms
        )


def finish(db: Database, run: str = "run_1", **changes: object) -> Run:
    values = {"state": "finished", "outputs": {}, "exit_reason": "done", "now_ms": 9} | changes
    with db.write() as tx:
        return store.finish_run(tx, run, **values)


def log(db: Database, *points: MetricPoint, run: str = "run_1") -> None:
    with db.points.write() as tx:
        add_points(tx, run, points)


def point(value: float, *, key: str = "loss", step: int = 1, at_ms: int = 5) -> MetricPoint:
    return MetricPoint(key=key, value=value, step=step, at_ms=at_ms)


def history(db: Database, key: str = "loss", run: str = "run_1") -> list[MetricPoint]:
    with db.read() as tx:
        return metric_history(tx, run, key)


def latest(db: Database, key: str = "loss", run: str = "run_1") -> MetricPoint:
    with db.read() as tx:
        return latest_metrics(tx, run)[key]


def test_a_started_run_is_found_as_it_was_started(workspace: Workspace):
    started = start(workspace.db)
    with workspace.db.read() as tx:
        assert store.find_run(tx, "run_1") == started
    assert (started.state, started.attempts, started.inputs) == ("running", 1, INPUTS)


def test_a_run_id_is_used_once(workspace: Workspace):
    start(workspace.db)
    with pytest.raises(RunKnown, match="run_1 was started before and is running") as caught:
        start(workspace.db)
    assert caught.value.code == "TRACK-010"


def test_a_run_nobody_started_is_not_found(workspace: Workspace):
    with pytest.raises(RunUnknown, match="no run 'run_9'") as caught, workspace.db.read() as tx:
        store.find_run(tx, "run_9")
    assert caught.value.code == "TRACK-001"


def test_an_ended_run_keeps_how_it_ended(workspace: Workspace):
    start(workspace.db)
    ended = finish(workspace.db, outputs={"model_file": DIGEST})
    with workspace.db.read() as tx:
        assert store.find_run(tx, "run_1") == ended
    assert (ended.state, ended.ended_at_ms, ended.exit_reason) == ("finished", 9, "done")


def test_a_run_ends_once(workspace: Workspace):
    start(workspace.db)
    finish(workspace.db)
    with pytest.raises(RunEnded, match="is finished, so it cannot end once more") as caught:
        finish(workspace.db, state="failed")
    assert caught.value.code == "TRACK-011"


def test_points_come_back_by_step_and_time_whatever_order_they_were_sent_in(workspace: Workspace):
    start(workspace.db)
    first, second, third = point(3.0), point(2.0, at_ms=6), point(1.0, step=2)
    log(workspace.db, third, first)
    log(workspace.db, second)
    assert history(workspace.db) == [first, second, third]


@pytest.mark.parametrize("value", [math.inf, -math.inf, 0.0, 1e-320, 1.7e308])
def test_every_float_survives(workspace: Workspace, value: float):
    start(workspace.db)
    log(workspace.db, point(value))
    assert history(workspace.db) == [point(value)]
    assert latest(workspace.db) == point(value)


def test_not_a_number_is_not_confused_with_zero(workspace: Workspace):
    start(workspace.db)
    log(workspace.db, point(math.nan), point(0.0))
    values = [found.value for found in history(workspace.db)]
    assert sorted(map(str, values)) == ["0.0", "nan"]


points = st.lists(
    st.builds(
        MetricPoint,
        key=st.sampled_from(["a", "b"]),
        value=st.sampled_from([0.0, -1.5, 2.0, math.inf]),
        step=st.integers(-2, 2),
        at_ms=st.integers(0, 2),
    ),
    max_size=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(points, points)
def test_batches_sent_again_and_in_any_order_leave_the_same_curves(workspace, first, second):
    one, other = workspace.ids.new("run"), workspace.ids.new("run")
    for run, batches in ((one, [first, second]), (other, [second, first, second])):
        start(workspace.db, run)
        for batch in batches:
            log(workspace.db, *batch, run=run)
    sent = first + second
    for key in {sent_point.key for sent_point in sent}:
        curve = history(workspace.db, key, one)
        assert set(curve) == {each for each in sent if each.key == key}
        assert curve == sorted(curve, key=lambda each: (each.step, each.at_ms, each.value))
        assert set(history(workspace.db, key, other)) == set(curve)
        newest = max(curve, key=lambda each: (each.step, each.at_ms, each.value))
        assert latest(workspace.db, key, one) == latest(workspace.db, key, other) == newest


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (point(1.0, key=""), "has 0 characters"),
        (point(1.0, key="k" * 251), "has 251 characters"),
        (point(1.0, step=2**63), "does not fit 64 bits"),
    ],
)
def test_a_point_that_cannot_be_stored_takes_its_whole_batch_with_it(
    workspace: Workspace, bad: MetricPoint, problem: str
):
    start(workspace.db)
    with pytest.raises(BadPoint, match=problem) as caught:
        log(workspace.db, point(1.0), bad)
    assert caught.value.code == "TRACK-020"
    assert history(workspace.db) == []


def test_another_attempt_forgets_what_the_first_one_measured(workspace: Workspace):
    start(workspace.db)
    log(workspace.db, point(1.0))
    with workspace.db.write() as tx:
        record_artifact(tx, "run_1", "engine.log", digest=DIGEST, size_bytes=3)
    finish(workspace.db, state="failed", exit_reason="crashed")
    with workspace.db.write() as tx:
        again = store.restart_run(tx, "run_1", inputs=INPUTS, now_ms=20)
        assert artifacts_of(tx, "run_1") == {}
    with workspace.db.points.write() as tx:
        forget_points(tx, "run_1")
    assert (again.state, again.attempts, again.exit_reason) == ("running", 2, None)
    assert history(workspace.db) == []


def test_a_finished_run_is_not_attempted_again(workspace: Workspace):
    start(workspace.db)
    finish(workspace.db)
    with pytest.raises(RunEnded, match="be attempted again"), workspace.db.write() as tx:
        store.restart_run(tx, "run_1", inputs=INPUTS, now_ms=20)


def test_an_artifact_named_again_points_to_the_newer_bytes(workspace: Workspace):
    start(workspace.db)
    with workspace.db.write() as tx:
        record_artifact(tx, "run_1", "b.csv", digest=DIGEST, size_bytes=3)
        record_artifact(tx, "run_1", "a.csv", digest=DIGEST, size_bytes=3)
        record_artifact(tx, "run_1", "b.csv", digest=OTHER, size_bytes=4)
        assert artifacts_of(tx, "run_1") == {"a.csv": DIGEST, "b.csv": OTHER}
        assert [found.size_bytes for found in list_artifacts(tx, "run_1")] == [3, 4]


def test_runs_are_listed_newest_first_and_by_experiment_and_state(workspace: Workspace):
    start(workspace.db, "run_1", now_ms=1)
    start(workspace.db, "run_2", now_ms=2, experiment="shelves")
    start(workspace.db, "run_3", now_ms=2)
    finish(workspace.db, "run_1")
    with workspace.db.read() as tx:
        assert [run.id for run in store.list_runs(tx)] == ["run_3", "run_2", "run_1"]
        assert [run.id for run in store.list_runs(tx, experiment="shelves")] == ["run_2"]
        assert [run.id for run in store.list_runs(tx, state="running")] == ["run_3", "run_2"]


def test_pages_of_runs_neither_repeat_nor_skip_one(workspace: Workspace):
    for number in range(7):
        start(workspace.db, f"run_{number}", now_ms=number // 3)
    seen: list[str] = []
    with workspace.db.read() as tx:
        while page := store.list_runs(tx, before=seen[-1] if seen else None, limit=2):
            seen += [run.id for run in page]
        assert seen == [run.id for run in store.list_runs(tx)]
