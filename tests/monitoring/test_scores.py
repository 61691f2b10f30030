import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.inference.histograms import count_bins, quantile_edges
from sightloop.monitoring.scores import (
    N_SIDES,
    build_detector,
    scores_of,
    sides_of,
    tolerance,
    tolerated_errors,
    unseen_bins,
)
from sightloop.monitoring.settings import MonitorSettings

COUNTS = st.lists(st.integers(0, 40), min_size=3, max_size=40).filter(lambda c: sum(c) >= 30)


def by_name(counts, pooled=None):
    return {score.name: score for score in scores_of(counts, pooled=pooled or counts)}


def mean(score, counts):
    return float(np.average(score.values, weights=counts))


@given(COUNTS)
def test_the_reference_itself_ranks_in_the_middle_and_is_never_unseen(counts):
    scores = by_name(counts)
    assert mean(scores["location"], counts) == pytest.approx(0.0, abs=1e-9)
    assert mean(scores["unseen"], counts) == 0.0


@given(COUNTS)
def test_every_bin_has_a_score_within_the_declared_range(counts):
    for score in scores_of(counts, pooled=counts):
        assert len(score.values) == len(counts)
        assert score.low <= score.values.min() <= score.values.max() <= score.high


@given(COUNTS)
def test_a_tail_never_holds_more_than_a_tenth_of_the_reference(counts):
    scores = by_name(counts)
    assert mean(scores["lower"], counts) <= 0.1
    assert mean(scores["upper"], counts) <= 0.1


@given(COUNTS)
def test_the_mirrored_reference_has_mirrored_scores(counts):
    forwards, backwards = by_name(counts), by_name(counts[::-1])
    assert forwards["lower"].values.tolist() == backwards["upper"].values[::-1].tolist()
    assert forwards["location"].values == pytest.approx(-backwards["location"].values[::-1])


def test_images_beyond_everything_the_stratum_had_count_as_extreme_in_every_score():
    scores = by_name([0, 0, 30, 30, 40, 0], pooled=[20, 20, 30, 30, 40, 20])
    assert scores["location"].values[[0, 1, 5]].tolist() == [-1.0, -1.0, 1.0]
    assert scores["spread"].values[[0, 1, 5]].tolist() == [1.0, 1.0, 1.0]
    assert scores["lower"].values[[0, 1]].tolist() == [1.0, 1.0]
    assert scores["upper"].values[5] == 1.0
    assert scores["unseen"].values.tolist() == [1.0, 1.0, 0.0, 0.0, 0.0, 1.0]


def test_a_gap_where_only_other_strata_are_is_unseen_and_one_by_chance_is_not():
    stratum = [20, 0, 0, 0, 20, 0, 20]
    elsewhere = [0, 30, 30, 30, 0, 1, 0]
    pooled = [a + b for a, b in zip(stratum, elsewhere, strict=True)]
    assert unseen_bins(stratum, pooled=pooled).tolist() == [False, True, True, True] + [False] * 3


def test_a_stream_that_never_shows_a_bin_of_its_reference_loses_nothing_on_unseen():
    counts = [25, 25, 25, 25]
    (side,) = sides_of(by_name(counts)["unseen"], counts, n_errors=2.0, smallest=0.1)
    assert side.log_factors([0.0]).max() < 0 < side.log_factors([1.0]).min()


@given(
    variance=st.floats(0.0, 0.25),
    n_images=st.integers(30, 100_000),
    n_errors=st.floats(2.0, 5.0),
    smallest=st.floats(0.001, 0.5),
)
def test_a_tolerance_is_never_below_the_smallest_change_nor_the_errors_of_the_reference(
    variance, n_images, n_errors, smallest
):
    tol = tolerance(
        variance=variance, room=1.0, n_images=n_images, n_errors=n_errors, smallest=smallest
    )
    assert tol >= smallest
    assert tol >= n_errors * (variance / n_images) ** 0.5


def test_a_share_gets_the_score_interval():
    share, n, z = 0.1, 80, 3.0
    wilson = (
        share + z * z / (2 * n) + z * (share * (1 - share) / n + (z / (2 * n)) ** 2) ** 0.5
    ) / (1 + z * z / n)
    tol = tolerance(
        variance=share * (1 - share), room=1 - share, n_images=n, n_errors=z, smallest=0
    )
    assert share + tol == pytest.approx(wilson)


def test_more_means_need_more_tolerance_but_never_less_than_two_errors():
    assert tolerated_errors(n_means=1, reference_error=0.5) == 2.0
    assert tolerated_errors(n_means=10, reference_error=0.05) == pytest.approx(2.576, abs=1e-3)
    assert tolerated_errors(n_means=1000, reference_error=0.05) > 3.8


def test_few_means_of_a_reference_are_further_off_than_their_tolerance():
    """The tolerance covers the true mean as often as `reference_error` says, in rare tails too."""
    rng = np.random.default_rng(5)
    n_errors = tolerated_errors(n_means=N_SIDES, reference_error=0.05)
    off, n_trials = 0, 300
    for _ in range(n_trials):
        images = rng.random(80)
        edges = quantile_edges(np.concatenate([images, rng.random(240)]).tolist())
        counts = count_bins(edges, images)
        truth = np.diff([0.0, *edges, 1.0])
        for score in scores_of(counts, pooled=counts):
            for side in sides_of(score, counts, n_errors=n_errors, smallest=1e-6):
                off += side.direction * (float(score.values @ truth) - side.boundary) > 0
    assert off / n_trials <= 0.05


def test_the_detector_bets_on_seven_sides_of_a_smooth_reference():
    counts = [10] * 20
    detector = build_detector(counts, pooled=counts, n_errors=2.0, settings=MonitorSettings())
    sides = {(side.name, side.direction) for side in detector.sides}
    assert len(sides) == N_SIDES
    assert detector.log_factors.shape == (len(detector.sides), 20)


def test_a_measure_that_never_varied_is_only_watched_for_leaving_its_place():
    counts = [0, 80, 0]
    detector = build_detector(counts, pooled=counts, n_errors=2.0, settings=MonitorSettings())
    assert ("spread", -1) not in {(side.name, side.direction) for side in detector.sides}
    state = detector.start()
    for _ in range(3):
        state = detector.advance(state, [0, 0, 10])
    assert state.has_reached(20.0)
