"""Label files: what a person edits is what changes."""

from contextlib import suppress
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from sightloop.datasets.geometry import BoxPx, OrientedBoxPx, WholeImage
from sightloop.datasets.values import (
    Annotation,
    AnnotationId,
    ClassId,
    Sample,
    Taxonomy,
    TaxonomyClass,
    sample_id,
)
from sightloop.datasets.working_copies.labels import BadLabels, labels_of, read_labels, with_labels
from sightloop.kernel.digests import digest_of

GOLDEN = Path(__file__).parents[2] / "golden" / "labels.json"
TAXONOMY = Taxonomy(
    [TaxonomyClass(id=ClassId("spot"), name="Spot"), TaxonomyClass(id=ClassId("b"), name="B b")]
)
NAMES = {one.id: one.name for one in TAXONOMY.classes}

geometries = st.one_of(
    st.tuples(*[st.integers(0, 9)] * 2, *[st.integers(10, 19)] * 2).map(lambda c: BoxPx(*c)),
    st.just(OrientedBoxPx((2, 0, 4, 2, 2, 4, 0, 2))),
    st.just(WholeImage()),
)
annotations = st.builds(
    Annotation,
    id=st.integers(0, 2**64).map(lambda n: AnnotationId(f"{n:032x}")),
    class_id=st.sampled_from([ClassId("spot"), ClassId("b")]),
    geometry=geometries,
    source=st.sampled_from(["import", "human", "m@3"]),
    state=st.sampled_from(["proposed", "verified"]),
    attributes=st.dictionaries(st.text(max_size=3), st.one_of(st.booleans(), st.integers(0, 9))),
)


def sample(**fields):
    image = digest_of(b"image")
    return Sample(
        id=sample_id(image, None),
        image=image,
        width_px=20,
        height_px=20,
        media_type="image/jpeg",
        file_name="a.jpg",
        split_key="a",
        **fields,
    )


@given(st.lists(annotations, max_size=4, unique_by=lambda one: one.id))
def test_reading_a_label_file_gives_back_what_was_written(found):
    whole = sample(
        annotations=sorted(found, key=lambda one: one.id), tags=["a"], slices={"line": "A"}
    )
    content = labels_of(whole, NAMES)
    assert with_labels(whole, read_labels(content), TAXONOMY) == whole
    bare = sample()
    assert with_labels(bare, read_labels(content), TAXONOMY) == whole


def test_a_label_file_reads_as_in_its_specification():
    whole = sample(
        labelled_for=[ClassId("b"), ClassId("spot")],
        slices={"line": "A"},
        tags=["night"],
        annotations=[
            Annotation(
                id=AnnotationId("0" * 31 + "1"),
                class_id=ClassId("spot"),
                geometry=BoxPx(1.5, 2, 11, 12),
                source="import",
                state="verified",
                attributes={"occluded": True},
            ),
        ],
    )
    assert labels_of(whole, NAMES).decode() == GOLDEN.read_text()


def test_two_annotations_with_one_id_are_refused():
    one = '{"class": "Spot", "geometry": ["box", 1, 1, 2, 2], "id": "%s"}' % ("0" * 32)
    with pytest.raises(BadLabels, match="the same id"):
        read_labels(f'{{"annotations": [{one}, {one}]}}'.encode())


@given(st.binary(max_size=40))
def test_any_bytes_are_labels_or_are_refused(content):
    with suppress(BadLabels):
        read_labels(content)
