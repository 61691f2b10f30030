"""The exported file must find what the checkpoint found."""

import msgspec
import pytest

from sightloop.contracts.bundle import Detection
from sightloop.contracts.job import Parity, ParityAnswer
from sightloop.contracts.shapes import Keypoints, Mask, OrientedBox
from sightloop.evaluation.parity import check_parity
from sightloop.inference.seen import Seen

CAR = Detection(0, 0.8, 10, 10, 50, 50)
BUS = Detection(1, 0.6, 60, 10, 90, 50)


def reference(*images):
    answers = [ParityAnswer(f"{number}.jpg", list(found)) for number, found in enumerate(images)]
    return Parity(score_floor=0.1, answers=answers)


def check(parity, answers):
    return check_parity(parity, {file: Seen(found) for file, found in answers.items()})


def changed(detection, **changes):
    return msgspec.structs.replace(detection, **changes)


def test_equal_answers_agree_wholly():
    result = check(reference([CAR, BUS], []), {"0.jpg": [CAR, BUS], "1.jpg": []})
    assert (result.n_images, result.n_compared, result.agreement) == (2, 4, 1.0)
    assert (result.worst_box_px, result.worst_score) == (0, 0)


def test_rounding_agrees_and_its_size_is_told():
    moved = changed(CAR, score=0.79, x1=10.5, y2=49.75)
    result = check(reference([CAR]), {"0.jpg": [moved]})
    assert result.agreement == 1.0
    assert (result.worst_box_px, result.worst_score) == (0.5, pytest.approx(0.01))


@pytest.mark.parametrize(
    "other",
    [
        changed(CAR, class_index=1),
        changed(CAR, score=0.7),
        changed(CAR, x1=20),
    ],
)
def test_another_class_score_or_place_is_no_agreement(other):
    result = check(reference([CAR]), {"0.jpg": [other]})
    assert (result.n_compared, result.agreement) == (2, 0.0)


def test_a_detection_that_one_side_misses_lowers_the_agreement():
    missed = check(reference([CAR, BUS]), {"0.jpg": [CAR]})
    added = check(reference([CAR]), {"0.jpg": [CAR, BUS]})
    assert missed.agreement == added.agreement == pytest.approx(2 / 3)


def test_an_image_the_file_did_not_answer_counts_as_missed():
    assert check(reference([CAR]), {}).agreement == 0.0


def test_a_lonely_detection_close_to_the_floor_may_be_below_it_on_the_other_side():
    faint = changed(BUS, score=0.14)
    result = check(reference([CAR, faint]), {"0.jpg": [CAR]})
    assert (result.n_compared, result.agreement) == (2, 1.0)


def test_a_box_without_area_is_not_looked_at():
    outside = changed(BUS, x2=60)
    assert check(reference([CAR, outside]), {"0.jpg": [CAR]}).agreement == 1.0


def test_equal_detections_are_counted_one_by_one():
    result = check(reference([CAR, CAR]), {"0.jpg": [CAR]})
    assert (result.n_compared, result.agreement) == (3, pytest.approx(2 / 3))


def test_nothing_found_on_both_sides_is_nothing_to_compare():
    result = check(reference([], []), {})
    assert (result.n_images, result.n_compared, result.agreement) == (2, 0, None)


SQUARE = Mask(10, 10, [0, 50, 50])
POINTS = Keypoints([(12, 12, 0.9), (40, 40, 0.1)])
TURNED = OrientedBox(30, 30, 40, 20, 0.1)


@pytest.mark.parametrize(
    ("shape", "same", "other"),
    [
        (SQUARE, Mask(10, 10, [0, 48, 52]), Mask(10, 10, [0, 40, 60])),
        (POINTS, Keypoints([(13, 12, 0.9), (1, 1, 0.1)]), Keypoints([(19, 12, 0.9), (40, 40, 0)])),
        (TURNED, OrientedBox(30, 31, 40, 20, 0.1), OrientedBox(30, 30, 40, 20, 0.5)),
        (TURNED, OrientedBox(30, 30, 20, 40, 0.1 + 1.5707963), SQUARE),
    ],
)
def test_objects_agree_only_when_their_shapes_do(shape, same, other):
    parity = Parity(score_floor=0.1, answers=[ParityAnswer("0.jpg", [CAR], [shape])])
    assert check_parity(parity, {"0.jpg": Seen([CAR], [same])}).agreement == 1.0
    assert check_parity(parity, {"0.jpg": Seen([CAR], [other])}).agreement == 0.0
    assert check_parity(parity, {"0.jpg": Seen([CAR])}).agreement == 0.0


def test_objects_that_share_a_box_are_told_apart_by_their_shapes():
    left, right = (Keypoints([(x, 20.0, 1.0)]) for x in (12.0, 48.0))
    twin = changed(CAR, score=0.79)
    parity = Parity(score_floor=0.1, answers=[ParityAnswer("0.jpg", [CAR, twin], [left, right])])
    result = check_parity(parity, {"0.jpg": Seen([CAR, twin], [left, right])})
    assert (result.n_compared, result.agreement) == (4, 1.0)
