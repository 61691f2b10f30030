"""What became of boxes and samples: added up, it is the difference, whichever side comes first."""

from collections import Counter
from typing import Any

import hypothesis.strategies as st
import msgspec
from hypothesis import given

from sightloop.datasets.diff import (
    KINDS,
    DiffCounter,
    DiffSummary,
    Side,
    diff_boxes,
    diff_sample,
    kinds_in,
)
from sightloop.datasets.geometry import BoxPx
from sightloop.datasets.splits import SplitRule
from sightloop.datasets.values import (
    Annotation,
    AnnotationId,
    ClassId,
    Sample,
    Taxonomy,
    TaxonomyClass,
)
from sightloop.kernel.digests import digest_of

RULE = SplitRule()
CLASSES = ("dent", "chip", "stain")
TAXONOMY = Taxonomy([TaxonomyClass(id=ClassId(name), name=name) for name in CLASSES])
Samples = dict[str, Sample]


def box(x: float, side: float = 10) -> BoxPx:
    return BoxPx(x, 0, x + side, side)


def annotation(number: int, **fields: Any) -> Annotation:
    values = {"class_id": "dent", "geometry": box(0), "source": "human", "state": "verified"}
    return Annotation(id=AnnotationId(f"{number:032x}"), **{**values, **fields})


def sample(number: int, annotations: list[Annotation], **fields: Any) -> Sample:
    values = {"width_px": 100, "height_px": 100, "media_type": "image/png", "file_name": "a.png"}
    identity = f"{number:032x}"
    annotations = sorted(annotations, key=lambda one: one.id)  # as rows have them
    return Sample(
        id=identity,
        image=digest_of(identity.encode()),
        **{**values, "split_key": "k", "annotations": annotations, **fields},
    )


annotations = st.dictionaries(
    st.integers(0, 5),
    st.builds(
        lambda class_id, x, state: {"class_id": class_id, "geometry": box(x), "state": state},
        st.sampled_from(CLASSES),
        st.integers(0, 3),
        st.sampled_from(["verified", "proposed"]),
    ),
    max_size=5,
).map(lambda found: [annotation(number, **fields) for number, fields in found.items()])

commits = st.dictionaries(
    st.integers(0, 5), st.tuples(annotations, st.sampled_from(["A", "B"])), max_size=5
).map(
    lambda found: {
        f"{number:032x}": sample(number, boxes, slices={"line": line})
        for number, (boxes, line) in found.items()
    }
)


def compared(before: Samples, after: Samples) -> DiffSummary:
    counter = DiffCounter(TAXONOMY, TAXONOMY)
    for one in sorted(before.keys() | after.keys()):
        old, new = before.get(one), after.get(one)
        if old != new:
            counter.add(diff_sample(old and Side(old, RULE), new and Side(new, RULE)))
    return counter.summary()


def n_boxes(samples: Samples) -> Counter[str]:
    return Counter(box.class_id for one in samples.values() for box in one.annotations)


@given(annotations)
def test_nothing_differs_from_itself(boxes):
    assert diff_boxes(boxes, boxes) == []
    assert diff_boxes(boxes, list(reversed(boxes))) == []


@given(commits, commits)
def test_the_other_way_round_added_and_removed_change_places(before, after):
    there, back = compared(before, after), compared(after, before)
    assert (there.n_added, there.n_removed) == (back.n_removed, back.n_added)
    assert there.n_changed == back.n_changed
    assert there.boxes["added"] == back.boxes["removed"]
    for kind in ("moved", "relabelled", "edited"):
        assert there.boxes[kind] == back.boxes[kind]
    assert there.fields == back.fields
    assert there.largest_shift_px == back.largest_shift_px


@given(commits, commits)
def test_counts_lead_from_one_commit_to_the_other(before, after):
    found = compared(before, after)
    assert len(before) + found.n_added - found.n_removed == len(after)
    counts = n_boxes(before)
    for one in found.classes:
        counts[one.class_id] += one.added - one.removed + one.relabelled_to - one.relabelled_from
    assert counts == n_boxes(after)


@given(commits, commits)
def test_a_sample_that_differs_says_how(before, after):
    for one in before.keys() & after.keys():
        if before[one] != after[one]:
            change = diff_sample(Side(before[one], RULE), Side(after[one], RULE))
            assert change.boxes or change.fields
            assert kinds_in(change) <= set(KINDS)


def test_a_moved_box_tells_how_far_and_how_much_it_still_covers():
    (change,) = diff_boxes([annotation(1)], [annotation(1, geometry=box(5))])
    assert (change.kinds, change.shift_px, change.iou) == (["moved"], 5, 1 / 3)


def test_a_box_may_be_moved_relabelled_and_confirmed_at_once():
    before = annotation(1, state="proposed", source="pcb@1")
    (change,) = diff_boxes([before], [annotation(1, class_id="chip", geometry=box(200))])
    assert change.kinds == ["moved", "relabelled", "edited"]
    assert change.iou == 0


def test_a_sample_that_moves_to_another_split_says_from_where():
    before = sample(1, [])
    after = msgspec.structs.replace(before, reserved="audit", slices={"line": "A"}, lane="audit")
    found = diff_sample(Side(before, RULE), Side(after, RULE)).fields
    fields = {one.field: (one.before, one.after) for one in found}
    assert fields["split"][1] == "audit"
    assert fields["slice line"] == ("", "A")
    assert fields["lane"] == ("", "audit")


def test_classes_that_come_go_and_change_their_name_are_told():
    old = Taxonomy([TaxonomyClass(id=ClassId("a"), name="a"), TaxonomyClass(id="b", name="b")])
    new = Taxonomy([TaxonomyClass(id=ClassId("a"), name="A"), TaxonomyClass(id="c", name="c")])
    found = DiffCounter(old, new).summary()
    assert (found.new_classes, found.gone_classes) == (["c"], ["b"])
    assert found.renamed_classes == [("a", "A")]
