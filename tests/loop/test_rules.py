import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.evaluation.gate import GateRules
from sightloop.loop.policy import ModelPolicy, Recipe
from sightloop.loop.rules import (
    StratumLoss,
    focus_of,
    gate_rules,
    stratum_with_enough_labels,
    train_request,
)


def losses(stratum: str, *values: float) -> list[StratumLoss]:
    return [StratumLoss(["", stratum], value) for value in values]


def request(recipe: Recipe, champion_run: str | None):
    return train_request(
        recipe,
        model="pcb",
        turn="turn_1",
        run="run_1",
        dataset_commit="c1",
        champion_run=champion_run,
        repeats={"line=b": 3},
    )


def test_the_focus_is_the_stratum_that_exceeds_the_reference_the_most_in_all():
    seen = losses("line=a", 0.3, 0.2) + losses("line=b", 0.9, 0.8, 0.7)
    assert focus_of(seen, reference_mean=0.25) == "line=b"


def test_one_unlucky_image_does_not_outweigh_a_line_that_keeps_failing():
    seen = losses("line=rare", 1.0) + losses("line=b", *[0.6] * 10)
    assert focus_of(seen, reference_mean=0.25) == "line=b"


def test_nothing_above_the_reference_has_no_focus():
    assert focus_of(losses("line=a", 0.1, 0.2), reference_mean=0.25) == ""


@given(st.permutations(losses("line=a", 0.4, 0.2) + losses("line=b", 0.9)))
def test_the_focus_does_not_depend_on_the_order_of_labels(seen):
    assert focus_of(seen, reference_mean=0.1) == "line=b"


def test_labels_start_a_turn_only_when_one_stratum_has_enough():
    assert stratum_with_enough_labels({"": 80, "line=a": 40, "line=b": 40}, after_labels=50) is None
    assert stratum_with_enough_labels({"": 60, "line=b": 50}, after_labels=50) == "line=b"


def test_a_limit_of_zero_never_starts_a_turn():
    assert stratum_with_enough_labels({"line=b": 10**6}, after_labels=0) is None


def test_every_stratum_the_champion_knows_is_protected_but_not_the_one_to_improve():
    policy = ModelPolicy(protect={"line": 0.1})
    rules = gate_rules(policy, strata=["", "line=a", "line=b", "site=x"], focus="line=b")
    assert rules.protected == {"line=a": 0.1}
    assert rules.better_on == ["line=b"]


def test_a_stratum_with_a_tolerance_of_its_own_keeps_it():
    policy = ModelPolicy(protect={"line": 0.1}, gate=GateRules(protected={"line=a": 0.02}))
    assert gate_rules(policy, strata=["line=a"], focus="").protected == {"line=a": 0.02}


@pytest.mark.parametrize(
    ("weights", "champion_run", "asked"),
    [
        ("champion", "run_0", "run:run_0"),
        ("champion", None, "starter"),
        ("yolo26n.yaml", "run_0", "yolo26n.yaml"),
    ],
)
def test_a_retraining_starts_from_the_champion_if_there_is_one(weights, champion_run, asked):
    assert request(Recipe(weights=weights), champion_run).weights == asked


def test_the_stratum_that_went_wrong_is_shown_more_often():
    assert request(Recipe(), "run_0").repeats == {"line=b": 3}
