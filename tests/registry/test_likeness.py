"""The three verdicts on a version that was made again."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from sightloop.registry.likeness import AP50_TOLERANCE, Proof, count_equal, judge_likeness
from sightloop.training.weights_digest import TensorFacts

EQUAL = Proof(
    weights_then="a",
    weights_now="a",
    n_tensors=2,
    n_tensors_equal=2,
    model_file_then="f",
    model_file_now="f",
)
OTHER = msgspec.structs.replace(EQUAL, weights_now="b", model_file_now="g")
ALIKE = msgspec.structs.replace(OTHER, agreement=1.0, ap50_then=0.5, ap50_now=0.51)


def verdict(proof: Proof, **changes: object) -> str:
    return judge_likeness(msgspec.structs.replace(proof, **changes))


def test_equal_weights_and_an_equal_file_are_identical():
    assert verdict(EQUAL) == "identical"


def test_equal_weights_in_another_file_are_identical_while_it_answers_alike():
    assert verdict(EQUAL, model_file_now="g", agreement=1.0) == "identical"
    assert verdict(EQUAL, model_file_now="g", agreement=0.5) == "different"
    assert verdict(EQUAL, model_file_now="g") == "different"


def test_without_the_old_checkpoint_the_exported_file_stands_for_it():
    assert verdict(EQUAL, weights_then=None) == "identical"
    assert verdict(ALIKE, weights_then=None) == "equivalent"


def test_an_equal_file_of_other_weights_is_not_identical():
    assert verdict(EQUAL, weights_now="b") == "different"
    assert verdict(EQUAL, weights_now="b", agreement=1.0, ap50_then=0.5, ap50_now=0.5) == (
        "equivalent"
    )


def test_other_weights_with_the_same_answers_and_scores_are_equivalent():
    assert verdict(ALIKE) == "equivalent"


def test_one_answer_that_differs_makes_another_model():
    assert verdict(ALIKE, agreement=0.99) == "different"


def test_nothing_to_compare_by_is_no_proof():
    assert verdict(OTHER) == "different"
    assert verdict(ALIKE, ap50_now=None) == "different"


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_tolerance_holds_either_way(then, now):
    proof = msgspec.structs.replace(ALIKE, ap50_then=then, ap50_now=now)
    assert (judge_likeness(proof) == "equivalent") == (abs(then - now) <= AP50_TOLERANCE)


tensors = st.lists(
    st.builds(
        TensorFacts, st.sampled_from("abc"), st.just("float16"), st.just([1]), st.sampled_from("xy")
    ),
    unique_by=lambda one: one.name,
)


@given(tensors, tensors)
def test_equal_tensors_are_counted_the_same_from_either_side(then, now):
    assert count_equal(then, now) == count_equal(now, then)
    n, equal = count_equal(then, now)
    assert equal <= min(len(then), len(now)) <= n
