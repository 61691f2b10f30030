"""Which differences between two trainings are told, and how far each is said to reach."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from sightloop.training.reproducing.differences import (
    changed_distributions,
    find_differences,
)
from sightloop.training.reproducing.facts import (
    NUMERICS,
    Facts,
    operators_without_determinism,
)

SAME = Facts(
    python="CPython 3.11.7",
    system="Linux-6.1",
    cpu="Xeon",
    instructions=["avx2", "avx512f"],
    gpus=[],
    threads=2,
    seed=0,
    engine="yolo26 sightloop-ultralytics 0.1",
    engine_version="ultralytics 8.4",
    distributions={"torch": "2.13.0", "numpy": "2.3.0", "pytest": "9.0"},
    contents={"torch": "a" * 64},
    code="c0ffee",
    lost_changes=False,
    numerics={"torch_threads": "2", "cpu_capability": "AVX512", "torch_device": "cpu"},
    attempts=1,
    resumed_at_epoch=None,
    nondeterministic=[],
    n_erased=0,
)


def changed(**changes: object) -> list[tuple[str, str, str, str]]:
    now = msgspec.structs.replace(SAME, **changes)
    return [(one.what, one.then, one.now, one.reach) for one in find_differences(SAME, now)]


def test_a_training_does_not_differ_from_itself():
    assert find_differences(SAME, SAME) == []


def test_another_seed_makes_another_training():
    assert changed(seed=1) == [("seed", "0", "1", "result")]


def test_another_number_of_threads_reaches_the_last_digits():
    assert changed(threads=1) == [("threads", "2", "1", "rounding")]


def test_another_library_is_named_with_both_versions():
    versions = SAME.distributions | {"torch": "2.14.0"}
    expected = [("package torch", "2.13.0", "2.14.0", "rounding")]
    assert changed(distributions=versions) == expected


def test_packages_the_engine_does_not_need_are_only_counted():
    now = msgspec.structs.replace(SAME, distributions=SAME.distributions | {"pytest": "9.1"})
    (one,) = find_differences(SAME, now, deciding={"torch", "numpy"})
    assert (one.what, one.then, one.reach) == ("other packages", "1 differ", "none")


def test_another_build_of_one_version_is_told_by_its_files():
    (found,) = changed(contents={"Torch": "b" * 64})
    assert found == ("files of package torch, of equal version", "a" * 12, "b" * 12, "rounding")


def test_a_processor_with_fewer_instructions_says_which_are_lacking():
    found = changed(cpu="Atom", instructions=["avx2"])
    assert ("instruction sets", "avx512f", "no other", "rounding") in found
    assert ("processor", "Xeon", "Atom", "rounding") in found


def test_what_nobody_recorded_is_no_difference():
    assert changed(instructions=[], contents={}, numerics={}) == []


def test_a_card_that_was_not_computed_with_reaches_nothing():
    assert changed(gpus=["A10"]) == [("graphics cards", "none", "A10", "none")]


def test_a_card_that_was_computed_with_reaches_the_last_digits():
    found = changed(gpus=["A10"], numerics=SAME.numerics | {"torch_device": "cuda:0"})
    assert ("graphics cards", "none", "A10", "rounding") in found


def test_erased_samples_change_the_result():
    assert changed(n_erased=3)[0] == ("erased samples of the dataset commit", "0", "3", "result")


def test_a_resumed_training_is_told_of_whoever_repeats_it():
    then = msgspec.structs.replace(SAME, resumed_at_epoch=7, attempts=2)
    (one,) = find_differences(then, SAME)
    assert (one.what, one.then) == ("course of the training", "interrupted, resumed at epoch 7")


def test_attempts_that_began_anew_reach_nothing():
    (one,) = find_differences(msgspec.structs.replace(SAME, attempts=2), SAME)
    assert (one.what, one.reach) == ("attempts", "none")


def test_changes_that_were_not_kept_come_first():
    then = msgspec.structs.replace(SAME, lost_changes=True)
    found = find_differences(then, msgspec.structs.replace(SAME, threads=1))
    assert [one.what for one in found] == ["uncommitted changes to the code", "threads"]


def test_an_operator_without_determinism_is_named_though_nothing_differs():
    found = changed(nondeterministic=["upsample_backward"])
    assert found[0][0] == "operator upsample_backward"


def test_warnings_of_a_log_are_found_once_each():
    line = "UserWarning: {} does not have a deterministic implementation, but you set\n"
    log = line.format("scatter") + line.format("cumsum_cuda") + line.format("scatter")
    assert operators_without_determinism(log) == ["cumsum_cuda", "scatter"]


versions = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(["1", "2"]))


@given(versions, versions)
def test_changed_packages_are_the_same_seen_from_either_side(then, now):
    there = changed_distributions(then, now)
    back = changed_distributions(now, then)
    assert {name: (new, old) for name, (old, new) in there.items()} == back


@given(versions, versions)
def test_applying_the_changes_to_then_gives_now(then, now):
    result = dict(then)
    for name, (_, new) in changed_distributions(then, now).items():
        result[name] = new
    assert {name: version for name, version in result.items() if version} == now


@given(st.dictionaries(st.sampled_from(sorted(NUMERICS)), st.sampled_from(["1", "2"])))
def test_what_reaches_furthest_comes_first(numerics):
    now = msgspec.structs.replace(SAME, numerics=SAME.numerics | numerics, seed=1, threads=9)
    order = ["result", "rounding", "none"]
    reaches = [order.index(one.reach) for one in find_differences(SAME, now)]
    assert reaches == sorted(reaches)
