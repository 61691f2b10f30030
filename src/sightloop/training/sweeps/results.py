"""What a sweep has found out: its best trials, how the best grew, what matters."""

from __future__ import annotations

import msgspec

from sightloop.kernel.database import Tx
from sightloop.training.sweeps import store
from sightloop.training.sweeps.importance import Importance, importances
from sightloop.training.sweeps.outcomes import best_so_far, best_trials
from sightloop.training.sweeps.values import Sweep, Trial, TrialState, tried_of


class SweepLine(msgspec.Struct, frozen=True, kw_only=True):
    """A sweep in a list."""

    sweep: Sweep
    counts: dict[TrialState, int]


class ObjectiveFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One objective over the trials so far."""

    metric: str
    best_so_far: list[tuple[int, float]]
    """(number of the trial, best value up to it)."""
    importances: list[Importance] | None
    """None while too few trials are complete."""


class SweepFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a sweep."""

    sweep: Sweep
    trials: list[Trial]
    best: list[int]
    """The best trials' numbers: with several objectives, those no other trial beats in all."""
    objectives: list[ObjectiveFacts]
    ran_s: float


def facts_of(tx: Tx, sweep: Sweep, *, now_ms: int) -> SweepFacts:
    """What is known of the sweep."""
    trials = store.trials_of(tx, sweep.id)
    tried = tried_of(trials)
    values = complete_values(trials)
    objectives = [
        ObjectiveFacts(
            metric=one.metric,
            best_so_far=best_so_far(
                {number: row[index] for number, row in values.items()}, one.direction
            ),
            importances=importances(
                sweep.spec.space, tried, objective=index, direction=one.direction
            ),
        )
        for index, one in enumerate(sweep.spec.objectives)
    ]
    return SweepFacts(
        sweep=sweep,
        trials=trials,
        best=best_trials(values, sweep.spec.directions),
        objectives=objectives,
        ran_s=sweep.ran_s(now_ms),
    )


def complete_values(trials: list[Trial]) -> dict[int, list[float]]:
    """The objectives' values of the trials that are complete, by number."""
    return {one.number: one.objectives for one in trials if one.objectives is not None}
