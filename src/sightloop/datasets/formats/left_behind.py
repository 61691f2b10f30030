"""What other people's formats have no place for, counted so that nothing is lost in silence."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from sightloop.datasets.boxes import overshoot_px
from sightloop.datasets.geometry import SizePx
from sightloop.datasets.taxonomy import FoundClass, with_classes
from sightloop.datasets.truths import is_true
from sightloop.datasets.values import (
    IMPORTED,
    Annotation,
    LabelledObject,
    Sample,
    Taxonomy,
    imported_annotations,
)


def left_behind(
    sample: Sample, taxonomy: Taxonomy, *, file_name: str, keeps: Collection[str] = ()
) -> Iterator[str]:
    """What of a sample a format loses.

    Args:
        sample: as it is in the commit.
        taxonomy: its classes.
        file_name: under which name it is found again when the files are imported.
        keeps: what of this list the format does have a place for.
    """
    for what, is_there in (
        ("capture", sample.capture),
        ("file name", file_name != sample.file_name),
        ("inclusion probability", sample.inclusion_probability is not None),
        ("lane", sample.lane),
        ("partly labelled", set(sample.labelled_for) != set(taxonomy.class_ids)),
        ("quarantine", sample.quarantined),
        ("reservation", sample.reserved),
        ("slices", sample.slices),
        ("split by rule", sample.reserved is None and not sample.quarantined),
        ("split key", sample.split_key != sample.image),
        ("tags", sample.tags),
    ):
        if is_there and what not in keeps:
            yield what
    yield from _of_annotations(sample)


def classes_left_behind(taxonomy: Taxonomy, found: list[FoundClass]) -> Iterator[str]:
    """What the classes lose that will be `found` in the files, in that order."""
    again = with_classes(Taxonomy(), found).classes
    ids = {one.name: one.id for one in again}
    for one in taxonomy.classes:
        if ids.get(one.name) != one.id:
            yield "class id"
    if [one.name for one in again if one.name in taxonomy.class_names] != taxonomy.class_names:
        yield "class order"


def _of_annotations(sample: Sample) -> Iterator[str]:
    size = SizePx(sample.width_px, sample.height_px)
    true = [one for one in sample.annotations if is_true(one)]
    yield from ["proposed annotation"] * (len(sample.annotations) - len(true))
    for one in true:
        if one.source != IMPORTED:
            yield "annotation source"
        elif one.state != "verified":
            yield "annotation state"
        if overshoot_px(one.geometry, size):
            yield "part outside the image"
    again = {one.id for one in _imported_again(sample, true)}
    yield from ["annotation id" for one in true if one.id not in again]


def _imported_again(sample: Sample, true: list[Annotation]) -> list[Annotation]:
    return imported_annotations(
        sample.id, [LabelledObject(one.class_id, one.geometry, one.attributes) for one in true]
    )
