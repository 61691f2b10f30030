"""Bins hold what their edges say, and equal shares of the reference."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.inference.errors import NoValues
from sightloop.inference.histograms import bin_of, count_bins, mid_ranks, quantile_edges

values = st.lists(st.floats(-1e6, 1e6) | st.integers(0, 3).map(float), min_size=1, max_size=200)


@given(values, st.integers(1, 64))
def test_edges_ascend_strictly_and_are_never_more_than_asked(sample, n_bins):
    edges = quantile_edges(sample, n_bins=n_bins)
    assert all(lower < upper for lower, upper in pairwise(edges))
    assert len(edges) < n_bins


@given(values, st.floats(allow_nan=False))
def test_a_value_lies_between_its_bins_edges(sample, value):
    edges = quantile_edges(sample)
    index = bin_of(edges, value)
    assert index == 0 or edges[index - 1] < value
    assert index == len(edges) or value <= edges[index]


@given(values, values)
def test_counts_of_two_windows_add_up_to_the_counts_of_both(first, second):
    edges = quantile_edges(first)
    both = np.add(count_bins(edges, first), count_bins(edges, second))
    assert both.tolist() == count_bins(edges, first + second)


@given(values)
def test_the_mean_rank_over_the_reference_is_one_half(sample):
    counts = count_bins(quantile_edges(sample), sample)
    assert np.average(mid_ranks(counts), weights=counts) == pytest.approx(0.5)


def test_distinct_values_fill_all_bins_equally():
    sample = list(np.random.default_rng(0).permutation(640).astype(float))
    edges = quantile_edges(sample, n_bins=64)
    assert count_bins(edges, sample) == [10] * 64


def test_a_value_that_fills_most_of_the_reference_has_one_bin():
    sample = [0.0] * 90 + [1.0] * 10
    assert quantile_edges(sample) == [0.0, 1.0]
    assert count_bins([0.0, 1.0], sample) == [90, 10, 0]


def test_values_that_are_not_finite_make_no_edges():
    assert quantile_edges([math.nan, math.inf, 1.0, 2.0], n_bins=2) == [1.0]


@pytest.mark.parametrize("sample", [[], [math.nan]])
def test_edges_of_nothing_are_refused(sample):
    with pytest.raises(NoValues, match="measure at least one image") as caught:
        quantile_edges(sample)
    assert caught.value.code == "INFER-020"


def test_ranks_of_an_empty_reference_are_refused():
    with pytest.raises(NoValues):
        mid_ranks([0, 0])
