"""A sweep goes from its declaration to its best trial, and every trial is a run."""

import pytest

from sightloop.kernel import events
from sightloop.testing.workspaces import LOCAL_CALL
from sightloop.tracking import store as tracking
from sightloop.tracking.labels import tags_of
from sightloop.training.sweeps.services import ShowSweep, find_best
from tests.training.sweeps.conftest import begun, quick, shown, worked

pytestmark = pytest.mark.processes


def test_every_trial_is_a_run_and_the_best_is_found(training, declared, starts):
    begun(training, declared())
    sweep = worked(quick(training))
    facts = shown(training)
    assert (sweep.state, sweep.ended_because) == ("finished", "all 3 trials were made")
    assert [one.state for one in facts.trials] == ["complete"] * 3
    assert [one.objectives[0] for one in facts.trials] == [
        pytest.approx(one.values["skill"]) for one in facts.trials
    ]
    best = max(facts.trials, key=lambda one: one.values["skill"])
    assert facts.best == [best.number]
    assert find_best(training, LOCAL_CALL, ShowSweep(sweep="sweep_1")).trials == [best]
    assert starts.read_bytes() == b"..."
    with training.db.read() as tx:
        run = tracking.find_run(tx, best.run)
        assert tags_of(tx, best.run) == {"sweep": "sweep_1", "trial": str(best.number)}
        told = [event.kind for event in events.history(tx, subject="sweep_1")]
    assert (run.experiment, run.state) == ("skills", "finished")
    assert float(run.inputs.parameters["parameters.skill"]) == best.values["skill"]
    assert told == ["sweep.started", *["sweep.trial_ended"] * 3, "sweep.ended"]
