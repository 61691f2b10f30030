"""Annotations keep their ids through files that carry none."""

import hypothesis.strategies as st
from hypothesis import given

from sightloop.datasets.diff import diff_boxes
from sightloop.datasets.geometry import BoxPx, WholeImage
from sightloop.datasets.identities import with_known_ids
from sightloop.datasets.values import (
    Annotation,
    ClassId,
    LabelledObject,
    SampleId,
    imported_annotations,
)

SAMPLE = SampleId("ab" * 16)


def objects(*found):
    return imported_annotations(
        SAMPLE, [LabelledObject(ClassId(name), BoxPx(*box), {}) for name, box in found]
    )


def kinds(old, new):
    return sorted(kind for one in diff_boxes(old, with_known_ids(old, new)) for kind in one.kinds)


def test_a_moved_box_is_moved_and_a_relabelled_one_relabelled():
    old = objects(("a", (0, 0, 10, 10)), ("a", (50, 50, 60, 60)))
    assert kinds(old, objects(("a", (2, 0, 12, 10)), ("a", (50, 50, 60, 60)))) == ["moved"]
    assert kinds(old, objects(("b", (0, 0, 10, 10)), ("a", (50, 50, 60, 60)))) == ["relabelled"]
    both = objects(("b", (1, 0, 11, 10)), ("a", (50, 50, 60, 60)))
    assert kinds(old, both) == ["moved", "relabelled"]


def test_a_box_drawn_elsewhere_is_another_object():
    old = objects(("a", (0, 0, 10, 10)))
    assert kinds(old, objects(("a", (20, 20, 30, 30)))) == ["added", "removed"]


def test_the_most_overlapping_box_of_a_class_is_the_one():
    old = objects(("a", (0, 0, 10, 10)), ("a", (6, 0, 16, 10)))
    new = objects(("a", (5, 0, 15, 10)), ("a", (1, 0, 11, 10)))
    found = {one.id: one.geometry.x1 for one in with_known_ids(old, new)}
    assert [found[one.id] - one.geometry.x1 for one in old if one.geometry.x1 == 6] == [-1]


def test_an_equal_annotation_stays_exactly_as_it_was():
    (one,) = objects(("a", (0, 0, 10, 10)))
    known = Annotation(
        id=one.id, class_id=one.class_id, geometry=one.geometry, source="human", state="verified"
    )
    assert with_known_ids([known], [one]) == [known]


def test_a_proposal_stays_unless_a_file_vouches_for_it():
    old = [
        Annotation(
            id=one.id, class_id=one.class_id, geometry=one.geometry, source="m@1", state="proposed"
        )
        for one in objects(("a", (0, 0, 10, 10)), ("a", (50, 50, 60, 60)))
    ]
    new = objects(("a", (0, 0, 10, 10)))
    found = with_known_ids(old, new)
    assert sorted(one.state for one in found) == ["proposed", "verified"]
    assert with_known_ids(old, [], keep_proposals=False) == []


def test_whole_images_pair_by_class_only():
    old = imported_annotations(SAMPLE, [LabelledObject(ClassId("a"), WholeImage(), {})])
    new = imported_annotations(SAMPLE, [LabelledObject(ClassId("b"), WholeImage(), {})])
    assert kinds(old, new) == ["relabelled"]


def test_a_box_drawn_where_a_moved_one_came_from_gets_an_id_of_its_own():
    (first,) = objects(("a", (0, 0, 10, 10)))
    moved = with_known_ids([first], objects(("a", (4, 0, 14, 10))))
    both = with_known_ids(moved, objects(("a", (4, 0, 14, 10)), ("a", (0, 0, 10, 10))))
    assert len({one.id for one in both}) == 2
    assert {one.id: one.geometry.x1 for one in both}[first.id] == 4


boxes = st.tuples(
    st.sampled_from(["a", "b"]),
    st.tuples(*[st.integers(0, 20)] * 2, *[st.integers(1, 9)] * 2).map(
        lambda four: (four[0], four[1], four[0] + four[2], four[1] + four[3])
    ),
)
sets = st.lists(boxes, max_size=6)


def content(annotations):
    return sorted(
        ((one.class_id, tuple(one.geometry.__reduce__()[1]), str(one.attributes)))
        for one in annotations
    )


@given(sets, sets)
def test_what_comes_out_is_what_the_file_says_with_ids_of_their_own(old, new):
    first, second = objects(*old), objects(*new)
    found = with_known_ids(first, second)
    assert content(found) == content(second)
    assert len({one.id for one in found}) == len(found)
    assert [one.id for one in found] == sorted(one.id for one in found)


@given(sets)
def test_the_same_file_changes_nothing(old):
    first = objects(*old)
    assert with_known_ids(first, first) == first


@given(sets, sets)
def test_a_file_that_comes_in_twice_changes_nothing_the_second_time(old, new):
    once = with_known_ids(objects(*old), objects(*new))
    assert with_known_ids(once, objects(*new)) == once


@given(sets, sets, st.randoms())
def test_the_order_of_the_file_does_not_matter(old, new, rng):
    first, second = objects(*old), objects(*new)
    found = with_known_ids(first, second)
    rng.shuffle(first)
    rng.shuffle(second)
    assert with_known_ids(first, second) == found


@given(sets, sets)
def test_only_what_has_no_partner_is_added_or_removed(old, new):
    first, second = objects(*old), objects(*new)
    known = {one.id for one in first}
    kept = [one for one in with_known_ids(first, second) if one.id in known]
    assert len(kept) <= min(len(first), len(second))
    equal = sum(1 for one in set(content(first)) & set(content(second)))
    assert len(kept) >= equal
