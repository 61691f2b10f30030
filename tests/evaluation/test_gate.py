"""The gate's rules: each outcome, its reason, and how often chance deceives them."""

import msgspec
import numpy as np
import pytest

from sightloop.evaluation.errors import ImagesDiffer
from sightloop.evaluation.gate import GateRules, Judged, judge
from sightloop.evaluation.parity import ParityResult
from sightloop.evaluation.values import LatencyComparison
from sightloop.testing.made_answers import answer, answered, shown_objects

RULES = GateRules(n_replicates=200)
SAME_FILE = ParityResult(
    n_images=8, n_compared=60, agreement=1.0, worst_box_px=0.02, worst_score=0.0001
)
AS_FAST = LatencyComparison(n_images=50, candidate_p50_ms=10.0, champion_p50_ms=10.0)


def model(name, answers):
    return Judged(name, answers)


def scenes_of(n_images, *, stratum="line=A", seed=0, n_objects=3):
    rng = np.random.default_rng(seed)
    return shown_objects(rng, n_images=n_images, stratum=stratum, n_objects=n_objects)


def pair(scenes, *, champion, candidate, seed=1):
    """Answers of a champion and of a candidate of these skills to the same scenes."""
    rng = np.random.default_rng(seed)
    return answered(rng, scenes, skill=champion), answered(rng, scenes, skill=candidate)


def judged(before, after, rules=RULES, *, parity=SAME_FILE, latency=AS_FAST):
    return judge(
        rules,
        candidate=model("pcb@2", after),
        champion=None if before is None else model("pcb@1", before),
        parity=parity,
        latency=latency,
    )


def rule(verdict, name):
    return next(one for one in verdict.rules if one.rule == name)


def test_an_equal_model_passes_every_rule():
    champion, _ = pair(scenes_of(60), champion=0.8, candidate=0.8)
    verdict = judged(champion, champion)
    assert verdict.outcome == "pass"
    assert [one.rule for one in verdict.rules] == ["overall", "parity", "latency"]


def test_a_clearly_worse_model_fails_and_the_reason_has_the_numbers():
    verdict = judged(*pair(scenes_of(100), champion=0.9, candidate=0.5))
    overall = rule(verdict, "overall")
    assert verdict.outcome == overall.outcome == "fail"
    assert overall.value > overall.bound == 0.02
    assert overall.reason.startswith("On 100 images with 300 objects AP50 went from 0.")
    assert "(pcb@1) to 0." in overall.reason
    assert "more than the 0.020 allowed" in overall.reason
    assert "is below 0." in overall.reason


def test_a_drop_that_may_be_chance_is_inconclusive():
    verdict = judged(*pair(scenes_of(31), champion=0.8, candidate=0.77, seed=3))
    overall = rule(verdict, "overall")
    assert overall.value > 0.02
    assert (verdict.outcome, overall.outcome) == ("inconclusive", "inconclusive")
    assert "reaches 0, so it may be chance; evaluate on more images." in overall.reason


def test_a_drop_within_the_tolerance_passes():
    generous = msgspec.structs.replace(RULES, max_drop=0.5)
    verdict = judged(*pair(scenes_of(100), champion=0.9, candidate=0.7), generous)
    assert rule(verdict, "overall").outcome == "pass"
    assert "a drop of up to 0.500 is allowed." in rule(verdict, "overall").reason


def test_a_better_model_is_told_as_a_gain():
    verdict = judged(*pair(scenes_of(100), champion=0.5, candidate=0.9))
    assert "a gain of 0." in rule(verdict, "overall").reason
    assert rule(verdict, "overall").value < 0


def test_a_loss_on_a_protected_stratum_fails_though_the_whole_gains():
    old, new = scenes_of(60, stratum="line=A"), scenes_of(120, stratum="line=B", seed=5)
    old_champion, old_candidate = pair(old, champion=0.9, candidate=0.4)
    new_champion, new_candidate = pair(new, champion=0.1, candidate=0.9)
    rules = msgspec.structs.replace(RULES, protected={"line=A": 0.05})
    verdict = judged(old_champion + new_champion, old_candidate + new_candidate, rules)
    assert rule(verdict, "overall").outcome == "pass"
    assert rule(verdict, "protected:line=A").outcome == "fail"
    assert "60 images of line=A with 180 objects" in rule(verdict, "protected:line=A").reason
    assert verdict.outcome == "fail"


def better_on(before, after):
    rules = msgspec.structs.replace(RULES, better_on=["line=A"])
    return rule(judged(before, after, rules), "better_on:line=A")


def test_a_certain_gain_is_better():
    one = better_on(*pair(scenes_of(60), champion=0.3, candidate=0.9))
    assert one.outcome == "pass"
    assert one.reason.endswith("above 0.")


def test_no_gain_is_not_better():
    champion, _ = pair(scenes_of(60), champion=0.6, candidate=0.6)
    one = better_on(champion, champion)
    assert (one.outcome, one.value) == ("fail", 0.0)
    assert "which is no gain" in one.reason


def test_a_gain_that_may_be_chance_is_inconclusive():
    one = better_on(*pair(scenes_of(31), champion=0.70, candidate=0.73, seed=2))
    assert one.value > 0
    assert one.outcome == "inconclusive"


def test_a_stratum_nobody_has_images_of_is_inconclusive():
    champion, _ = pair(scenes_of(60), champion=0.8, candidate=0.8)
    rules = msgspec.structs.replace(RULES, protected={"line=Z": 0.05})
    one = rule(judged(champion, champion, rules), "protected:line=Z")
    assert (one.outcome, one.value) == ("inconclusive", None)
    assert one.reason == (
        "There are only 0 images of line=Z with 0 objects to go by; "
        "the rule needs 30 images with 30 objects, so label more."
    )


@pytest.mark.parametrize(
    ("scenes", "outcome"),
    [
        (scenes_of(29), "inconclusive"),
        (scenes_of(30, n_objects=1), "pass"),
        ([*scenes_of(29, n_objects=1), *(answer(f"{i}") for i in range(9))], "inconclusive"),
    ],
)
def test_too_few_images_or_objects_are_inconclusive_however_good(scenes, outcome):
    perfect = answered(np.random.default_rng(0), scenes, skill=1.0)
    assert rule(judged(perfect, perfect), "overall").outcome == outcome


def test_a_first_model_is_judged_on_absolute_rules():
    _, candidate = pair(scenes_of(60), champion=0.8, candidate=0.8)
    rules = msgspec.structs.replace(
        RULES, protected={"line=A": 0.0}, better_on=["line=A"], max_latency_ms=20.0
    )
    verdict = judged(None, candidate, rules)
    assert verdict.outcome == "pass"
    assert [one.rule for one in verdict.rules] == ["minimum", "parity", "latency_ms"]


def test_a_first_model_below_the_minimum_fails():
    _, candidate = pair(scenes_of(60), champion=0.8, candidate=0.1)
    minimum = rule(judged(None, candidate), "minimum")
    assert minimum.outcome == "fail"
    assert "below the 0.300 that is asked." in minimum.reason


def test_a_first_model_with_too_few_images_is_inconclusive():
    _, candidate = pair(scenes_of(10), champion=0.8, candidate=0.9)
    assert judged(None, candidate).outcome == "inconclusive"


def with_parity(parity, rules=RULES):
    champion, _ = pair(scenes_of(40), champion=0.8, candidate=0.8)
    return judged(champion, champion, rules, parity=parity)


def test_an_export_that_disagrees_fails():
    verdict = with_parity(msgspec.structs.replace(SAME_FILE, agreement=0.5))
    assert verdict.outcome == "fail"
    assert rule(verdict, "parity").reason == (
        "The exported file and its checkpoint agree on 50.0% of 60 detections in 8 images "
        "(corners within 0.02 px, scores within 0.0001); at least 99.0% is asked."
    )


def test_an_export_that_was_not_compared_is_inconclusive():
    verdict = with_parity(None)
    assert (verdict.outcome, rule(verdict, "parity").value) == ("inconclusive", None)
    nothing = msgspec.structs.replace(SAME_FILE, n_compared=0, agreement=None)
    assert rule(with_parity(nothing), "parity").outcome == "inconclusive"


def test_a_rule_that_does_not_ask_for_parity_gives_no_verdict_on_it():
    rules = msgspec.structs.replace(RULES, min_parity=None)
    assert [one.rule for one in with_parity(None, rules).rules] == ["overall", "latency"]


def with_latency(latency, **changes):
    champion, _ = pair(scenes_of(40), champion=0.8, candidate=0.8)
    return judged(champion, champion, msgspec.structs.replace(RULES, **changes), latency=latency)


def timed(candidate_ms, champion_ms=10.0, n_images=50):
    return LatencyComparison(
        n_images=n_images, candidate_p50_ms=candidate_ms, champion_p50_ms=champion_ms
    )


@pytest.mark.parametrize(("candidate_ms", "outcome"), [(12.5, "pass"), (12.6, "fail")])
def test_a_model_may_take_so_many_times_as_long(candidate_ms, outcome):
    assert rule(with_latency(timed(candidate_ms)), "latency").outcome == outcome


@pytest.mark.parametrize(("candidate_ms", "outcome"), [(12.0, "pass"), (12.1, "fail")])
def test_a_model_may_take_so_many_milliseconds(candidate_ms, outcome):
    verdict = with_latency(timed(candidate_ms), max_latency_ms=12.0)
    assert rule(verdict, "latency_ms").outcome == outcome
    assert "median of 50 images" in rule(verdict, "latency_ms").reason


@pytest.mark.parametrize("latency", [None, timed(10.0, None), timed(10.0, n_images=19)])
def test_a_time_that_was_hardly_measured_is_inconclusive(latency):
    assert rule(with_latency(latency), "latency").outcome == "inconclusive"


def test_one_failure_outweighs_any_doubt():
    verdict = with_parity(None, msgspec.structs.replace(RULES, max_latency_ratio=0.5))
    assert {one.outcome for one in verdict.rules} == {"pass", "inconclusive", "fail"}
    assert verdict.outcome == "fail"


def test_answers_to_other_images_are_refused():
    champion, _ = pair(scenes_of(40), champion=0.8, candidate=0.8)
    with pytest.raises(ImagesDiffer):
        judged(champion[:-1], champion)


def test_judging_twice_says_the_same():
    both = pair(scenes_of(40), champion=0.8, candidate=0.7)
    assert judged(*both) == judged(*both)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"max_drop": -0.1}, "max_drop"),
        ({"n_replicates": 1}, "n_replicates"),
        ({"max_dorp": 0.1}, "max_dorp"),
    ],
)
def test_rules_out_of_bounds_or_unknown_are_refused(settings, problem):
    with pytest.raises(msgspec.ValidationError, match=problem):
        msgspec.convert(settings, GateRules)


def outcomes(*, champion, candidate, n_images, name, rules, n_seeds=40):
    found = []
    for seed in range(n_seeds):
        scenes = scenes_of(n_images, seed=1000 + seed)
        both = pair(scenes, champion=champion, candidate=candidate, seed=seed)
        found.append(rule(judged(*both, rules), name).outcome)
    return found


FAST = GateRules(n_replicates=100, better_on=["line=A"], max_drop=0.02)


def test_an_equal_model_is_hardly_ever_failed():
    found = outcomes(champion=0.8, candidate=0.8, n_images=60, name="overall", rules=FAST)
    # One side of a 95 % interval: 1 of 40 expected at most, rarely above 4.
    assert found.count("fail") <= 4
    assert found.count("pass") >= 15


def test_a_much_worse_model_is_never_passed():
    found = outcomes(champion=0.85, candidate=0.65, n_images=60, name="overall", rules=FAST)
    assert found.count("pass") == 0
    assert found.count("fail") >= 35


def test_a_model_that_is_no_better_is_hardly_ever_called_better():
    found = outcomes(champion=0.7, candidate=0.7, n_images=60, name="better_on:line=A", rules=FAST)
    assert found.count("pass") <= 4


def test_a_much_better_model_is_called_better():
    found = outcomes(champion=0.4, candidate=0.8, n_images=40, name="better_on:line=A", rules=FAST)
    assert found.count("pass") == 40
