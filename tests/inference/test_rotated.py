"""Turned boxes are read, compared, suppressed and moved back to the picture."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.contracts.bundle import ModelInput, Thresholds
from sightloop.contracts.shapes import OrientedBox
from sightloop.inference.errors import BrokenAnswer
from sightloop.inference.geometry import place
from sightloop.inference.rotated import overlaps, read_turned, seen_turned, suppress_turned

THRESHOLDS = Thresholds(score=0.5, iou=0.5, max_detections=3)
BOX = (20, 30, 16, 6, 0.4)


def turned(*boxes):
    return np.array(boxes, dtype=np.float32).reshape(-1, 5)


def read(output, layout):
    output = np.array(output, dtype=np.float32)
    output = output.T[np.newaxis] if layout == "raw" else output[np.newaxis]
    return read_turned(output, layout, n_classes=2, score_floor=0.05, thresholds=THRESHOLDS)


def test_the_angle_comes_after_the_scores_of_a_raw_head():
    found = read([(20, 30, 16, 6, 0.1, 0.9, 0.4)], "raw")
    assert np.allclose(found.boxes, turned(BOX))
    assert (found.classes.tolist(), found.scores) == ([1], pytest.approx([0.9]))


def test_the_angle_comes_last_of_an_end_to_end_head():
    found = read([(20, 30, 16, 6, 0.9, 1, 0.4)], "end_to_end")
    assert np.allclose(found.boxes, turned(BOX))
    assert found.classes.tolist() == [1]


def test_an_angle_that_is_no_number_is_refused():
    with pytest.raises(BrokenAnswer, match="an angle that is not a finite number"):
        read([(20, 30, 16, 6, 0.9, 1, np.nan)], "end_to_end")


angles = st.floats(-3, 3, width=32)
boxes = st.tuples(
    st.floats(0, 60, width=32), st.floats(0, 60, width=32),
    st.floats(2, 30, width=32), st.floats(2, 30, width=32), angles,
)  # fmt: skip


@given(boxes, boxes)
def test_overlap_is_the_same_from_either_side_and_between_zero_and_one(one, other):
    first, second = turned(one), turned(other)
    there, back = overlaps(first, second)[0, 0], overlaps(second, first)[0, 0]
    assert math.isclose(there, back, abs_tol=1e-3)
    assert -1e-3 <= there <= 1


@given(boxes)
def test_half_a_turn_changes_nothing(box):
    half = (*box[:4], box[4] + math.pi)
    assert overlaps(turned(box), turned(half))[0, 0] > 0.98


def test_boxes_of_another_class_or_place_stay():
    other_place = (50, 30, 16, 6, 0.4)
    rows = suppress_turned(
        turned(BOX, BOX, BOX, other_place),
        np.array([0.9, 0.8, 0.7, 0.6], dtype=np.float32),
        np.array([0, 0, 1, 0]),
        iou=0.5,
    )
    assert rows.tolist() == [0, 2, 3]


def test_blocks_of_many_boxes_give_what_one_block_gives(monkeypatch):
    rng = np.random.default_rng(0)
    many = turned(*(rng.random((200, 5)) * [60, 60, 20, 20, 3]))
    scores, classes = rng.random(200).astype(np.float32), np.zeros(200, dtype=np.int64)
    at_once = suppress_turned(many, scores, classes, iou=0.3)
    monkeypatch.setattr("sightloop.inference.rotated._BLOCK", 7)
    assert suppress_turned(many, scores, classes, iou=0.3).tolist() == at_once.tolist()
    assert 10 < len(at_once) < 190


def test_a_turned_box_is_moved_back_through_padding_and_scale():
    placement = place(128, 64, into=ModelInput(64, 64))  # halved, 16 px of padding above
    found = read([(20, 30, 16, 6, 0.9, 1, 0.0)], "end_to_end")
    seen = seen_turned(found, placement)
    assert seen.shapes == [OrientedBox(40, 28, 32, 12, 0)]
    (box,) = seen.detections
    assert (box.x1, box.y1, box.x2, box.y2) == (24, 22, 56, 34)


def test_a_turned_box_beside_the_picture_is_left_out():
    placement = place(128, 64, into=ModelInput(64, 64))
    assert seen_turned(read([(20, 5, 6, 6, 0.9, 1, 0)], "end_to_end"), placement).detections == []
