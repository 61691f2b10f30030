"""Labels follow what is done to classes, and say no more than is known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.datasets.errors import BadClassEdit, ClassNamesCollide, NoSuchClass
from sightloop.datasets.following import changes_since, followed_class, followed_sample
from sightloop.datasets.geometry import BoxPx
from sightloop.datasets.taxonomy import FoundClass, with_classes
from sightloop.datasets.taxonomy_edits import (
    AddClass,
    MergeClasses,
    RemoveClass,
    RenameClass,
    SplitClass,
    edited,
    named,
    without_split_class,
)
from sightloop.datasets.values import Annotation, Sample, Taxonomy, TaxonomyChange

ABC = with_classes(Taxonomy(), [FoundClass(name) for name in ("A", "B", "C")])


def a_sample(*boxes, labelled_for=()):
    """Boxes are class ids, or class ids with an attribute's value."""
    pairs = [one if isinstance(one, tuple) else (one, None) for one in boxes]
    return Sample(
        id="f" * 32,
        image="sha256:" + "0" * 64,
        width_px=9,
        height_px=9,
        media_type="image/png",
        file_name="",
        split_key="k",
        labelled_for=sorted(labelled_for),
        annotations=[
            Annotation(
                id=f"{n:032x}",
                class_id=class_id,
                geometry=BoxPx(0, 0, 1, 1),
                source="import",
                state="verified",
                attributes={} if value is None else {"kind": value},
            )
            for n, (class_id, value) in enumerate(pairs)
        ],
    )


def after(sample, taxonomy):
    followed = followed_sample(sample, taxonomy.changes)
    return [one.class_id for one in followed.annotations], followed.labelled_for


def names(taxonomy):
    return taxonomy.class_names


def test_a_renamed_class_keeps_its_id_and_its_labels():
    taxonomy = edited(ABC, RenameClass("B", "Bee"))
    assert (names(taxonomy), taxonomy.class_ids) == (["A", "Bee", "C"], ["a", "b", "c"])
    sample = a_sample("b", labelled_for=["b"])
    assert followed_sample(sample, taxonomy.changes) is sample


def test_merged_classes_become_one_in_the_place_of_the_first():
    taxonomy = edited(ABC, MergeClasses(["C", "B"], "Both"))
    assert names(taxonomy) == ["A", "Both"]
    sample = a_sample("a", "b", "c", labelled_for="abc")
    assert after(sample, taxonomy) == (["a", "both", "both"], ["a", "both"])


def test_what_was_labelled_for_a_part_is_not_labelled_for_the_whole():
    taxonomy = edited(ABC, MergeClasses(["A", "B"], "AB"))
    assert after(a_sample("a", labelled_for=["a", "c"]), taxonomy) == (["ab"], ["c"])


def test_a_merge_into_a_class_that_was_there_counts_that_class_too():
    taxonomy = edited(ABC, MergeClasses(["A"], "C"))
    assert (names(taxonomy), taxonomy.changes[-1].classes) == (["B", "C"], ["a", "c"])
    assert after(a_sample("a", "c", labelled_for=["c"]), taxonomy) == (["c", "c"], [])
    assert after(a_sample("a", labelled_for=["a", "c"]), taxonomy) == (["c"], ["c"])


def test_a_split_goes_by_an_attribute_and_leaves_what_has_no_class():
    taxonomy = edited(ABC, SplitClass("A", ["A1", "A2"], "kind"))
    assert names(taxonomy) == ["A", "A1", "A2", "B", "C"]
    sample = a_sample(("a", "A2"), ("a", "A3"), "a", ("b", "A1"), labelled_for=["a"])
    assert after(sample, taxonomy) == (["a2", "a", "a", "b"], ["a"])


def test_a_split_that_finds_a_class_for_all_is_labelled_for_all():
    taxonomy = without_split_class(edited(ABC, SplitClass("A", ["A1", "A2"], "kind")))
    assert names(taxonomy) == ["A1", "A2", "B", "C"]
    sample = a_sample(("a", "A2"), labelled_for=["a", "b"])
    assert after(sample, taxonomy) == (["a2"], ["a1", "a2", "b"])


@pytest.mark.parametrize(("value", "name"), [(True, "true"), (2, "2")])
def test_numbers_and_truth_values_name_classes_as_they_are_written(value, name):
    taxonomy = edited(ABC, SplitClass("A", [name, "other"], "kind"))
    [class_id] = after(a_sample(("a", value)), taxonomy)[0]
    assert class_id == named(taxonomy, name).id


def test_a_removed_class_is_claimed_no_more():
    taxonomy = edited(ABC, RemoveClass("B"))
    assert names(taxonomy) == ["A", "C"]
    assert after(a_sample("a", labelled_for="abc"), taxonomy) == (["a"], ["a", "c"])


def test_an_old_class_can_be_followed_through_everything_that_was_done():
    taxonomy = edited(ABC, RenameClass("A", "Ay"))
    taxonomy = edited(taxonomy, MergeClasses(["Ay", "B"], "AB"))
    taxonomy = edited(taxonomy, SplitClass("AB", ["left", "right"], "side"))
    taxonomy = edited(taxonomy, RemoveClass("C"))
    assert followed_class("a", taxonomy.changes) == ["left", "right", "ab"]
    assert followed_class("c", taxonomy.changes) == []
    assert followed_class("ab", taxonomy.changes[-1:]) == ["ab"]


def test_what_was_done_since_is_what_the_older_taxonomy_does_not_know():
    once = edited(ABC, AddClass("D"))
    twice = edited(edited(once, RenameClass("D", "E")), RenameClass("E", "D"))
    assert [one.kind for one in changes_since(once, twice)] == ["rename", "rename"]
    assert changes_since(twice, twice) == []
    assert len(changes_since(None, twice)) == 3


@pytest.mark.parametrize(
    ("edit", "error", "problem"),
    [
        (AddClass("A"), BadClassEdit, "there is a class 'A' already"),
        (AddClass("  "), BadClassEdit, "is no name"),
        (RenameClass("X", "Y"), NoSuchClass, "no class 'X'"),
        (RenameClass("A", "B"), ClassNamesCollide, "both be called 'B'"),
        (MergeClasses(["A"], "New"), BadClassEdit, "at least two classes"),
        (MergeClasses(["A", "A"], "A"), BadClassEdit, "at least two classes"),
        (SplitClass("A", ["A1"], "kind"), BadClassEdit, "at least two new classes"),
        (SplitClass("A", ["A1", "B"], "kind"), BadClassEdit, "there is a class 'B' already"),
        (SplitClass("A", ["A1", "A2"], ""), BadClassEdit, "goes by an attribute"),
        (RemoveClass("X"), NoSuchClass, "it has: A, B, C"),
    ],
)
def test_an_edit_that_cannot_be_is_refused(edit, error, problem):
    with pytest.raises(error, match=problem):
        edited(ABC, edit)


def test_classes_with_other_keypoints_do_not_become_one():
    found = [FoundClass("man", keypoints=["head"]), FoundClass("dog", keypoints=["head", "tail"])]
    taxonomy = with_classes(Taxonomy(), found)
    with pytest.raises(BadClassEdit, match="different keypoints") as caught:
        edited(taxonomy, MergeClasses(["man", "dog"], "animal"))
    assert caught.value.code == "DATA-097"


changes = st.lists(
    st.one_of(
        st.builds(
            lambda parts: TaxonomyChange(kind="merge", classes=parts, into=parts[:1]),
            st.lists(st.sampled_from("abcd"), min_size=2, unique=True),
        ),
        st.builds(
            lambda old, new: TaxonomyChange(
                kind="split", classes=[old], into=[*new, old], names=[*new, old], attribute="kind"
            ),
            st.sampled_from("abcd"),
            st.lists(st.sampled_from("xyz"), min_size=2, unique=True),
        ),
    ),
    max_size=4,
)
boxes = st.lists(st.tuples(st.sampled_from("abcdxyz"), st.none() | st.sampled_from("xyz")))


@given(changes, boxes, st.sets(st.sampled_from("abcdxyz")))
def test_following_drops_no_annotation_and_leads_where_the_class_leads(done, drawn, claims):
    sample = a_sample(*drawn, labelled_for=claims)
    followed = followed_sample(sample, done)
    assert [one.id for one in followed.annotations] == [one.id for one in sample.annotations]
    for old, new in zip(sample.annotations, followed.annotations, strict=True):
        assert new.class_id in followed_class(old.class_id, done)
