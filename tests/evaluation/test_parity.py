"""The exported file must find what the checkpoint found."""

import msgspec
import pytest

from sightloop.contracts.bundle import Detection
from sightloop.contracts.job import Parity, ParityAnswer
from sightloop.evaluation.parity import check_parity

CAR = Detection(0, 0.8, 10, 10, 50, 50)
BUS = Detection(1, 0.6, 60, 10, 90, 50)


def reference(*images):
    answers = [ParityAnswer(f"{number}.jpg", list(found)) for number, found in enumerate(images)]
    return Parity(score_floor=0.1, answers=answers)


def changed(detection, **changes):
    return msgspec.structs.replace(detection, **changes)


def test_equal_answers_agree_wholly():
    result = check_parity(reference([CAR, BUS], []), {"0.jpg": [CAR, BUS], "1.jpg": []})
    assert (result.n_images, result.n_compared, result.agreement) == (2, 4, 1.0)
    assert (result.worst_box_px, result.worst_score) == (0, 0)


def test_rounding_agrees_and_its_size_is_told():
    moved = changed(CAR, score=0.79, x1=10.5, y2=49.75)
    result = check_parity(reference([CAR]), {"0.jpg": [moved]})
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
    result = check_parity(reference([CAR]), {"0.jpg": [other]})
    assert (result.n_compared, result.agreement) == (2, 0.0)


def test_a_detection_that_one_side_misses_lowers_the_agreement():
    missed = check_parity(reference([CAR, BUS]), {"0.jpg": [CAR]})
    added = check_parity(reference([CAR]), {"0.jpg": [CAR, BUS]})
    assert missed.agreement == added.agreement == pytest.approx(2 / 3)


def test_an_image_the_file_did_not_answer_counts_as_missed():
    assert check_parity(reference([CAR]), {}).agreement == 0.0


def test_a_lonely_detection_close_to_the_floor_may_be_below_it_on_the_other_side():
    faint = changed(BUS, score=0.14)
    result = check_parity(reference([CAR, faint]), {"0.jpg": [CAR]})
    assert (result.n_compared, result.agreement) == (2, 1.0)


def test_a_box_without_area_is_not_looked_at():
    outside = changed(BUS, x2=60)
    assert check_parity(reference([CAR, outside]), {"0.jpg": [CAR]}).agreement == 1.0


def test_equal_detections_are_counted_one_by_one():
    result = check_parity(reference([CAR, CAR]), {"0.jpg": [CAR]})
    assert (result.n_compared, result.agreement) == (3, pytest.approx(2 / 3))


def test_nothing_found_on_both_sides_is_nothing_to_compare():
    result = check_parity(reference([], []), {})
    assert (result.n_images, result.n_compared, result.agreement) == (2, 0, None)
