"""A sweep that dies anywhere goes the way it would have gone, and counts every trial once."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import pytest

from sightloop.kernel import events, steps
from sightloop.kernel.config import Config
from sightloop.kernel.steps import Lane, Outcome, Step, StepState
from sightloop.kernel.worker import StepControl, StepWorker
from sightloop.kernel.workspace import Workspace
from sightloop.testing.blob_commits import commit_blobs
from sightloop.testing.faults import CrashPlan, SimulatedCrash, crashing
from sightloop.testing.workspaces import LOCAL_CALL, fresh_workspace
from sightloop.training.sweeps import store
from sightloop.training.sweeps.errors import (
    BadSweep,
    NoBestTrial,
    SweepKnown,
    SweepState,
    SweepUnknown,
)
from sightloop.training.sweeps.services import (
    ListSweeps,
    ResumeSweep,
    ShowSweep,
    StartSweep,
    StopSweep,
    find_best,
    list_sweeps,
    resume_sweep,
    show_sweep,
    start_sweep,
    stop_sweep,
)
from sightloop.training.sweeps.tending import TRIAL_STEP, tend, tend_sweeps
from sightloop.training.sweeps.trials import TrialStep, begin_trial, recording
from sightloop.training.sweeps.values import Trial
from tests.training.conftest import TINY

TEXT = """\
name: paper
engine: tiny
space:
  lr: {type: float, low: 0.0001, high: 0.1, log: true}
  n: {type: int, low: 1, high: 50}
objectives: [{metric: m, direction: minimize}]
trials: 14
seed: 3
"""
FEW = TEXT.replace("trials: 14", "trials: 3")


@pytest.fixture
def paper(tmp_path: Path):
    """A workspace where trials are made on paper: a function stands for training and measuring."""
    workspace = fresh_workspace(tmp_path / "paper", config=Config(training=TINY))
    commit_blobs(workspace, n_images=2)
    yield workspace
    workspace.db.close()


def start(workspace: Workspace, text: str = TEXT) -> None:
    start_sweep(workspace, LOCAL_CALL, StartSweep(sweep="sweep_1", text=text))


def on_paper(workspace: Workspace, step: Step, _control: StepControl) -> Outcome:
    """As `trial_step`, but nothing is trained."""
    begun = begin_trial(workspace, msgspec.convert(step.inputs, TrialStep))
    assert begun is not None
    trial = begun[1]
    assert trial.values is not None
    worth = [(trial.values["lr"] - 0.01) ** 2 + trial.values["n"]]
    ended = msgspec.structs.replace(trial, state="complete", objectives=worth)
    return Outcome({}, record=recording(workspace, ended))


def worker(workspace: Workspace, owner: str = "w1") -> StepWorker:
    return StepWorker(
        workspace, {TRIAL_STEP: on_paper}, owner=owner, lane=Lane.SWEEP, stopping=threading.Event()
    )


def work(workspace: Workspace) -> None:
    while worker(workspace).run_next() is not None:
        pass


def after_lease(workspace: Workspace) -> None:
    workspace.clock.advance(workspace.config.worker.lease_s + 1)


def trials(workspace: Workspace) -> list[Trial]:
    with workspace.db.read() as tx:
        return store.trials_of(tx, "sweep_1")


def told(workspace: Workspace, kind: str) -> int:
    with workspace.db.read() as tx:
        return sum(one.kind == kind for one in events.history(tx, subject="sweep_1"))


def path(workspace: Workspace) -> list[tuple[object, object]]:
    return [(one.values, one.objectives) for one in trials(workspace)]


def test_a_crash_before_any_write_changes_nothing_about_where_the_sweep_goes(tmp_path, paper):
    start(paper)
    work(paper)
    straight = path(paper)
    assert len(straight) == 14
    workspace = fresh_workspace(tmp_path / "broken", config=Config(training=TINY))
    commit_blobs(workspace, n_images=2)
    start(workspace)
    for before_write in range(200):
        plan = CrashPlan(before_write=before_write % 4)
        try:
            work(crashing(workspace, plan))
            break
        except SimulatedCrash:
            after_lease(workspace)
    assert path(workspace) == straight
    assert before_write > 14
    assert told(workspace, "sweep.trial_ended") == 14
    assert told(workspace, "sweep.ended") == 1
    workspace.db.close()


def test_a_crash_while_it_is_started_leaves_no_sweep_or_a_whole_one(paper):
    plan = CrashPlan(before_write=0)
    with pytest.raises(SimulatedCrash):
        start(crashing(paper, plan))
    assert list_sweeps(paper, LOCAL_CALL, ListSweeps()).sweeps == []
    start(paper)
    start(paper)  # asked for again, it is the same
    assert len(trials(paper)) == 1
    with pytest.raises(SweepKnown) as caught:
        start(paper, FEW)
    assert caught.value.code == "TRAIN-072"


@pytest.mark.parametrize("sampler", ["random", "grid"])
def test_two_at_a_time_try_what_one_at_a_time_would(tmp_path, paper, sampler):
    text = FEW.replace("seed: 3", f"seed: 3\nsampler: {sampler}\n")
    if sampler == "grid":
        text = text.replace("low: 0.0001, high: 0.1, log: true", "low: 0, high: 1, step: 0.5")
    start(paper, text)
    work(paper)
    two = fresh_workspace(tmp_path / "two", config=Config(training=TINY))
    commit_blobs(two, n_images=2)
    start(two, text + "parallel: 2\n")
    assert len(trials(two)) == 2
    work(two)
    assert path(two) == path(paper)
    two.db.close()


def test_never_more_trials_than_wanted_are_open_or_made(paper):
    start(paper, TEXT + "parallel: 3\n")
    most = 0
    while worker(paper).run_next() is not None:
        tend_sweeps(paper)
        most = max(most, sum(one.is_open for one in trials(paper)))
        assert len(trials(paper)) <= 14
    assert most == 3
    assert [one.state for one in trials(paper)] == ["complete"] * 14


def test_two_that_choose_at_once_choose_differently(paper):
    start(paper, TEXT + "parallel: 2\n")
    first = begin_trial(paper, TrialStep(sweep="sweep_1", number=0, go=0))
    second = begin_trial(paper, TrialStep(sweep="sweep_1", number=1, go=0))
    again = begin_trial(paper, TrialStep(sweep="sweep_1", number=0, go=0))
    assert first
    assert second
    assert again
    assert first[1].values != second[1].values
    assert again[1].values == first[1].values


def test_a_stopped_sweep_goes_on_with_the_values_it_had(paper):
    start(paper, FEW)
    worker(paper).run_next()
    taken = begin_trial(paper, TrialStep(sweep="sweep_1", number=1, go=0))
    stopped = stop_sweep(paper, LOCAL_CALL, StopSweep(sweep="sweep_1", reason="lunch"))
    assert (stopped.state, stopped.ended_because) == ("stopped", "lunch")
    with pytest.raises(SweepState, match="is stopped and cannot be stopped"):
        stop_sweep(paper, LOCAL_CALL, StopSweep(sweep="sweep_1"))
    resumed = resume_sweep(paper, LOCAL_CALL, ResumeSweep(sweep="sweep_1"))
    assert (resumed.state, resumed.go) == ("running", 1)
    # The step of the earlier go finds that it is no longer wanted.
    assert begin_trial(paper, TrialStep(sweep="sweep_1", number=1, go=0)) is None
    again = begin_trial(paper, TrialStep(sweep="sweep_1", number=1, go=1))
    assert again
    assert taken
    assert again[1].values == taken[1].values


def test_the_end_of_an_earlier_go_overwrites_nothing(paper):
    start(paper, FEW)
    begun = begin_trial(paper, TrialStep(sweep="sweep_1", number=0, go=0))
    assert begun
    late = recording(paper, msgspec.structs.replace(begun[1], state="stopped"))
    stop_sweep(paper, LOCAL_CALL, StopSweep(sweep="sweep_1"))
    resume_sweep(paper, LOCAL_CALL, ResumeSweep(sweep="sweep_1"))
    with paper.db.write() as tx:
        late(tx)
    assert trials(paper)[0].state == "waiting"


def test_a_sweep_that_is_over_goes_on_only_when_it_gets_more(paper):
    start(paper, FEW)
    work(paper)
    with pytest.raises(
        SweepState, match="all 3 trials were made; give it more with --trials"
    ) as one:
        resume_sweep(paper, LOCAL_CALL, ResumeSweep(sweep="sweep_1"))
    assert one.value.code == "TRAIN-073"
    with pytest.raises(BadSweep, match="trials is '0'"):
        resume_sweep(paper, LOCAL_CALL, ResumeSweep(sweep="sweep_1", trials=0))
    resume_sweep(paper, LOCAL_CALL, ResumeSweep(sweep="sweep_1", trials=5))
    work(paper)
    facts = show_sweep(paper, LOCAL_CALL, ShowSweep(sweep="sweep_1"))
    assert (len(facts.trials), facts.sweep.ended_because) == (5, "all 5 trials were made")


def test_time_that_a_sweep_stands_still_is_not_counted(paper):
    start(paper, FEW + "time_limit_s: 100\n")
    paper.clock.advance(60)
    stop_sweep(paper, LOCAL_CALL, StopSweep(sweep="sweep_1"))
    paper.clock.advance(1000)
    resumed = resume_sweep(paper, LOCAL_CALL, ResumeSweep(sweep="sweep_1"))
    assert resumed.ran_s(paper.clock.now_ms()) == pytest.approx(60)
    paper.clock.advance(41)
    tend_sweeps(paper)
    facts = show_sweep(paper, LOCAL_CALL, ShowSweep(sweep="sweep_1"))
    assert facts.sweep.state == "finished"
    assert facts.sweep.ended_because == "the time limit of 100 s was reached"
    with pytest.raises(SweepState, match="it ran for 101 s; give it more with --time-limit-s"):
        resume_sweep(paper, LOCAL_CALL, ResumeSweep(sweep="sweep_1"))


def test_a_trial_whose_step_was_given_up_has_failed_and_the_sweep_goes_on(paper):
    start(paper, FEW)
    for _ in range(steps.MAX_ATTEMPTS):
        with paper.db.write() as tx:
            step = steps.lease_next(
                tx, owner="w", lane=Lane.SWEEP, now_ms=paper.clock.now_ms(), lease_ms=1000
            )
            assert step is not None
            state = steps.fail(
                tx, step.key, owner="w", error="boom", retry=True, now_ms=paper.clock.now_ms()
            )
        paper.clock.advance(600)
    assert state is StepState.FAILED
    tend_sweeps(paper)
    first, second = trials(paper)
    assert (first.state, first.reason, second.state) == ("failed", "boom", "waiting")


def test_a_sweep_in_which_nothing_succeeds_gives_up(paper):
    start(paper, TEXT + "give_up_after: 2\n")
    for number in range(2):
        failed = msgspec.structs.replace(trials(paper)[number], state="failed", reason="no memory")
        with paper.db.write() as tx:
            store.change_trial(tx, failed)
            tend(tx, "sweep_1", now_ms=paper.clock.now_ms())
    facts = show_sweep(paper, LOCAL_CALL, ShowSweep(sweep="sweep_1"))
    assert facts.sweep.state == "failed"
    assert facts.sweep.ended_because == "2 trials failed and none succeeded; the last: no memory"
    with pytest.raises(NoBestTrial, match="2 of its trials have ended and none is complete"):
        find_best(paper, LOCAL_CALL, ShowSweep(sweep="sweep_1"))


def test_looking_after_a_sweep_that_needs_nothing_writes_nothing(paper):
    start(paper)
    plan = CrashPlan()
    assert tend_sweeps(crashing(paper, plan)) == 1
    assert plan.n_writes == 0


def test_a_sweep_that_is_none_is_named(paper):
    with pytest.raises(SweepUnknown, match="there is no sweep 'sweep_x'") as caught:
        show_sweep(paper, LOCAL_CALL, ShowSweep(sweep="sweep_x"))
    assert caught.value.code == "TRAIN-071"
    with pytest.raises(BadSweep, match=r"id is '\.\./x'"):
        start_sweep(paper, LOCAL_CALL, StartSweep(sweep="../x", text=TEXT))
