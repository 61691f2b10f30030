"""Detections find objects as COCO says, and the loss is 1 - F1 of what they found."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.contracts.bundle import Detection
from sightloop.contracts.job import LabelledBox
from sightloop.evaluation.matching import count_image, image_loss, match

corners = st.integers(0, 12)
sides = st.integers(1, 8)
classes = st.integers(0, 1)
truths_lists = st.lists(
    st.builds(
        lambda c, x, y, s: LabelledBox(c, x, y, x + s, y + s), classes, corners, corners, sides
    ),
    max_size=5,
)
detection_lists = st.lists(
    st.builds(
        lambda c, score, x, y, s: Detection(c, score / 5, x, y, x + s, y + s),
        classes, st.integers(1, 5), corners, corners, sides,
    ),
    max_size=7,
)  # fmt: skip

TRUTH = LabelledBox(0, 0, 0, 10, 10)


def at(score, x=0.0, class_index=0):
    return Detection(class_index, score, x, 0, x + 10, 10)


def test_the_best_score_chooses_first():
    assert match([at(0.5), at(0.9, x=1)], [TRUTH]) == [None, 0]


def test_the_object_with_the_most_overlap_is_chosen():
    near, nearer = LabelledBox(0, 3, 0, 13, 10), LabelledBox(0, 1, 0, 11, 10)
    assert match([at(0.5)], [near, nearer]) == [1]


def test_a_detection_whose_object_is_taken_takes_the_next_best():
    twin = LabelledBox(0, 2, 0, 12, 10)
    assert match([at(0.9), at(0.8)], [TRUTH, twin]) == [0, 1]


def test_of_equal_overlaps_the_last_object_is_chosen_as_in_coco():
    assert match([at(0.5)], [TRUTH, TRUTH]) == [1]


def test_an_overlap_of_exactly_one_half_counts():
    half = Detection(0, 0.5, 0, 0, 10, 5)
    assert match([half], [TRUTH]) == [0]
    assert match([Detection(0, 0.5, 0, 0, 10, 4.99)], [TRUTH]) == [None]


def test_another_class_finds_nothing():
    assert match([at(0.9, class_index=1)], [TRUTH]) == [None]


def test_boxes_without_area_find_nothing():
    assert match([Detection(0, 0.9, 5, 5, 5, 5)], [LabelledBox(0, 5, 5, 5, 5)]) == [None]


@given(detection_lists, truths_lists)
def test_no_object_is_found_twice(detections, truths):
    taken = [index for index in match(detections, truths) if index is not None]
    assert len(taken) == len(set(taken))


@given(detection_lists, truths_lists)
def test_matching_equals_the_rule_written_out(detections, truths):
    assert match(detections, truths) == slowly_matched(detections, truths)


@given(detection_lists, truths_lists, st.floats(0, 1))
def test_the_loss_is_between_0_and_1(detections, truths, threshold):
    assert 0 <= image_loss(detections, truths, score_threshold=threshold) <= 1


@given(truths_lists)
def test_a_perfect_answer_has_no_loss(truths):
    perfect = [Detection(t.class_index, 0.9, t.x1, t.y1, t.x2, t.y2) for t in truths]
    assert image_loss(perfect, truths, score_threshold=0.5) == 0


@pytest.mark.parametrize(
    ("detections", "truths", "loss"),
    [
        ([], [], 0.0),
        ([at(0.4)], [], 0.0),  # below the threshold: not reported
        ([at(0.5)], [], 1.0),
        ([], [TRUTH], 1.0),
        ([at(0.9)], [TRUTH], 0.0),
        ([at(0.9), at(0.8, x=50)], [TRUTH], 1 / 3),
        ([at(0.9)], [TRUTH, LabelledBox(1, 0, 0, 10, 10)], 1 / 3),
    ],
)
def test_the_loss_is_one_minus_f1(detections, truths, loss):
    assert image_loss(detections, truths, score_threshold=0.5) == pytest.approx(loss)


def test_counts_tell_found_missed_and_false_at_the_threshold():
    far = LabelledBox(0, 100, 0, 110, 10)
    counts = count_image(
        [at(0.9), at(0.6, x=50), at(0.2, x=100)], [TRUTH, far], score_threshold=0.5
    )
    assert counts == (1, 1, 1)


def slowly_matched(detections, truths, limit=0.5):
    answers, taken = [None] * len(detections), set()
    for row in sorted(range(len(detections)), key=lambda row: -detections[row].score):
        best, chosen = limit, None
        for index, one in enumerate(truths):
            overlap = overlap_of(detections[row], one)
            same_class = one.class_index == detections[row].class_index
            if same_class and index not in taken and overlap >= best:
                best, chosen = overlap, index
        if chosen is not None:
            answers[row] = chosen
            taken.add(chosen)
    return answers


def overlap_of(one, other):
    width = min(one.x2, other.x2) - max(one.x1, other.x1)
    height = min(one.y2, other.y2) - max(one.y1, other.y1)
    shared = max(width, 0) * max(height, 0)
    areas = [(box.x2 - box.x1) * (box.y2 - box.y1) for box in (one, other)]
    return shared / (sum(areas) - shared)
