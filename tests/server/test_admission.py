import random

import pytest

from sightloop.server.admission import LONGEST_WAIT_S, SHORTEST_WAIT_S, Admission, TooManyAtOnce


def test_whoever_finds_the_house_full_is_sent_away_for_another_while_each():
    admission = Admission(2, rng=random.Random(0))
    waits = set()
    with admission.one(), admission.one():
        for _ in range(50):
            with pytest.raises(TooManyAtOnce) as refused, admission.one():
                pass
            waits.add(refused.value.facts["retry_after_s"])
    assert len(waits) > 10
    assert waits <= set(range(SHORTEST_WAIT_S, LONGEST_WAIT_S + 1))


def test_a_place_is_free_again_after_an_error():
    admission = Admission(1)
    with pytest.raises(ValueError, match="x"), admission.one():
        raise ValueError("x")
    with admission.one():
        pass
