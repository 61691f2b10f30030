"""Which annotations of a sample count as true, in the form engines and evaluations take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sightloop.contracts.job import LabelledBox
from sightloop.datasets.geometry import bounds_of
from sightloop.datasets.values import IMPORTED, Annotation, ClassId, Sample

CROWD = "iscrowd"
"""The attribute of a box around many objects that were not annotated one by one."""


def is_true(annotation: Annotation) -> bool:
    """Whether a person or an imported file vouches for it; a model's proposal does not count."""
    return annotation.state == "verified" or annotation.source == IMPORTED


def class_indices(class_ids: Sequence[ClassId]) -> dict[ClassId, int]:
    """Each class's position, for `labelled_boxes`."""
    return {class_id: index for index, class_id in enumerate(class_ids)}


def labelled_boxes(sample: Sample, indices: Mapping[ClassId, int]) -> list[LabelledBox]:
    """The true boxes of single objects whose class is among `indices`; not of whole images."""
    return [
        LabelledBox(indices[one.class_id], box.x1, box.y1, box.x2, box.y2)
        for one in sample.annotations
        if one.class_id in indices
        and is_true(one)
        and not one.attributes.get(CROWD)
        and (box := bounds_of(one.geometry)) is not None
    ]
