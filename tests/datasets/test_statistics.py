"""Counts over a commit are those of counting its rows one by one."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightloop.datasets.geometry import BoxPx, area_of
from sightloop.datasets.index import build_index, size_of
from sightloop.datasets.splits import SplitRule, split_of
from sightloop.datasets.statistics import ClassTable, Statistics, count_all
from sightloop.datasets.taxonomy import FoundClass, with_classes
from sightloop.datasets.values import (
    Annotation,
    AnnotationId,
    ClassId,
    Sample,
    Taxonomy,
    sample_id,
)
from sightloop.kernel.digests import digest_of

RULE = SplitRule()
CLASSES = [ClassId("dent"), ClassId("hole"), ClassId("spot")]
TAXONOMY = with_classes(Taxonomy(), [FoundClass(name) for name in CLASSES])

labels = st.tuples(
    st.sampled_from(CLASSES[:2]),
    st.sampled_from([4, 40, 200]),
    st.sampled_from(["import", "human", "m@1"]),
    st.sampled_from(["verified", "proposed"]),
)
images = st.fixed_dictionaries(
    {
        "labels": st.lists(labels, max_size=4),
        "slices": st.dictionaries(st.sampled_from(["line", "light"]), st.sampled_from("AB")),
        "size": st.sampled_from([(640, 480), (480, 640), (400, 400), (900, 300)]),
        "split_key": st.text("ab", max_size=3),
    }
)


def made(number: int, facts: dict[str, Any]) -> Sample:
    image = digest_of(b"%d" % number)
    annotations = [
        Annotation(
            id=AnnotationId(f"{at:032x}"),
            class_id=name,
            geometry=BoxPx(0, 0, side, side),
            source=source,
            state=state,
        )
        for at, (name, side, source, state) in enumerate(facts["labels"])
    ]
    return Sample(
        id=sample_id(image, None),
        image=image,
        width_px=facts["size"][0],
        height_px=facts["size"][1],
        media_type="image/png",
        file_name=f"{number}.png",
        split_key=facts["split_key"],
        slices=facts["slices"],
        annotations=annotations,
    )


def counted(samples: list[Sample]) -> Statistics:
    ordered = sorted(samples, key=lambda one: one.id)
    return count_all(build_index(digest_of(b""), ordered, RULE), TAXONOMY)


def cells(table: ClassTable) -> Counter[tuple[str, str]]:
    found = Counter()
    for class_id, row in zip(CLASSES, table.boxes, strict=True):
        found.update({(class_id, value): n for value, n in zip(table.values, row, strict=True)})
    return +found


data_sets = st.lists(images, max_size=10).map(
    lambda found: [made(number, facts) for number, facts in enumerate(found)]
)


@settings(deadline=None)
@given(data_sets)
def test_boxes_per_class_and_value_are_those_of_the_rows(samples):
    tables = {one.field: cells(one) for one in counted(samples).class_tables}
    boxes = [(sample, one) for sample in samples for one in sample.annotations]
    assert tables["split"] == Counter((one.class_id, split_of(s, RULE)) for s, one in boxes)
    assert tables["box size"] == Counter(
        (one.class_id, size_of(area_of(one.geometry))) for _, one in boxes
    )
    for field in ("line", "light"):
        with_field = [(s, one) for s, one in boxes if field in s.slices]
        wanted = Counter((one.class_id, s.slices[field]) for s, one in with_field)
        assert tables.get(field, Counter()) == wanted


@settings(deadline=None)
@given(data_sets)
def test_sources_and_states_are_those_of_the_rows(samples):
    boxes = [one for sample in samples for one in sample.annotations]
    found = {one.source: (one.verified, one.proposed) for one in counted(samples).sources}
    assert found == {
        source: (
            sum(one.source == source and one.state == "verified" for one in boxes),
            sum(one.source == source and one.state == "proposed" for one in boxes),
        )
        for source in {one.source for one in boxes}
    }


@settings(deadline=None)
@given(data_sets)
def test_image_sizes_are_those_of_the_rows(samples):
    found = {one.name: one.images for one in counted(samples).image_sizes}
    assert found == Counter(f"{one.width_px} x {one.height_px}" for one in samples)


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        ((100, 300), "tall"),
        ((480, 640), "upright"),
        ((400, 400), "square"),
        ((640, 480), "wide"),
        ((900, 300), "very wide"),
    ],
)
def test_a_shape_is_told_by_width_over_height(size, shape):
    facts = {"labels": [], "slices": {}, "size": size, "split_key": "k"}
    assert [one.name for one in counted([made(0, facts)]).shapes] == [shape]


def test_a_class_without_boxes_has_a_row_of_zeros():
    facts = {"labels": [("dent", 4, "human", "verified")], "slices": {"line": "A"}}
    sample = made(0, {**facts, "size": (640, 480), "split_key": "k"})
    table = next(one for one in counted([sample]).class_tables if one.field == "line")
    assert (table.values, table.boxes) == (["A"], [[1], [0], [0]])
