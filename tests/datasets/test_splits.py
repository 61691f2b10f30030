"""Splits follow from split keys alone, and nothing learned from is ever proof."""

from collections import Counter

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given

from sightloop.datasets.errors import BadSplitRule
from sightloop.datasets.splits import SplitRule, admit, admit_all, share_of, split_of

RULE = SplitRule(train=0.5, val=0.25, test=0.25, salt="s")

keys = st.sampled_from([f"key {number}" for number in range(6)])
arrivals = st.lists(st.tuples(keys, st.booleans()), max_size=20)


@pytest.fixture(scope="session")
def arrived(make_sample):
    def make(pairs):
        return [
            make_sample(seed, split_key=key, reserved="audit" if audit else None)
            for seed, (key, audit) in enumerate(pairs)
        ]

    return make


def by_key(samples):
    found = {}
    for one in samples:
        found.setdefault(one.split_key, []).append(one)
    return found


@pytest.mark.parametrize("fractions", [(0.5, 0.5, 0.5), (1.2, -0.2, 0.0), (float("nan"), 0, 1)])
def test_fractions_that_do_not_add_up_are_refused(fractions):
    train, val, test = fractions
    with pytest.raises(BadSplitRule, match="add up to 1") as caught:
        SplitRule(train=train, val=val, test=test)
    assert caught.value.code == "DATA-002"


@given(st.text(), st.integers(0, 9), st.integers(0, 9))
def test_samples_of_one_key_are_in_one_split(make_sample, key, first, second):
    one, other = (make_sample(seed, split_key=key) for seed in (first, second))
    assert split_of(one, RULE) == split_of(other, RULE)


def test_keys_are_dealt_out_by_the_fractions(make_sample):
    rule = SplitRule(train=0.7, val=0.2, test=0.1)
    sample = make_sample(0)
    counts = Counter(
        split_of(msgspec.structs.replace(sample, split_key=str(number)), rule)
        for number in range(5000)
    )
    assert counts["train"] == pytest.approx(3500, abs=150)
    assert counts["val"] == pytest.approx(1000, abs=150)


def test_another_salt_deals_the_keys_out_anew():
    first, second = ([share_of(str(n), salt=salt) for n in range(20)] for salt in ("a", "b"))
    assert not set(first) & set(second)


def test_a_reservation_overrides_the_hash_and_quarantine_overrides_both(make_sample):
    reserved = make_sample(0, reserved="audit")
    assert split_of(reserved, RULE) == "audit"
    assert split_of(msgspec.structs.replace(reserved, quarantined=True), RULE) is None


@given(arrivals)
def test_no_key_is_ever_both_audited_and_learned_from(arrived, pairs):
    present = []
    for one in arrived(pairs):
        present.append(
            admit(one, [each for each in present if each.split_key == one.split_key], RULE)
        )
    for some in by_key(present).values():
        splits = {split_of(one, RULE) for one in some}
        assert not ("audit" in splits and splits & {"train", "val"})


@given(arrivals, st.integers(0, 20), st.randoms())
def test_samples_admitted_together_are_admitted_whatever_their_order(arrived, pairs, n_before, rng):
    samples = arrived(pairs)
    present = by_key(admit_all(samples[:n_before], {}, RULE))
    together = samples[n_before:]
    shuffled = rng.sample(together, k=len(together))
    first, second = (admit_all(some, present, RULE) for some in (together, shuffled))
    assert {one.id: one for one in first} == {one.id: one for one in second}


@given(arrivals)
def test_an_admitted_sample_is_admitted_again_unchanged(arrived, pairs):
    admitted = admit_all(arrived(pairs), {}, RULE)
    assert admit_all(admitted, by_key(admitted), RULE) == admitted


def test_an_audit_image_of_a_learned_key_is_quarantined(make_sample):
    learned = next(
        one for one in (make_sample(seed) for seed in range(99)) if split_of(one, RULE) == "train"
    )
    audited = make_sample(1000, split_key=learned.split_key, reserved="audit")
    assert admit(audited, [learned], RULE).quarantined
    assert not admit(audited, [], RULE).quarantined


def test_what_comes_with_a_reserved_key_is_reserved_too(make_sample):
    audited, other = make_sample(0, split_key="k", reserved="audit"), make_sample(1, split_key="k")
    assert admit(other, [audited], RULE).reserved == "audit"
    assert admit_all([other, audited], {}, RULE)[0].reserved == "audit"
