"""A sweep can be watched, stopped and gone on with, whatever became of its trials."""

from __future__ import annotations

import math

import msgspec
import pytest

from sightloop.kernel.actors import Role
from sightloop.kernel.digests import Digest
from sightloop.testing.blob_commits import commit_blobs
from sightloop.training.sweeps import store
from sightloop.training.sweeps.declaring import declare_sweep
from sightloop.training.sweeps.tending import ask_for_trial
from sightloop.training.sweeps.values import ENDED, Sweep, Trial
from tests.server.console.plant import assert_open_to_everybody

MARKUP = "<img src=x onerror=alert(1)>"
TEXT = """
name: which rate
engine: yolo26
fixed: {optimizer: SGD}
space:
  lr0: {type: float, low: 1e-4, high: 0.1, log: true}
  batch_size: {type: categorical, choices: [8, 16, 32]}
  mosaic: {type: float, low: 0, high: 1, when: {batch_size: [8, 16]}}
objectives:
  - metric: metrics/mAP50-95(B)
  - {metric: latency_ms, direction: minimize}
trials: 40
"""


@pytest.fixture
def commit(workspace) -> Digest:
    return commit_blobs(workspace, n_images=2)


@pytest.fixture
def make_sweep(workspace, commit):
    """Writes a sweep with trials in these states."""

    def make(states: list[str], *, sweep: str = "sweep_1", text: str = TEXT, **changes) -> Sweep:
        spec = declare_sweep(text, where="", flags={})
        made = Sweep(
            id=sweep,
            spec=spec,
            dataset_commit=commit,
            n_trials=spec.trials,
            time_limit_s=0,
            state="running",
            ended_because="",
            go=0,
            spent_ms=0,
            created_at_ms=workspace.clock.now_ms() - 90_000,
            resumed_at_ms=workspace.clock.now_ms() - 90_000,
            ended_at_ms=None,
        )
        made = msgspec.structs.replace(made, **changes)
        with workspace.db.write() as tx:
            store.add_sweep(tx, made)
            for number, state in enumerate(states):
                trial = trial_of(made, number, state)
                store.add_trial(tx, trial)
                asked = ask_for_trial(tx, made, trial, now_ms=1)
                store.change_trial(tx, msgspec.structs.replace(trial, step=asked.step))
        return made

    return make


def trial_of(sweep: Sweep, number: int, state: str) -> Trial:
    rate = 10 ** (-4 + 3 * ((number * 7) % 20) / 20)
    batch = (8, 16, 32)[number % 3]
    worth = [0.5 - (math.log10(rate) + 2) ** 2 / 10 + batch / 1000, 4 + batch / 4 + number % 5]
    values = {"lr0": rate, "batch_size": batch, **({"mosaic": 0.5} if batch < 32 else {})}
    return Trial(
        sweep=sweep.id,
        number=number,
        run=f"{sweep.id}_{number}",
        state=state,
        step="",
        values=None if state == "waiting" else values,
        rungs={},
        objectives=worth[: len(sweep.spec.objectives)] if state == "complete" else None,
        prune_reason="",
        reason="it was behind" if state == "pruned" else "",
        began_at_ms=None if state == "waiting" else 1,
        ended_at_ms=2 if state in ENDED else None,
    )


MIXED = ["complete"] * 20 + ["pruned", "failed", "stopped", "running", "waiting"]


def test_without_a_sweep_the_list_says_how_to_begin(visitor):
    page = visitor.get("/sweeps").text
    assert "No sweep yet" in page
    assert "sightloop sweep start sweep.yaml" in page
    assert 'href="/sweeps"' in visitor.get("/runs").text


def test_the_list_says_how_far_each_is(visitor, make_sweep):
    make_sweep(MIXED)
    page = visitor.get("/sweeps").text
    assert "which rate" in page
    assert "22 of 40" in page
    assert "maximize metrics/mAP50-95(B), minimize latency_ms" in page


def test_a_sweep_shows_its_front_its_growth_and_what_matters(visitor, make_sweep):
    make_sweep(MIXED)
    page = visitor.get("/sweeps/sweep_1").text
    assert "Pareto front" in page
    assert "best so far" in page
    assert "How much each setting matters for latency_ms" in page
    assert "Settings of the trials and what came out" in page
    assert "20 complete, 1 pruned, 1 failed, 1 stopped, 1 running, 1 waiting" in page
    assert 'href="/runs/sweep_1_3"' in page
    assert "it was behind" in page
    assert "every 5s" in page


def test_one_objective_needs_no_front(visitor, make_sweep):
    text = TEXT.replace("  - {metric: latency_ms, direction: minimize}\n", "")
    make_sweep(["complete"] * 3, text=text)
    page = visitor.get("/sweeps/sweep_1").text
    assert "Pareto" not in page
    assert "once 10 trials are complete" in page


def test_before_anything_is_complete_the_page_says_what_it_waits_for(visitor, make_sweep):
    make_sweep(["running", "waiting"])
    page = visitor.get("/sweeps/sweep_1").text
    assert "No trial is complete yet" in page
    assert "sightloop sweep run sweep_1" in page
    assert "not chosen yet" in page


def test_a_sweep_that_failed_says_why_and_offers_nothing(visitor, make_sweep):
    make_sweep(["failed"] * 2, state="failed", ended_because="2 trials failed", ended_at_ms=5)
    page = visitor.get("/sweeps/sweep_1").text
    assert "2 trials failed" in page
    assert "No trial was completed" in page
    assert "Go on with the sweep" not in page
    assert "every 5s" not in page


def test_who_may_train_stops_a_sweep_and_goes_on_with_it(workspace, visitor_as, make_sweep):
    make_sweep(["complete", "stopped"])
    engineer = visitor_as(Role.ENGINEER)
    assert engineer.post("/sweeps/sweep_1/stop").status_code == 303
    page = engineer.get("/sweeps/sweep_1").text
    assert "stopped by engineer-person" in page
    assert engineer.post("/sweeps/sweep_1/resume").status_code == 303
    with workspace.db.read() as tx:
        assert store.find_sweep(tx, "sweep_1").state == "running"
        assert store.find_trial(tx, "sweep_1", 1).state == "waiting"


def test_who_may_only_look_gets_no_button_and_is_refused(visitor_as, make_sweep):
    make_sweep(MIXED)
    viewer = visitor_as(Role.VIEWER)
    assert "Stop the sweep" not in viewer.get("/sweeps/sweep_1").text
    assert viewer.post("/sweeps/sweep_1/stop").status_code == 403


def test_a_sweep_that_is_none_is_not_found(visitor):
    answer = visitor.get("/sweeps/sweep_x")
    assert answer.status_code == 404
    assert "TRAIN-071" in answer.text


def test_markup_in_names_and_settings_is_shown_harmlessly(visitor, make_sweep):
    text = TEXT.replace("which rate", f"'{MARKUP}'").replace(
        "optimizer: SGD", f"optimizer: '{MARKUP}'"
    )
    make_sweep(MIXED, text=text.replace("metrics/mAP50-95(B)", f"'{MARKUP}'"))
    for address in ("/sweeps", "/sweeps/sweep_1"):
        page = visitor.get(address).text
        assert MARKUP not in page
        assert "&lt;img src=x" in page


def test_a_thousand_trials_are_shown_in_pages(visitor, make_sweep):
    make_sweep(["complete"] * 250, text=TEXT.replace("trials: 40", "trials: 1000"))
    first = visitor.get("/sweeps/sweep_1").text
    assert "Older trials" in first
    assert 'href="/runs/sweep_1_249"' in first
    older = visitor.get("/sweeps/sweep_1?before=50").text
    assert 'href="/runs/sweep_1_49"' in older
    assert "Newest trials" in older
    assert len(first) < 600_000


def test_events_of_sweeps_are_told_in_words(visitor, visitor_as, make_sweep):
    make_sweep(MIXED)
    visitor_as(Role.ENGINEER).post("/sweeps/sweep_1/stop")
    assert "Sweep which rate is stopped: stopped by engineer-person" in visitor.get("/").text


@pytest.mark.processes
@pytest.mark.parametrize("path", ["/sweeps", "/sweeps/sweep_1", "/sweeps/sweep_2"])
def test_nobody_is_kept_out_by_how_it_looks(tab, make_sweep, path: str):
    make_sweep(MIXED)
    make_sweep(["failed"], sweep="sweep_2", state="failed", ended_because="no memory")
    assert_open_to_everybody(tab, path)


@pytest.mark.processes
def test_an_open_page_hears_of_trials_that_ended(tab, workspace, make_sweep):
    from sightloop.kernel.actors import LOCAL
    from sightloop.training.sweeps.tending import end_trial
    from tests.server.console.conftest import wait_until_live

    sweep = make_sweep(["complete", "running"])
    tab.goto("/sweeps/sweep_1")
    wait_until_live(tab)
    with workspace.db.write() as tx:
        ended = trial_of(sweep, 1, "pruned")
        step = store.find_trial(tx, "sweep_1", 1).step
        end_trial(tx, msgspec.structs.replace(ended, step=step), by=LOCAL, now_ms=5)
    tab.get_by_text("1 complete, 1 pruned").wait_for(timeout=4000)
