import pytest

from sightloop.contracts.bundle import Detection, Thresholds
from sightloop.device.golden import golden_difference

THRESHOLDS = Thresholds(score=0.5)
OBJECT = Detection(1, 0.9, 10, 10, 50, 50)


def difference(expected: list[Detection], found: list[Detection]) -> str:
    return golden_difference(expected, found, thresholds=THRESHOLDS, longer_side_px=200)


def moved(*, score: float = 0.9, by_px: float = 0.0, class_index: int = 1) -> Detection:
    return Detection(class_index, score, 10 + by_px, 10, 50, 50)


def test_the_same_answer_agrees():
    assert difference([OBJECT], [OBJECT]) == ""


@pytest.mark.parametrize("near", [moved(score=0.86), moved(score=0.94), moved(by_px=2.0)])
def test_an_answer_within_the_tolerances_agrees(near: Detection):
    assert difference([OBJECT], [near]) == ""


@pytest.mark.parametrize(
    "far", [moved(score=0.8), moved(by_px=2.5), moved(class_index=0), moved(score=1.0, by_px=9)]
)
def test_an_answer_outside_the_tolerances_differs(far: Detection):
    assert "was not found" in difference([OBJECT], [far])


def test_the_difference_names_the_nearest_answer_of_the_class():
    said = difference([OBJECT], [moved(by_px=7)])
    assert "class 1 at (10.0, 10.0, 50.0, 50.0) px with score 0.900 was not found" in said
    assert "nearest is class 1 at (17.0" in said


def test_an_object_that_should_not_be_there_differs():
    assert "was found and should not be" in difference([], [moved(score=0.6)])


def test_an_object_close_to_the_threshold_may_appear_or_vanish_below_it():
    assert difference([], [moved(score=0.54)]) == ""
    assert difference([moved(score=0.51)], [moved(score=0.47)]) == ""


def test_two_expected_objects_need_two_answers():
    assert "was not found" in difference([OBJECT, moved(by_px=1)], [OBJECT])
