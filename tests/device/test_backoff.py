import random

import pytest

from sightloop.device.backoff import LONGEST_RETRY_S, check_in_delay_s, retry_delay_s


def test_check_ins_spread_by_a_fifth_around_what_was_asked():
    rng = random.Random(1)
    delays = [check_in_delay_s(60, rng=rng) for _ in range(1000)]
    assert min(delays) >= 48
    assert max(delays) <= 72
    assert max(delays) - min(delays) > 20


def test_a_server_cannot_make_a_device_check_in_without_pause():
    assert check_in_delay_s(0.0, rng=random.Random(1)) > 0.1


def test_retries_wait_longer_and_longer_up_to_a_limit():
    rng = random.Random(1)
    longest = [
        max(retry_delay_s(n, rng=rng, retry_after_s=None) for _ in range(300)) for n in range(1, 15)
    ]
    assert longest[0] <= 1
    assert longest[4] > 10
    assert LONGEST_RETRY_S * 0.9 < max(longest) <= LONGEST_RETRY_S


def test_a_fleet_that_lost_its_server_comes_back_spread_out():
    delays = sorted(
        retry_delay_s(9, rng=random.Random(seed), retry_after_s=None) for seed in range(1000)
    )
    assert delays[250] < 0.3 * LONGEST_RETRY_S
    assert delays[750] > 0.6 * LONGEST_RETRY_S


@pytest.mark.parametrize("n_failures", [1, 20])
def test_retry_after_is_honoured_whatever_our_own_wait_would_be(n_failures: int):
    delay_s = retry_delay_s(n_failures, rng=random.Random(1), retry_after_s=40)
    assert 40 <= delay_s <= 48
