"""What a sample loses in a format, once what the format does keep is taken off the list."""

from __future__ import annotations

from collections.abc import Collection

from sightloop.datasets.formats.left_behind import left_behind
from sightloop.datasets.values import Sample, Taxonomy


def losses_of(
    sample: Sample, taxonomy: Taxonomy, *, file_name: str, keeps: Collection[str]
) -> set[str]:
    """What of the sample as a whole is not in the files.

    Args:
        sample: as it is in the commit.
        taxonomy: its classes.
        file_name: under which name its image is found again.
        keeps: what of `left_behind` the format has a place for.
    """
    lost = set(left_behind(sample, taxonomy))
    if sample.slices:
        lost.add("slices")
    if sample.split_key != sample.image:
        lost.add("split key")
    if file_name != sample.file_name:
        lost.add("file name")
    if sample.reserved is None and not sample.quarantined:
        lost.add("split by rule")
    return lost - set(keeps)
