import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.monitoring.budget import FOUNDERS_PART, share_of, threshold_nats


@given(n_declared=st.integers(1, 50), n_streams=st.integers(1, 5000))
def test_the_shares_of_any_fleet_sum_to_at_most_one(n_declared, n_streams):
    total = sum(share_of(i, n_declared=n_declared) for i in range(1, n_streams + 1))
    assert total <= 1 + 1e-9


@given(n_declared=st.integers(1, 100))
def test_the_declared_streams_share_nine_tenths_equally(n_declared):
    shares = {share_of(i, n_declared=n_declared) for i in range(1, n_declared + 1)}
    assert shares == {FOUNDERS_PART / n_declared}


@given(n_declared=st.integers(1, 100), ordinal=st.integers(1, 10_000))
def test_a_later_stream_never_gets_more_than_an_earlier_one(n_declared, ordinal):
    later = share_of(ordinal + 1, n_declared=n_declared)
    assert 0 < later <= share_of(ordinal, n_declared=n_declared)


def test_all_monitors_of_all_streams_together_spend_no_more_than_alpha():
    alpha, horizon, n_monitors, n_declared = 0.01, 720, 11, 3
    spent = 0.0
    for ordinal in range(1, 1000):
        share = share_of(ordinal, n_declared=n_declared)
        nats = threshold_nats(alpha=alpha, horizon=horizon, n_monitors=n_monitors, share=share)
        spent += n_monitors * horizon / math.exp(nats)
    assert spent <= alpha


@pytest.mark.parametrize(
    ("n_monitors", "nats"), [(1, 11.2), (12, 13.7), (12 * 100, 18.3), (12 * 10_000, 22.9)]
)
def test_thirty_days_of_hours_at_one_percent_cost_what_was_planned(n_monitors, nats):
    found = threshold_nats(alpha=0.01, horizon=720, n_monitors=n_monitors, share=1.0)
    assert found == pytest.approx(nats, abs=0.05)
