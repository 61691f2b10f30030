"""What other people's formats have no place for."""

from __future__ import annotations

from collections.abc import Iterator

from sightloop.datasets.truths import is_true
from sightloop.datasets.values import IMPORTED, Sample, Taxonomy


def left_behind(sample: Sample, taxonomy: Taxonomy) -> Iterator[str]:
    """What of a sample no foreign format has a place for."""
    for what, is_there in (
        ("capture", sample.capture),
        ("inclusion probability", sample.inclusion_probability is not None),
        ("lane", sample.lane),
        ("partly labelled", set(sample.labelled_for) != set(taxonomy.class_ids)),
        ("quarantine", sample.quarantined),
        ("reservation", sample.reserved),
        ("tags", sample.tags),
    ):
        if is_there:
            yield what
    for one in sample.annotations:
        if not is_true(one):
            yield "proposed annotation"
        elif one.source != IMPORTED:
            yield "annotation source"
