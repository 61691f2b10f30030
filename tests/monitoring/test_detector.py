import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.monitoring.detector import FRACTIONS, Detector, Side, State, log_mean
from sightloop.monitoring.scores import build_detector
from sightloop.monitoring.settings import MonitorSettings

REFERENCE = [10, 20, 40, 20, 10]
WINDOWS = st.lists(st.lists(st.integers(0, 30), min_size=5, max_size=5), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def detector() -> Detector:
    return build_detector(REFERENCE, pooled=REFERENCE, n_errors=2.0, settings=MonitorSettings())


def after(detector: Detector, windows: list[list[int]]) -> State:
    state = detector.start()
    for counts in windows:
        state = detector.advance(state, counts)
    return state


@given(
    direction=st.sampled_from([1, -1]),
    boundary=st.floats(0.01, 0.99),
    score=st.floats(0.0, 1.0),
)
def test_no_score_in_the_range_can_take_more_than_the_fraction_that_was_bet(
    direction, boundary, score
):
    side = Side("lower", direction, boundary, 0.0, 1.0)
    factors = np.exp(side.log_factors([score])[:, 0])
    assert np.all(factors >= 1 - FRACTIONS - 1e-9)


@given(
    direction=st.sampled_from([1, -1]),
    low_share=st.floats(0.0, 1.0),
    boundary=st.floats(0.05, 0.95),
)
def test_a_bet_wins_nothing_on_average_where_the_null_holds(direction, low_share, boundary):
    scores = np.array([0.0, 1.0])
    mean = 1.0 - low_share
    side = Side("lower", direction, boundary, 0.0, 1.0)
    expected = np.exp(side.log_factors(scores)) @ np.array([low_share, 1 - low_share])
    holds = direction * (mean - boundary) <= 0
    assert np.all(expected <= 1 + 1e-9) == holds or math.isclose(mean, boundary)


@given(WINDOWS, st.integers(0, 12))
def test_a_state_that_went_through_json_goes_on_as_if_it_had_not(detector, windows, at):
    state = after(detector, windows[:at])
    state = msgspec.json.decode(msgspec.json.encode(state), type=State)
    for counts in windows[at:]:
        state = detector.advance(state, counts)
    assert state == after(detector, windows)


@given(WINDOWS)
def test_the_statistic_is_the_mean_over_bets_of_all_stakes_grown_since_they_were_placed(
    detector, windows
):
    gains = np.array(windows) @ detector.log_factors.T
    per_start = [gains[start:].sum(axis=0) for start in range(len(windows))]
    wealth = np.logaddexp.reduce(per_start, axis=0)
    assert after(detector, windows).statistic_nats == pytest.approx(float(log_mean(wealth)))


def test_one_large_window_counts_like_its_images_one_by_one_but_for_the_stakes_in_between(
    detector,
):
    together = after(detector, [[0, 0, 4, 0, 0]])
    apart = after(detector, [[0, 0, 1, 0, 0]] * 4)
    assert together.n_images == apart.n_images == 4
    assert together.statistic_nats < apart.statistic_nats


def test_before_the_first_window_there_is_no_statistic_and_no_alarm(detector):
    assert detector.start().statistic_nats is None
    assert not detector.start().has_reached(-1e9)


def test_the_change_is_dated_to_within_a_window_or_two_of_where_it_was(detector):
    rng = np.random.default_rng(3)
    before = rng.multinomial(10, np.array(REFERENCE) / 100, size=60).tolist()
    state = after(detector, [*before, *[[10, 0, 0, 0, 0]] * 4])
    assert 40 <= state.n_images_since_change <= 60


def test_a_side_whose_boundary_is_at_the_end_of_the_range_is_not_worth_a_bet():
    assert not Side("upper", 1, 1.0, 0.0, 1.0).is_testable
    assert Side("upper", 1, 0.9, 0.0, 1.0).is_testable
