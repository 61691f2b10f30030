"""Output tensors become boxes, scores and classes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightloop.contracts.bundle import Thresholds
from sightloop.inference.errors import BrokenAnswer
from sightloop.inference.heads import read_head
from sightloop.inference.suppression import suppress

THRESHOLDS = Thresholds(score=0.5, iou=0.5, max_detections=3)


def raw(*anchors):
    """Anchors as (x, y, width, height, score of class 0, score of class 1)."""
    return np.array(anchors, dtype=np.float32).T[np.newaxis]


def end_to_end(*rows):
    return np.array(rows, dtype=np.float32).reshape(1, -1, 6)


def read(output, layout, *, score_floor=0.05, n_classes=2):
    return read_head(
        output, layout, n_classes=n_classes, score_floor=score_floor, thresholds=THRESHOLDS
    )


def test_a_raw_box_is_given_by_its_centre_and_size():
    found = read(raw((10, 20, 4, 8, 0.9, 0.1)), "raw")
    assert found.corners_px.tolist() == [[8, 16, 12, 24]]


def test_only_the_best_class_of_a_raw_anchor_counts():
    found = read(raw((10, 20, 4, 8, 0.8, 0.9)), "raw")
    assert (found.classes.tolist(), found.scores) == ([1], pytest.approx([0.9]))


def test_raw_boxes_that_overlap_are_suppressed_within_their_class_only():
    same = (10, 20, 4, 8)
    found = read(raw((*same, 0.8, 0), (*same, 0.9, 0), (*same, 0, 0.7)), "raw")
    assert found.scores == pytest.approx([0.9, 0.7])


def test_end_to_end_rows_are_final_even_where_they_overlap():
    rows = (1, 2, 3, 4, 0.6, 0), (1, 2, 3, 4, 0.9, 0)
    found = read(end_to_end(*rows), "end_to_end")
    assert found.scores == pytest.approx([0.9, 0.6])


@pytest.mark.parametrize("layout", ["raw", "end_to_end"])
def test_a_score_at_the_floor_counts_and_one_below_does_not(layout):
    output = (
        raw((10, 20, 4, 8, 0.25, 0), (50, 20, 4, 8, 0.2499, 0))
        if layout == "raw"
        else end_to_end((1, 2, 3, 4, 0.25, 0), (1, 2, 3, 4, 0.2499, 0))
    )
    assert len(read(output, layout, score_floor=0.25).scores) == 1


@pytest.mark.parametrize("layout", ["raw", "end_to_end"])
def test_never_more_than_max_detections_are_found_and_they_are_the_best(layout):
    scores = [0.5, 0.9, 0.6, 0.8, 0.7]
    output = (
        raw(*((20 * i, 20, 4, 8, score, 0) for i, score in enumerate(scores)))
        if layout == "raw"
        else end_to_end(*((i, 0, i + 1, 1, score, 0) for i, score in enumerate(scores)))
    )
    assert read(output, layout).scores == pytest.approx([0.9, 0.8, 0.7])


@pytest.mark.parametrize("layout", ["raw", "end_to_end"])
def test_an_output_without_a_score_above_the_floor_finds_nothing(layout):
    output = raw((1, 2, 3, 4, 0, 0)) if layout == "raw" else end_to_end((1, 2, 3, 4, 0, 0))
    found = read(output, layout)
    assert [len(values) for values in found] == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("layout", "output", "problem"),
    [
        ("raw", raw((1, 2, 3, 4, np.nan, 0)), "scores that are not numbers"),
        ("end_to_end", end_to_end((1, 2, 3, 4, np.nan, 0)), "scores that are not numbers"),
        ("raw", raw((np.nan, 2, 3, 4, 0.9, 0)), "corners are not finite"),
        ("end_to_end", end_to_end((1, np.inf, 3, 4, 0.9, 0)), "corners are not finite"),
        ("end_to_end", end_to_end((1, 2, 3, 4, 0.9, 2)), "class index outside 0 to 1"),
        ("end_to_end", end_to_end((1, 2, 3, 4, 0.9, -1)), "class index outside 0 to 1"),
        ("end_to_end", end_to_end((1, 2, 3, 4, 0.9, np.nan)), "class index outside 0 to 1"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(layout, output, problem):
    with pytest.raises(BrokenAnswer, match=problem) as caught:
        read(output, layout)
    assert caught.value.code == "INFER-012"


boxes = st.lists(
    st.tuples(
        st.integers(0, 30), st.integers(0, 30), st.integers(1, 12), st.integers(1, 12),
        st.integers(1, 20), st.integers(0, 2),
    ),
    max_size=40,
)  # fmt: skip


@given(boxes)
@settings(max_examples=200)
def test_suppression_equals_the_definition_written_out(rows):
    table = np.array(rows, dtype=np.float32).reshape(-1, 6)
    corners = np.concatenate([table[:, :2], table[:, :2] + table[:, 2:4]], axis=1)
    scores, classes = table[:, 4] / np.float32(20), table[:, 5].astype(np.int64)
    kept = suppress(corners, scores, classes, iou=0.4, max_detections=1000)
    assert kept.tolist() == slowly_suppressed(corners, scores, classes, 0.4)


def slowly_suppressed(corners, scores, classes, limit):
    kept = []
    for row in sorted(range(len(scores)), key=lambda row: -scores[row]):
        if all(
            classes[row] != classes[other] or overlap(corners[row], corners[other]) <= limit
            for other in kept
        ):
            kept.append(row)
    return kept


def overlap(first, second):
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return shared / (areas[0] + areas[1] - shared)
