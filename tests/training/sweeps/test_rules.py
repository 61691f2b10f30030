"""Who goes on, who is best, what a grid holds: rules without any store."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.tracking.values import MetricPoint
from sightloop.training.sweeps.halving import goes_on, rungs_of, value_at, verdict
from sightloop.training.sweeps.measuring import NoValue, reduce_points
from sightloop.training.sweeps.outcomes import best_so_far, best_trials, dominates
from sightloop.training.sweeps.space import grid_points, grid_trials, n_trials_of, request_of
from sightloop.training.sweeps.spec import Categorical, FloatRange, IntRange, Objective, SweepSpec

VALUES = st.floats(-10, 10).map(lambda value: round(value, 1))
DIRECTIONS = st.sampled_from(["maximize", "minimize"])


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_a_rung_lets_those_go_on_that_optuna_lets_go_on(direction: str, factor: int):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=factor)
    study = optuna.create_study(direction=direction, pruner=pruner)
    before: list[float] = []
    for value in np.random.default_rng(factor).permutation(40).tolist():
        trial = study.ask()
        trial.report(float(value), step=1)
        ours = goes_on(float(value), before, factor=factor, direction=direction)
        assert ours is not trial.should_prune()
        before.append(float(value))


@given(VALUES, st.lists(VALUES, max_size=20), st.integers(2, 5), DIRECTIONS)
def test_who_beats_all_others_always_goes_on(value, others, factor, direction):
    best = max(others, default=0) + 1 if direction == "maximize" else min(others, default=0) - 1
    assert goes_on(best, others, factor=factor, direction=direction)
    assert not goes_on(math.nan, others, factor=factor, direction=direction)


def test_what_is_not_a_number_beats_nobody():
    assert goes_on(0.1, [math.nan, math.nan, math.nan], factor=3, direction="maximize")
    assert "not a number" in verdict(math.nan, {}, rung=3, factor=3, direction="maximize")


def test_a_verdict_says_at_which_epoch_and_against_how_many():
    said = verdict(0.2, {0: 0.5, 1: 0.4}, rung=3, factor=3, direction="maximize")
    assert said == "0.2 after epoch 3 is not among the best 1 of the 3 trials that came that far"


def test_nobody_is_judged_after_the_last_epoch():
    assert rungs_of(min_epochs=1, factor=3, epochs=9) == [1, 3]
    assert rungs_of(min_epochs=5, factor=3, epochs=5) == []


def test_a_rung_takes_the_first_point_that_is_there_or_beyond():
    assert value_at([(1, 0.1), (3, 0.3), (4, 0.4)], 2) == 0.3
    assert value_at([(1, 0.1)], 2) is None


@given(
    st.dictionaries(st.integers(0, 30), st.tuples(VALUES, VALUES), min_size=1, max_size=15),
    st.tuples(DIRECTIONS, DIRECTIONS),
)
def test_whoever_is_not_best_is_beaten_by_one_that_is(values, directions):
    best = best_trials(values, directions)
    assert best
    for number, mine in values.items():
        beaten = any(dominates(values[other], mine, directions) for other in best)
        assert beaten is (number not in best)


@given(st.dictionaries(st.integers(0, 50), VALUES, min_size=1), DIRECTIONS)
def test_the_best_so_far_never_gets_worse_and_ends_with_the_best(values, direction):
    curve = [value for _, value in best_so_far(values, direction)]
    assert curve == sorted(curve, reverse=direction == "minimize")
    assert curve[-1] == (max if direction == "maximize" else min)(values.values())


def spec(**changes: object) -> SweepSpec:
    return SweepSpec(name="s", objectives=[Objective(metric="m")], **changes)


def test_a_grid_holds_every_point_once_and_only_what_counts():
    space = {
        "optimizer": Categorical(["SGD", "AdamW"]),
        "momentum": FloatRange(0.8, 1.0, step=0.1, when={"optimizer": "SGD"}),
        "n": IntRange(1, 5, step=3),
    }
    points = list(grid_trials(spec(space=space, sampler="grid")))
    assert len(points) == 3 * 2 + 2
    assert all(("momentum" in one) == (one["optimizer"] == "SGD") for one in points)
    assert grid_points(space["momentum"]) == pytest.approx([0.8, 0.9, 1.0])
    assert grid_points(space["n"]) == [1, 4]


def test_a_space_of_few_points_is_walked_once_whatever_was_asked_for():
    few = {"a": Categorical([1, 2]), "b": Categorical(["x", "y", "z"])}
    assert n_trials_of(spec(space=few, trials=100)) == 6
    assert n_trials_of(spec(space=few, trials=4)) == 4
    assert n_trials_of(spec(space={"a": FloatRange(0, 1)}, trials=100)) == 100


def test_a_setting_of_the_training_is_no_parameter_of_the_engine():
    made = spec(
        space={"epochs": IntRange(1, 5), "lr0": FloatRange(0, 1)}, fixed={"optimizer": "SGD"}
    )
    request = request_of(
        made, {"epochs": 3, "lr0": 0.5}, run="r", sweep="sweep_1", number=4, commit="c"
    )
    assert (request.epochs, request.batch_size) == (3, 16)
    assert request.parameters == {"optimizer": "SGD", "lr0": 0.5}
    assert (request.name, request.tags) == ("s 4", {"sweep": "sweep_1", "trial": "4"})


def points(*values: float) -> list[MetricPoint]:
    return [MetricPoint(key="m", value=v, step=s, at_ms=s) for s, v in enumerate(values)]


@pytest.mark.parametrize(
    ("objective", "values", "expected"),
    [
        (Objective(metric="m"), (0.1, math.nan, 0.3, 0.2), 0.3),
        (Objective(metric="m", direction="minimize"), (0.1, math.inf, -math.inf), 0.1),
        (Objective(metric="m", of="last"), (0.1, 0.3, 0.2), 0.2),
    ],
)
def test_a_curve_comes_to_one_value(objective, values, expected):
    assert reduce_points(objective, points(*values)) == expected


@pytest.mark.parametrize(
    ("objective", "values", "why"),
    [
        (Objective(metric="m"), (math.nan, math.inf), "never a finite number"),
        (Objective(metric="m", of="last"), (0.1, math.nan), "the last value of m is nan"),
        (Objective(metric="m"), (), "no metric 'm'"),
    ],
)
def test_a_curve_that_comes_to_nothing_says_why(objective, values, why):
    with pytest.raises(NoValue, match=why):
        reduce_points(objective, points(*values))
