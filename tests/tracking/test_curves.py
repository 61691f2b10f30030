"""A thinned curve has few points, both ends, and every extreme of the whole one."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.tracking.curves import differing, telling_metrics, thin_curve

NUMBERS = st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), min_size=1, max_size=400)


def thinned(values, *, limit: int):
    n = len(values)
    return thin_curve(
        "loss",
        steps=np.arange(n),
        at_ms=np.arange(n) * 10,
        values=np.array(values, dtype=np.float64),
        limit=limit,
    )


@given(NUMBERS, st.integers(4, 60))
def test_the_least_and_the_greatest_value_and_both_ends_are_kept(values, limit):
    curve = thinned(values, limit=limit)
    known = [value for value in values if not math.isnan(value)]
    shown = [value for value in curve.values if value is not None]
    assert len(curve.values) <= max(limit, 4)
    assert (curve.steps[0], curve.steps[-1]) == (0, len(values) - 1)
    assert curve.steps == sorted(set(curve.steps))
    if known:
        assert (min(shown), max(shown)) == (min(known), max(known))


def test_a_short_curve_is_kept_whole():
    curve = thinned([1.0, 2.0, 3.0], limit=10)
    assert (curve.values, curve.at_ms, curve.n_points) == ([1.0, 2.0, 3.0], [0, 10, 20], 3)


def test_a_stretch_without_numbers_stays_a_gap():
    values = [1.0] * 50 + [math.nan] * 50 + [2.0] * 50
    curve = thinned(values, limit=32)
    assert None in curve.values
    assert curve.n_points == 150


@pytest.mark.parametrize("odd", [math.inf, -math.inf, math.nan])
def test_what_is_not_finite_has_no_value(odd):
    assert thinned([1.0, odd], limit=4).values == [1.0, None]


def test_nothing_logged_is_no_metric():
    assert telling_metrics([{}, {}], most=2) == []


def test_runs_that_lack_an_input_differ_in_it():
    assert differing([{"lr": "1"}, {}]) == ["lr"]
