import pytest

from sightloop.contracts.check_in import StreamPolicy
from sightloop.device.lanes import UNCERTAIN_FROM, Draws, Kept, StreamLanes

NOTHING_DRAWN = Draws(audit=None, drift=None)


def lanes_of(seed: str = "seed", **policy: float) -> StreamLanes:
    return StreamLanes(StreamPolicy(stream="cam1", **policy), seed=seed, at_s=0.0)


def test_an_audit_image_is_kept_with_the_probability_it_was_drawn_with():
    lanes = lanes_of(audit_rate=1.0)
    assert lanes.choose(lanes.draw(), uncertainty=0.0, at_s=0) == Kept("audit", 1.0)


def test_the_audit_lane_keeps_about_its_rate():
    lanes = lanes_of(audit_rate=0.1)
    n_drawn = sum(lanes.draw().audit is not None for _ in range(20_000))
    assert abs(n_drawn - 2000) < 4 * (20_000 * 0.1 * 0.9) ** 0.5


def test_a_rate_of_nothing_keeps_nothing_and_a_rate_of_one_everything():
    never, always = lanes_of(audit_rate=0.0), lanes_of(audit_rate=1.0)
    assert all(never.draw().audit is None for _ in range(1000))
    assert all(always.draw().audit == 1.0 for _ in range(1000))


def test_equal_seeds_draw_equal_audits_whatever_the_drift_lane_does():
    calm, drifting = lanes_of(audit_rate=0.3), lanes_of(audit_rate=0.3, drift_rate=0.9)
    assert [calm.draw().audit for _ in range(200)] == [drifting.draw().audit for _ in range(200)]


def test_an_image_is_kept_once_and_audit_comes_first():
    lanes = lanes_of()
    assert lanes.choose(Draws(0.02, 0.5), uncertainty=0.9, at_s=0) == Kept("audit", 0.02)
    assert lanes.choose(Draws(None, 0.5), uncertainty=0.9, at_s=0) == Kept("drift", 0.5)
    assert lanes.choose(NOTHING_DRAWN, uncertainty=0.9, at_s=0) == Kept("uncertain", 1.0)


def test_the_uncertain_lane_ends_with_its_budget_and_fills_up_again_by_the_hour():
    lanes = lanes_of(uncertain_per_hour=2)
    kept = [lanes.choose(NOTHING_DRAWN, uncertainty=0.9, at_s=0) for _ in range(3)]
    assert [one is not None for one in kept] == [True, True, False]
    assert lanes.choose(NOTHING_DRAWN, uncertainty=0.9, at_s=1799) is None
    assert lanes.choose(NOTHING_DRAWN, uncertainty=0.9, at_s=1800) is not None


def test_no_more_than_an_hours_budget_is_saved_up():
    lanes = lanes_of(uncertain_per_hour=2)
    kept = [lanes.choose(NOTHING_DRAWN, uncertainty=0.9, at_s=86_400) for _ in range(3)]
    assert kept.count(None) == 1


@pytest.mark.parametrize(("uncertainty", "is_kept"), [(UNCERTAIN_FROM, True), (0.2, False)])
def test_a_sure_image_is_not_worth_a_token(uncertainty: float, is_kept: bool):
    kept = lanes_of().choose(NOTHING_DRAWN, uncertainty=uncertainty, at_s=0)
    assert (kept is not None) == is_kept


def test_a_new_policy_takes_effect_at_once():
    lanes = lanes_of(audit_rate=0.0, uncertain_per_hour=20)
    lanes.follow(StreamPolicy(stream="cam1", audit_rate=1.0, uncertain_per_hour=0))
    assert lanes.draw().audit == 1.0
    assert lanes.choose(NOTHING_DRAWN, uncertainty=0.9, at_s=0) is None
