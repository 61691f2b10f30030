"""Samples as rows: equal content, equal bytes; ids that follow from content."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.datasets.errors import EmptyBox
from sightloop.datasets.geometry import BoxPx, rounded
from sightloop.datasets.values import (
    Capture,
    ClassId,
    LabelledObject,
    SampleId,
    decode_row,
    encode_row,
    imported_annotations,
    sample_id,
    strata_of,
)
from sightloop.kernel.digests import digest_of

IMAGE = digest_of(b"image")
SAMPLE = SampleId("0" * 32)


@st.composite
def boxes(draw):
    x1, y1 = draw(st.floats(0, 4000)), draw(st.floats(0, 4000))
    return BoxPx(x1, y1, x1 + draw(st.floats(0.01, 500)), y1 + draw(st.floats(0.01, 500)))


def objects_of(some_boxes):
    return [LabelledObject(ClassId("spot"), box, {}) for box in some_boxes]


@pytest.mark.parametrize("corners", [(1, 1, 1, 2), (1, 2, 3, 1), (float("nan"), 1, 2, 3)])
def test_a_box_without_area_is_refused(corners):
    with pytest.raises(EmptyBox, match="has no area") as caught:
        BoxPx(*corners)
    assert caught.value.code == "DATA-001"


@given(boxes())
def test_rounding_a_box_twice_is_rounding_it_once(box):
    assert rounded(rounded(box)) == rounded(box)


@given(boxes())
def test_corner_and_size_lead_back_to_the_same_rounded_box(box):
    box = rounded(box)
    width_px, height_px = round(box.x2 - box.x1, 3), round(box.y2 - box.y1, 3)
    assert rounded(BoxPx(box.x1, box.y1, box.x1 + width_px, box.y1 + height_px)) == box


def test_whole_numbers_and_floats_make_the_same_row(make_sample):
    assert encode_row(make_sample(1, boxes=[BoxPx(1, 2, 11, 12)])) == encode_row(
        make_sample(1, boxes=[BoxPx(1.0, 2.0, 11.0, 12.0)])
    )


@given(st.data())
def test_a_row_ignores_the_order_of_tags_classes_and_annotations(make_sample, data):
    sample = make_sample(
        1, tags=["b", "a"], boxes=[BoxPx(0, 0, 1, 1), BoxPx(2, 2, 3, 3), BoxPx(4, 4, 5, 5)]
    )
    shuffled = msgspec.structs.replace(
        sample,
        tags=data.draw(st.permutations(sample.tags)),
        annotations=data.draw(st.permutations(sample.annotations)),
    )
    assert encode_row(shuffled) == encode_row(sample)


def test_a_row_comes_back_as_the_sample_it_was(make_sample):
    capture = Capture("device_1", "cam", 5)
    sample = make_sample(1, capture=capture, lane="audit", inclusion_probability=0.02, tags=["x"])
    assert decode_row(encode_row(sample)) == sample


def test_a_field_at_its_default_is_not_in_the_row(make_sample):
    assert b"quarantined" not in encode_row(make_sample(1))


def test_equal_images_of_one_camera_at_two_times_are_two_samples():
    first, second = Capture("device_1", "cam", 5), Capture("device_1", "cam", 6)
    assert len({sample_id(IMAGE, one) for one in (first, second, None)}) == 3


@given(st.lists(boxes(), max_size=5), st.randoms())
def test_importing_labels_in_another_order_gives_the_same_annotations(some_boxes, rng):
    shuffled = rng.sample(some_boxes, k=len(some_boxes))
    first, second = (
        imported_annotations(SAMPLE, objects_of(one)) for one in (some_boxes, shuffled)
    )
    assert first == second


def test_equal_boxes_are_annotations_of_their_own():
    twins = imported_annotations(SAMPLE, objects_of([BoxPx(0, 0, 1, 1)] * 2))
    assert len({one.id for one in twins}) == 2


def test_strata_are_all_images_and_one_per_slice():
    assert strata_of({"line": "A", "light": "low"}) == ["", "light=low", "line=A"]
    assert strata_of({}) == [""]
