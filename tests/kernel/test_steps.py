import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.kernel import events, steps
from sightloop.kernel.actors import LOCAL
from sightloop.kernel.database import Database, Tx
from sightloop.kernel.errors import NotFound
from sightloop.kernel.events import EventKind
from sightloop.kernel.steps import Lane, LeaseLost, Outcome, StepSpec, StepState
from sightloop.kernel.workspace import Workspace

pytestmark = pytest.mark.both_databases

SPEC = StepSpec("train", 1, {"commit": "c1"}, Lane.HEAVY)


def ask(db: Database, spec: StepSpec = SPEC) -> steps.Step:
    with db.write() as tx:
        return steps.ask_for(tx, spec, now_ms=0)


def lease(db: Database, owner: str = "w1", *, now_ms: int = 0) -> steps.Step | None:
    with db.write() as tx:
        return steps.lease_next(tx, owner=owner, lane=Lane.HEAVY, now_ms=now_ms, lease_ms=100)


def finish(db: Database, owner: str = "w1", outcome: Outcome | None = None) -> None:
    with db.write() as tx:
        steps.finish(tx, SPEC.key, outcome or Outcome({"run": "r1"}), owner=owner, now_ms=9)


def state(db: Database) -> StepState:
    with db.read() as tx:
        return steps.get(tx, SPEC.key).state


inputs = st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=4)


@given(inputs, st.randoms())
def test_the_key_of_a_step_ignores_the_order_of_its_inputs(values, random):
    shuffled = list(values.items())
    random.shuffle(shuffled)
    assert StepSpec("a", 1, dict(shuffled)).key == StepSpec("a", 1, values).key


@given(inputs, inputs)
def test_different_inputs_make_different_steps(first, second):
    same = StepSpec("a", 1, first).key == StepSpec("a", 1, second).key
    assert same == (first == second)


def test_a_new_version_of_a_step_is_another_step():
    assert StepSpec("a", 1, {}).key != StepSpec("a", 2, {}).key


def test_asking_twice_makes_one_step(workspace: Workspace):
    assert ask(workspace.db) == ask(workspace.db)
    with workspace.db.read() as tx:
        assert len(steps.every(tx)) == 1


def test_two_workers_never_hold_the_same_step(workspace: Workspace):
    ask(workspace.db)
    assert lease(workspace.db, "w1") is not None
    assert lease(workspace.db, "w2") is None


def test_a_worker_of_another_lane_does_not_take_it(workspace: Workspace):
    ask(workspace.db)
    with workspace.db.write() as tx:
        taken = steps.lease_next(tx, owner="w", lane=Lane.QUICK, now_ms=0, lease_ms=100)
    assert taken is None


def test_a_silent_worker_loses_the_step_when_its_lease_ends(workspace: Workspace):
    ask(workspace.db)
    lease(workspace.db, "w1")
    assert lease(workspace.db, "w2", now_ms=99) is None
    taken = lease(workspace.db, "w2", now_ms=100)
    assert taken is not None
    assert taken.attempt == 2


def test_a_worker_that_renews_keeps_the_step(workspace: Workspace):
    ask(workspace.db)
    lease(workspace.db, "w1")
    with workspace.db.write() as tx:
        steps.renew(tx, SPEC.key, owner="w1", now_ms=50, lease_ms=100)
    assert lease(workspace.db, "w2", now_ms=120) is None


def test_what_a_worker_did_after_losing_its_lease_is_discarded(workspace: Workspace):
    ask(workspace.db)
    lease(workspace.db, "w1")
    lease(workspace.db, "w2", now_ms=100)
    with pytest.raises(LeaseLost, match="w1 no longer holds step train:"):
        finish(workspace.db, "w1")
    assert state(workspace.db) is StepState.RUNNING


def test_a_finished_step_is_never_leased_again(workspace: Workspace):
    ask(workspace.db)
    lease(workspace.db)
    finish(workspace.db)
    assert lease(workspace.db, "w2", now_ms=10_000) is None
    assert ask(workspace.db).output == {"run": "r1"}


def test_the_record_of_a_step_and_its_end_are_one_transaction(workspace: Workspace):
    def record(tx: Tx) -> None:
        events.tell(tx, EventKind("run.finished"), "r1", by=LOCAL, at_ms=9)
        raise OSError("the disk is gone")

    ask(workspace.db)
    lease(workspace.db)
    with pytest.raises(OSError, match="disk"):
        finish(workspace.db, outcome=Outcome({}, record))
    assert state(workspace.db) is StepState.RUNNING
    with workspace.db.read() as tx:
        assert events.history(tx) == []


def test_a_failed_attempt_waits_longer_each_time_and_then_the_step_has_failed(
    workspace: Workspace,
):
    ask(workspace.db)
    due_ms = []
    now_ms = 0
    for _ in range(steps.MAX_ATTEMPTS):
        assert lease(workspace.db, now_ms=now_ms) is not None
        with workspace.db.write() as tx:
            steps.fail(tx, SPEC.key, owner="w1", error="no", retry=True, now_ms=now_ms)
            due_ms.append(steps.get(tx, SPEC.key).not_before_ms - now_ms)
        now_ms += due_ms[-1]
    assert due_ms == [2_000, 8_000, 32_000]
    assert state(workspace.db) is StepState.FAILED


def test_bad_input_is_not_tried_again(workspace: Workspace):
    ask(workspace.db)
    lease(workspace.db)
    with workspace.db.write() as tx:
        after = steps.fail(tx, SPEC.key, owner="w1", error="no", retry=False, now_ms=0)
    assert after is StepState.FAILED


def test_a_failed_step_can_be_tried_again_once_its_cause_is_mended(workspace: Workspace):
    ask(workspace.db)
    lease(workspace.db)
    with workspace.db.write() as tx:
        steps.fail(tx, SPEC.key, owner="w1", error="no", retry=False, now_ms=0)
        steps.try_again(tx, SPEC.key)
    assert lease(workspace.db) is not None


def test_trying_again_a_step_that_has_not_failed_is_refused(workspace: Workspace):
    ask(workspace.db)
    with workspace.db.write() as tx, pytest.raises(NotFound, match="no failed step"):
        steps.try_again(tx, SPEC.key)


def test_a_step_that_takes_its_workers_with_it_is_given_up(workspace: Workspace):
    ask(workspace.db)
    for turn in range(steps.MAX_LEASES):
        assert lease(workspace.db, f"w{turn}", now_ms=turn * 100) is not None
    assert lease(workspace.db, "last", now_ms=10_000) is None
    assert state(workspace.db) is StepState.FAILED


def test_an_interrupted_step_is_due_at_once_and_not_blamed(workspace: Workspace):
    ask(workspace.db)
    lease(workspace.db)
    with workspace.db.write() as tx:
        steps.give_back(tx, SPEC.key, owner="w1")
    taken = lease(workspace.db, "w2")
    assert taken is not None
    assert taken.attempt == 1
