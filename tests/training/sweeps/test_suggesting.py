"""Suggestions follow from the seed, the number and what was tried; nothing is tried twice."""

import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightloop.training.sweeps.importance import MIN_TRIALS, importances
from sightloop.training.sweeps.spec import Categorical, FloatRange, IntRange, Objective, SweepSpec
from sightloop.training.sweeps.suggesting import Tried, suggest

SPACE = {
    "optimizer": Categorical(["SGD", "AdamW"]),
    "lr": FloatRange(1e-4, 0.1, log=True),
    "momentum": FloatRange(0.5, 0.95, step=0.1, when={"optimizer": "SGD"}),
    "n": IntRange(1, 64, log=True),
}


def spec(**changes: object) -> SweepSpec:
    fields = {"space": SPACE, "objectives": [Objective(metric="m")], **changes}
    return SweepSpec(name="s", **fields)


def worth(values: dict[str, object]) -> list[float]:
    return [-((float(values["lr"]) - 0.01) ** 2)]


def searched(made: SweepSpec, n: int) -> list[Tried]:
    tried: list[Tried] = []
    for number in range(n):
        values = suggest(made, number, tried)
        tried.append(Tried(values=values, state="complete", objectives=worth(values)))
    return tried


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_equal_seeds_search_alike_and_others_do_not(sampler):
    assert searched(spec(sampler=sampler), 13) == searched(spec(sampler=sampler), 13)
    assert searched(spec(sampler=sampler), 2) != searched(spec(sampler=sampler, seed=1), 2)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31 - 1), st.integers(0, 40))
def test_a_suggestion_lies_in_the_space_and_has_what_counts(seed, number):
    values = suggest(spec(seed=seed), number, [])
    assert 1e-4 <= values["lr"] <= 0.1
    assert values["n"] in range(1, 65)
    assert ("momentum" in values) == (values["optimizer"] == "SGD")
    assert list(values) == [name for name in SPACE if name in values]


def test_the_tree_of_estimators_finds_the_place_where_it_is_good():
    found = [one.values["lr"] for one in searched(spec(), 40)]
    assert sum(0.003 < lr < 0.03 for lr in found[20:]) > sum(0.003 < lr < 0.03 for lr in found[:20])


def test_a_small_space_is_tried_point_by_point():
    made = spec(space={"a": Categorical([1, 2, 3]), "b": Categorical(["x", "y"])})
    tried: list[Tried] = []
    for number in range(6):
        values = suggest(made, number, tried)
        tried.append(Tried(values=values, state="complete", objectives=[1.0]))
    assert len({repr(one.values) for one in tried}) == 6


def test_trials_under_way_change_what_is_suggested_next():
    tried = searched(spec(), 12)
    pending = Tried(values=suggest(spec(), 12, tried), state="pending")
    assert suggest(spec(), 13, [*tried, pending]) != suggest(spec(), 13, tried)


@pytest.mark.parametrize("n_objectives", [1, 2])
def test_whatever_became_of_trials_the_next_can_be_suggested_without_a_warning(n_objectives):
    made = spec(objectives=[Objective(metric=f"m{i}") for i in range(n_objectives)])
    tried = [
        msg_replace(one, state=state, objectives=one.objectives * n_objectives, rungs={1: 0.5})
        for one, state in zip(
            searched(spec(), 16), ["complete", "complete", "pruned", "failed"] * 4, strict=True
        )
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert suggest(made, 16, tried)


def msg_replace(one: Tried, **changes: object) -> Tried:
    import msgspec

    return msgspec.structs.replace(one, **changes)


def test_what_decides_is_the_most_important():
    found = importances(
        SPACE, searched(spec(sampler="random"), 40), objective=0, direction="maximize"
    )
    assert found is not None
    assert found[0].name == "lr"
    assert sum(one.share for one in found) == pytest.approx(1)
    assert {one.name for one in found} == {"optimizer", "lr", "n"}


def test_too_few_trials_say_nothing_about_importance():
    few = searched(spec(), MIN_TRIALS - 1)
    assert importances(SPACE, few, objective=0, direction="maximize") is None
