import pytest

from sightloop.contracts.bundle import Detection, GoldenImage, Thresholds
from sightloop.contracts.shapes import Keypoints, Mask, OrientedBox, Shape
from sightloop.device.golden import golden_difference
from sightloop.inference.seen import Seen

THRESHOLDS = Thresholds(score=0.5)
OBJECT = Detection(1, 0.9, 10, 10, 50, 50)


def difference(expected: list[Detection], found: list[Detection]) -> str:
    golden = GoldenImage("golden.jpg", expected)
    return golden_difference(golden, Seen(found), thresholds=THRESHOLDS, longer_side_px=200)


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


def shape_difference(expected: Shape, found: list[Shape]) -> str:
    golden = GoldenImage("golden.jpg", [OBJECT], [expected])
    seen = Seen([OBJECT], found)
    return golden_difference(golden, seen, thresholds=THRESHOLDS, longer_side_px=200)


@pytest.mark.parametrize(
    ("shape", "near", "far", "words"),
    [
        (
            Mask(10, 10, [0, 50, 50]),
            Mask(10, 10, [2, 48, 50]),
            Mask(10, 10, [10, 40, 50]),
            "masks overlap by 0.80",
        ),
        (
            Keypoints([(10, 10, 0.9), (50, 50, 0.1)]),
            Keypoints([(11, 11, 0.8), (90, 90, 0.1)]),
            Keypoints([(15, 10, 0.9), (50, 50, 0.1)]),
            "keypoint 0 lies 5.0 px away",
        ),
        (
            OrientedBox(30, 30, 40, 20, 0.0),
            OrientedBox(30, 31, 40, 20, 0.01),
            OrientedBox(30, 30, 40, 20, 0.3),
            "a corner lies",
        ),
    ],
)
def test_an_object_must_have_the_shape_that_is_promised(
    shape: Shape, near: Shape, far: Shape, words: str
):
    assert shape_difference(shape, [near]) == ""
    assert words in shape_difference(shape, [far])


def test_an_object_that_fell_below_the_threshold_here_has_no_shape_to_compare():
    assert shape_difference(OrientedBox(30, 30, 40, 20, 0.0), []) == ""


def test_a_probability_that_moved_too_far_differs():
    golden = GoldenImage("golden.jpg", [], [], [0.2, 0.8])
    for found, differs in (([0.22, 0.78], False), ([0.3, 0.7], True), ([1.0], True)):
        seen = Seen([], [], found)
        said = golden_difference(golden, seen, thresholds=THRESHOLDS, longer_side_px=200)
        assert bool(said) is differs
