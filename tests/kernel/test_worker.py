import threading

import pytest

from sightloop.kernel import events, steps
from sightloop.kernel.errors import BadInput, Unavailable
from sightloop.kernel.steps import Lane, Outcome, Step, StepSpec, StepState
from sightloop.kernel.worker import Interrupted, StepControl, StepHandler, StepWorker
from sightloop.kernel.workspace import Workspace
from sightloop.testing.clock import ManualClock

SPEC = StepSpec("count", 1, {"n": 3})


class Broken(BadInput):
    code = "TEST-1"


class Away(Unavailable):
    code = "TEST-2"


def run(workspace: Workspace, handler: StepHandler) -> Step:
    with workspace.db.write() as tx:
        steps.ask_for(tx, SPEC, now_ms=workspace.clock.now_ms())
    worker = StepWorker(
        workspace, {"count": handler}, owner="w", lane=Lane.QUICK, stopping=threading.Event()
    )
    worker.run_next()
    with workspace.db.read() as tx:
        return steps.get(tx, SPEC.key)


def test_a_worker_runs_a_due_step_and_keeps_its_output(workspace: Workspace):
    step = run(workspace, lambda _w, step, _c: Outcome({"twice": step.inputs["n"] * 2}))
    assert (step.state, step.output, step.runs) == (StepState.DONE, {"twice": 6}, 1)


def test_a_worker_with_nothing_to_do_says_so(workspace: Workspace):
    worker = StepWorker(workspace, {}, owner="w", lane=Lane.QUICK, stopping=threading.Event())
    assert worker.run_next() is None


def test_bad_input_fails_the_step_and_tells_an_event_with_the_reason(workspace: Workspace):
    def handler(_w: Workspace, _s: Step, _c: StepControl) -> Outcome:
        raise Broken("the folder is empty")

    assert run(workspace, handler).state is StepState.FAILED
    with workspace.db.read() as tx:
        (told,) = events.history(tx)
    assert told.kind == "step.failed"
    assert told.data["error"] == "TEST-1 the folder is empty"


@pytest.mark.parametrize("error", [Away("later"), ValueError("a bug")])
def test_what_may_pass_is_tried_again(workspace: Workspace, error: Exception):
    def handler(_w: Workspace, _s: Step, _c: StepControl) -> Outcome:
        raise error

    step = run(workspace, handler)
    assert step.state is StepState.WAITING
    assert step.error is not None
    assert str(error) in step.error


def test_an_interrupted_handler_gives_the_step_back(workspace: Workspace):
    def handler(_w: Workspace, step: Step, _c: StepControl) -> Outcome:
        raise Interrupted(key=step.key)

    assert run(workspace, handler).state is StepState.WAITING


def test_progress_is_told_until_the_worker_must_stop_and_then_interrupts(workspace: Workspace):
    with workspace.db.write() as tx:
        step = steps.ask_for(tx, SPEC, now_ms=0)
    seen: list[tuple[str, int, int]] = []
    stopping = threading.Event()
    control = StepControl(stopping, progress=lambda *said: seen.append(said))
    tell = control.progress_of(step)
    tell("images", 1, 2)
    stopping.set()
    with pytest.raises(Interrupted, match=step.key):
        tell("images", 2, 2)
    assert seen == [("images", 1, 2)]


def test_a_step_nobody_can_run_fails_with_advice(workspace: Workspace):
    with workspace.db.write() as tx:
        steps.ask_for(tx, SPEC, now_ms=0)
    StepWorker(workspace, {}, owner="w", lane=Lane.QUICK, stopping=threading.Event()).run_next()
    with workspace.db.read() as tx:
        error = steps.get(tx, SPEC.key).error
    assert error is not None
    assert "update this worker" in error


def test_a_worker_that_lost_its_lease_changes_nothing(workspace: Workspace, clock: ManualClock):
    def handler(_w: Workspace, _s: Step, _c: StepControl) -> Outcome:
        clock.advance(3600)
        with workspace.db.write() as tx:
            taken = steps.lease_next(
                tx, owner="other", lane=Lane.QUICK, now_ms=clock.now_ms(), lease_ms=1000
            )
            assert taken is not None
        return Outcome({"late": True})

    step = run(workspace, handler)
    assert (step.state, step.owner, step.output) == (StepState.RUNNING, "other", None)
