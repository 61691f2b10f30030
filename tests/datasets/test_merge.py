"""Two versions of a sample become one: nothing is lost, and only contradictions are asked about."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.datasets.conflicts import (
    AnnotationConflict,
    FieldConflict,
    Resolution,
    SampleConflict,
    always,
)
from sightloop.datasets.geometry import BoxPx, WholeImage
from sightloop.datasets.merge import merge_sample, settled
from sightloop.datasets.values import Annotation, Sample, decode_row, encode_row

SIZE = 100
BOXES = [BoxPx(0, 0, 10, 10), BoxPx(0, 0, 10, 11), BoxPx(50, 50, 60, 60), WholeImage()]


def box(digit="a", corners=(0, 0, 10, 10), **fields):
    values = {"class_id": "spot", "source": "import", "state": "verified", **fields}
    return Annotation(id=digit * 32, geometry=BoxPx(*corners), **values)


def a_sample(*annotations, **fields):
    values = {
        "image": "sha256:" + "0" * 64,
        "width_px": SIZE,
        "height_px": SIZE,
        "media_type": "image/png",
        "file_name": "1.png",
        "split_key": "1",
        **fields,
    }
    return Sample(id="f" * 32, annotations=list(annotations), **values)


def edited(value, **fields):
    return msgspec.structs.replace(value, **fields)


def kinds(merged):
    return [one.kind for one in merged.conflicts]


# Geometry, attributes and fields come from few values, so that sides often meet.
annotations = st.builds(
    Annotation,
    id=st.sampled_from(["a" * 32, "b" * 32, "c" * 32, "d" * 32]),
    class_id=st.sampled_from(["spot", "hole"]),
    geometry=st.sampled_from(BOXES),
    source=st.sampled_from(["import", "human"]),
    state=st.sampled_from(["proposed", "verified"]),
    attributes=st.dictionaries(st.sampled_from("xy"), st.integers(0, 1)),
)
samples = st.builds(
    lambda boxes, **fields: decode_row(encode_row(a_sample(*boxes, **fields))),
    st.lists(annotations, unique_by=lambda one: one.id),
    file_name=st.sampled_from(["1.png", "2.png", "3.png"]),
    slices=st.dictionaries(st.sampled_from(["line", "site"]), st.sampled_from("AB")),
    tags=st.lists(st.sampled_from("pqr"), unique=True),
    lane=st.sampled_from([None, "audit", "novel"]),
    quarantined=st.booleans(),
    labelled_for=st.lists(st.sampled_from(["spot", "hole"]), unique=True),
)
maybe = st.none() | samples


@given(maybe, maybe)
def test_a_change_on_one_side_wins(base, changed):
    for sides in ((changed, base), (base, changed)):
        assert merge_sample(base, *sides) == (changed, [], [])


@given(maybe, maybe)
def test_equal_changes_agree(base, changed):
    assert merge_sample(base, changed, changed) == (changed, [], [])


@given(maybe, samples, maybe)
def test_swapping_the_sides_swaps_them_in_the_conflicts(base, ours, theirs):
    there = merge_sample(base, ours, theirs)
    back = merge_sample(base, theirs, ours)
    assert [one.key for one in there.conflicts] == [one.key for one in back.conflicts]
    for one, other in zip(there.conflicts, back.conflicts, strict=True):
        assert one.kind == other.kind
        if isinstance(one, AnnotationConflict | FieldConflict):
            assert (one.ours, one.theirs) == (other.theirs, other.ours)
    if not there.conflicts:
        assert there == back


@given(maybe, maybe, maybe)
def test_settling_all_by_one_side_is_the_same_as_by_the_other_from_the_other(base, ours, theirs):
    mine = merge_sample(base, ours, theirs, always("ours"))
    swapped = merge_sample(base, theirs, ours, always("theirs"))
    assert mine.conflicts == [] == swapped.conflicts
    assert mine.sample == swapped.sample


@given(maybe, samples, samples)
def test_no_edit_is_lost_silently(base, ours, theirs):
    merged = merge_sample(base, ours, theirs)
    asked = " ".join(one.key for one in merged.conflicts)
    told = " ".join(one.text for one in merged.notes)
    for name in ("file_name", "lane", "quarantined"):
        for side in (ours, theirs):
            value = getattr(side, name)
            is_edit = value != (getattr(base, name) if base else None)
            assert not is_edit or getattr(merged.sample, name) == value or name in asked
    old, result = boxes_of(base), boxes_of(merged.sample)
    for side in (boxes_of(ours), boxes_of(theirs)):
        for one in side.keys() | old.keys():
            if side.get(one) != old.get(one) and one not in asked and one not in told:
                assert has_the_edit(old.get(one), side.get(one), result.get(one))


def boxes_of(sample):
    return {one.id: one for one in sample.annotations} if sample else {}


def has_the_edit(old, new, result):
    if new is None or result is None:
        return new is result
    names = ("geometry", "class_id", "source", "state")
    aspects = {name: getattr(new, name) for name in names} | new.attributes
    before = ({name: getattr(old, name) for name in names} | old.attributes) if old else {}
    found = {name: getattr(result, name) for name in names} | result.attributes
    return all(
        found.get(name) == aspects.get(name)
        for name in aspects.keys() | before.keys()
        if aspects.get(name) != before.get(name)
    )


@given(samples, samples, samples, st.sets(st.sampled_from("abcd")))
def test_edits_of_different_things_never_contradict(base, one, other, mine):
    """Each side takes some annotations, tags and fields from another version, no two the same."""
    ours = partly(base, one, lambda digit: digit in mine, ("file_name", "slices"))
    theirs = partly(base, other, lambda digit: digit not in mine, ("lane", "tags"))
    merged = merge_sample(base, ours, theirs)
    assert [one for one in merged.conflicts if one.kind != "both added"] == []
    assert (merged.sample.file_name, merged.sample.lane) == (ours.file_name, theirs.lane)


def partly(base, other, takes, fields):
    boxes = [one for one in base.annotations if not takes(one.id[0])]
    boxes += [one for one in other.annotations if takes(one.id[0])]
    values = {name: getattr(other, name) for name in fields}
    return decode_row(encode_row(edited(base, annotations=boxes, **values)))


@given(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2))
def test_only_two_different_changes_are_not_settled(base, ours, theirs):
    is_settled, value = settled(base, ours, theirs)
    assert is_settled == (ours == theirs or base in (ours, theirs))
    assert value == (theirs if ours == base else ours)


def test_a_box_moved_here_and_relabelled_there_is_both():
    moved, relabelled = box(corners=(5, 5, 20, 20)), box(class_id="hole")
    merged = merge_sample(a_sample(box()), a_sample(moved), a_sample(relabelled))
    assert merged.sample.annotations == [edited(moved, class_id="hole")]
    assert merged.conflicts == []


def test_a_box_moved_to_two_places_is_asked_about_with_its_overlap():
    ours, theirs = box(corners=(0, 0, 10, 20)), box(corners=(0, 10, 10, 30))
    [conflict] = merge_sample(a_sample(box()), a_sample(ours), a_sample(theirs)).conflicts
    assert (conflict.kind, conflict.aspects) == ("both moved", ["geometry"])
    assert (conflict.base, conflict.ours, conflict.theirs) == (box(), ours, theirs)
    assert conflict.iou == pytest.approx(1 / 3)


def test_a_conflict_in_one_aspect_keeps_what_was_settled_in_the_others():
    ours = box(corners=(0, 0, 10, 20), class_id="hole")
    theirs = box(corners=(0, 10, 10, 30), attributes={"worn": True})
    sides = (a_sample(box()), a_sample(ours), a_sample(theirs))
    [merged] = merge_sample(*sides, always("theirs")).sample.annotations
    assert merged == edited(theirs, class_id="hole")


def test_a_box_deleted_here_and_edited_there_is_asked_about():
    merged = merge_sample(a_sample(box()), a_sample(), a_sample(box(class_id="hole")))
    assert kinds(merged) == ["deleted and edited"]
    assert merged.conflicts[0].ours is None


def test_a_sample_removed_here_and_changed_there_is_asked_about():
    base = a_sample(box())
    [conflict] = merge_sample(base, None, a_sample()).conflicts
    assert isinstance(conflict, SampleConflict)
    assert conflict.removed_by == "ours"
    assert merge_sample(base, None, a_sample(), always("theirs")).sample == a_sample()
    assert merge_sample(base, None, a_sample(), always("ours")).sample is None


def test_a_sample_both_sides_brought_in_is_merged_from_nothing():
    ours = a_sample(box("a"), slices={"line": "A"}, tags=["p"])
    theirs = a_sample(box("b", (50, 50, 60, 60)), slices={"site": "X", "line": "B"}, tags=["q"])
    merged = merge_sample(None, ours, theirs)
    assert [one.id[0] for one in merged.sample.annotations] == ["a", "b"]
    assert merged.sample.tags == ["p", "q"]
    assert [one.field for one in merged.conflicts] == ["slice line"]


def test_one_object_drawn_on_both_sides_does_not_become_two():
    ours, theirs = box("a", (0, 0, 100, 100)), box("b", (0, 0, 100, 95))
    sides = (a_sample(), a_sample(ours), a_sample(theirs))
    [conflict] = merge_sample(*sides).conflicts
    assert (conflict.kind, conflict.iou) == ("both added", 0.95)
    for take, expected in (("ours", [ours]), ("theirs", [theirs]), ("both", [ours, theirs])):
        settling = Resolution(take=take)
        merged = merge_sample(*sides, lambda _, settling=settling: settling)
        assert merged.sample.annotations == expected


@pytest.mark.parametrize("theirs", [(0, 0, 100, 89), (0, 0, 10, 10)])
def test_boxes_that_overlap_less_are_two_objects(theirs):
    merged = merge_sample(
        a_sample(), a_sample(box("a", (0, 0, 100, 100))), a_sample(box("b", theirs))
    )
    assert len(merged.sample.annotations) == 2
    assert merged.conflicts == []


def test_boxes_of_two_classes_are_two_objects():
    merged = merge_sample(a_sample(), a_sample(box("a")), a_sample(box("b", class_id="hole")))
    assert (len(merged.sample.annotations), merged.conflicts) == (2, [])


def test_the_same_box_under_two_ids_is_kept_once_and_told():
    merged = merge_sample(a_sample(), a_sample(box("b")), a_sample(box("a")))
    assert merged.sample.annotations == [box("a")]
    assert "are the same; the first is kept" in merged.notes[0].text


def test_by_hand_is_what_the_merge_has():
    ours, theirs = box(corners=(0, 0, 10, 20)), box(corners=(0, 10, 10, 30))
    sides = (a_sample(box()), a_sample(ours), a_sample(theirs))
    by_hand = box("9", (1, 1, 2, 2))
    merged = merge_sample(*sides, lambda _: Resolution(take="by hand", annotation=by_hand))
    assert merged.sample.annotations == [edited(by_hand, id=box().id)]
    merged = merge_sample(*sides, lambda _: Resolution(take="by hand"))
    assert merged.sample.annotations == []


def test_a_field_set_to_two_values_is_asked_about_and_settled_by_hand():
    base, ours, theirs = (a_sample(file_name=name) for name in ("1.png", "2.png", "3.png"))
    [conflict] = merge_sample(base, ours, theirs).conflicts
    assert (conflict.field, conflict.base, conflict.ours) == ("file_name", "1.png", "2.png")
    by_hand = Resolution(take="by hand", value="4.png")
    assert merge_sample(base, ours, theirs, lambda _: by_hand).sample.file_name == "4.png"


def test_a_newly_claimed_class_stays_only_if_the_other_side_knows_of_no_other_object():
    base = a_sample(box("a"))
    ours = edited(base, labelled_for=["spot"])
    elsewhere = edited(base, tags=["p"])
    more = a_sample(box("a"), box("b", (50, 50, 60, 60)))
    assert merge_sample(base, ours, elsewhere).sample.labelled_for == ["spot"]
    merged = merge_sample(base, ours, more)
    assert merged.sample.labelled_for == []
    assert "no longer labelled for every spot" in merged.notes[0].text
    assert merge_sample(base, ours, edited(more, labelled_for=["spot"])).sample.labelled_for


def test_a_claim_that_one_side_takes_back_is_gone():
    base = a_sample(box("a"), labelled_for=["spot"])
    ours, theirs = edited(base, labelled_for=[]), edited(base, tags=["p"])
    assert merge_sample(base, ours, theirs).sample.labelled_for == []


def test_thousands_of_boxes_added_on_both_sides_are_compared_in_a_moment():
    def grid(digit, shift):
        return [
            Annotation(
                id=f"{digit}{number:031x}",
                class_id="spot",
                geometry=BoxPx(number + shift, 0, number + 1 + shift, 1),
                source="human",
                state="verified",
            )
            for number in range(2_000)
        ]

    merged = merge_sample(a_sample(), a_sample(*grid("a", 0)), a_sample(*grid("b", 0.01)))
    assert kinds(merged) == ["both added"] * 2_000
