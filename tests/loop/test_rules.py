import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.datasets.values import Sample, SampleId
from sightloop.evaluation.gate import GateRules
from sightloop.kernel.digests import digest_of
from sightloop.loop.policy import ModelPolicy, Recipe
from sightloop.loop.rules import (
    StratumLoss,
    audits_to_retire,
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


def sample(number: int, *, line: str = "b", **fields) -> Sample:
    identity = f"{number:032x}"
    plain = {
        "id": SampleId(identity),
        "image": digest_of(identity.encode()),
        "width_px": 8,
        "height_px": 8,
        "media_type": "image/png",
        "file_name": "x.png",
        "split_key": f"board {number}",
        "slices": {"line": line},
        "reserved": "audit",
    }
    return Sample(**(plain | fields))


def retired(samples, share: float) -> list[str]:
    return audits_to_retire(samples, focus="line=b", share=share, salt="turn_1")


def test_about_the_share_of_the_audited_parts_of_the_focus_is_retired():
    keys = retired([sample(number) for number in range(400)], 0.5)
    assert 160 < len(keys) < 240


def test_asking_again_after_some_were_retired_adds_none():
    samples = [sample(number) for number in range(50)]
    first = set(retired(samples, 0.5))
    left = [one for one in samples if one.split_key not in first]
    assert retired(left, 0.5) == []


def test_only_audited_parts_of_the_focus_are_retired():
    others = [
        sample(1, line="a"),
        sample(2, reserved=None),
        sample(3, quarantined=True),
    ]
    assert retired(others, 1.0) == []
    assert audits_to_retire([sample(4)], focus="", share=1.0, salt="") == []


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
