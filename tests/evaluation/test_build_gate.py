"""A build is held to what the released file found; the rules are pure."""

import msgspec
import pytest

from sightloop.contracts.bundle import Detection
from sightloop.contracts.job import LabelledBox
from sightloop.datasets.values import SampleId
from sightloop.evaluation.build_gate import BuildRules, DeviceWord, judge_build
from sightloop.evaluation.parity import ParityResult
from sightloop.evaluation.values import ImageAnswer

RULES = BuildRules(n_replicates=200)
ALIKE = ParityResult(n_images=40, n_compared=80, agreement=1.0, worst_box_px=0.1, worst_score=0.0)
RIGHT = DeviceWord(device="line-1", problem="")


def answers(n_found: int, n_images: int = 100) -> list[ImageAnswer]:
    """One object an image; the first `n_found` of them are found."""
    return [
        ImageAnswer(
            sample=SampleId(f"{index:032x}"), strata=[""], width_px=64, height_px=64,
            truths=[LabelledBox(0, 10, 10, 20, 20)],
            detections=[Detection(0, 0.9, 10, 10, 20, 20)] if index < n_found else [],
            duration_ms=1.0,
        )
        for index in range(n_images)
    ]  # fmt: skip


def judged(built, *, released=None, agreement=ALIKE, devices=(), needs_devices=False, rules=RULES):
    verdict = judge_build(
        rules, precision="int8", released=released or answers(100), built=built,
        agreement=agreement, devices=devices, needs_devices=needs_devices,
    )  # fmt: skip
    return verdict.outcome, {one.rule: one.outcome for one in verdict.rules}


def test_a_build_that_finds_the_same_passes():
    assert judged(answers(100)) == ("pass", {"loss": "pass", "agreement": "pass"})


def test_a_build_that_loses_more_than_it_may_fails():
    assert judged(answers(80)) == ("fail", {"loss": "fail", "agreement": "pass"})


def test_a_loss_within_the_bound_passes_only_when_its_whole_interval_is():
    generous = msgspec.structs.replace(RULES, max_loss=0.05)
    assert judged(answers(99), rules=generous)[0] == "pass"
    assert judged(answers(97), rules=generous)[0] == "inconclusive"


def test_on_few_images_nothing_is_said_of_the_loss():
    few = answers(10, n_images=10)
    assert judged(few, released=few) == (
        "inconclusive", {"loss": "inconclusive", "agreement": "pass"}
    )  # fmt: skip


@pytest.mark.parametrize(("agreement", "outcome"), [(0.5, "fail"), (0.75, "pass")])
def test_a_build_that_finds_other_objects_fails(agreement, outcome):
    found = msgspec.structs.replace(ALIKE, agreement=agreement)
    assert judged(answers(100), agreement=found)[0] == outcome


def test_two_that_found_nothing_prove_nothing():
    nothing = msgspec.structs.replace(ALIKE, agreement=None, n_compared=0)
    assert judged(answers(100), agreement=nothing)[0] == "inconclusive"


def test_what_this_host_cannot_run_needs_a_devices_word():
    def outcome(*devices: DeviceWord) -> str:
        return judged(answers(100), devices=devices, needs_devices=True)[0]

    assert outcome() == "inconclusive"
    assert outcome(RIGHT) == "pass"
    assert outcome(RIGHT, DeviceWord(device="line-2", problem="class 1 was not found")) == "fail"


def test_a_device_that_cannot_use_a_build_counts_also_where_it_runs_here():
    wrong = DeviceWord(device="line-2", problem="class 1 was not found")
    assert judged(answers(100), devices=[wrong]) == (
        "fail", {"loss": "pass", "agreement": "pass", "devices": "fail"}
    )  # fmt: skip
