"""Samples and their counts in a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from sightloop.cli.render import facts, table, when
from sightloop.datasets.browsing import CommitStatistics, SamplePage, ShownSample
from sightloop.datasets.geometry import bounds_of
from sightloop.datasets.statistics import ClassTable, Statistics
from sightloop.datasets.values import Annotation, Sample
from sightloop.kernel.digests import short

SHOWN_VALUES = 8


def samples(found: SamplePage) -> RenderableType:
    """A page of samples, and how to get the next."""
    rows = (
        (
            one.sample.id,
            one.split,
            _slices(one.sample),
            len(one.sample.annotations),
            one.sample.file_name,
        )
        for one in found.samples
    )
    listed = table(("sample", "split", "slices", "boxes", "file"), rows, empty="no sample fits")
    end = f"{len(found.samples)} of {found.total} samples"
    more = f"; the next with --after {found.next_after}" if found.next_after else ""
    return Group(listed, Text(), Text(end + more, style="dim"))


def sample(found: ShownSample) -> RenderableType:
    """One sample."""
    one = found.sample
    names = {known.id: known.name for known in found.taxonomy.classes}
    head = facts(
        [
            ("sample", one.id),
            ("image", f"{one.image}, {one.width_px} x {one.height_px} px, {one.media_type}"),
            ("file", one.file_name),
            ("split", f"{found.split}, by key {one.split_key}"),
            ("slices", _slices(one) or "none"),
            ("lane", one.lane or "none"),
        ]
    )
    boxes = (
        (names.get(box.class_id, box.class_id), *_corners(box), box.source, box.state)
        for box in one.annotations
    )
    steps = (
        (short(step.commit), when(step.committed_at_ms), step.kind, step.actor, step.message)
        for step in found.history
    )
    return Group(
        head,
        Text(),
        table(("class", "x1", "y1", "x2", "y2", "source", "state"), boxes, empty="no box"),
        Text(),
        table(("commit", "when", "what", "who", "message"), steps, empty="no commit changed it"),
    )


def statistics(found: CommitStatistics) -> RenderableType:
    """A commit, counted."""
    counted = found.statistics
    assert counted is not None, "the command waits for the counts"
    head = facts(
        [
            ("commit", found.commit),
            ("images", f"{counted.n_images}, {counted.n_without_boxes} of them without a box"),
            ("boxes", f"{counted.n_boxes}, {counted.n_proposed} of them proposed"),
            ("box sizes", ", ".join(f"{name} {n}" for name, n in counted.sizes.items())),
        ]
    )
    classes = ((one.name, one.images, one.boxes) for one in counted.classes)
    tables = [
        table(("class", "images", "boxes"), classes, empty="no classes"),
        table(("split", "images", "boxes"), counted.splits, empty="no images"),
        table(("lane", "images", "boxes"), counted.lanes, empty="no images"),
        *(table((one.field, "images", "boxes"), one.values, empty="-") for one in counted.slices),
        *(_class_table(one, counted) for one in counted.class_tables if one.values),
        table(("source", "n verified", "n proposed"), counted.sources, empty="no boxes"),
        table(("image size", "images", "boxes"), counted.image_sizes, empty="no images"),
        table(("image shape", "images", "boxes"), counted.shapes, empty="no images"),
    ]
    return Group(head, *(part for one in tables for part in (Text(), one)))


def _class_table(one: ClassTable, counted: Statistics) -> RenderableType:
    """Boxes per class and value, as far as a terminal is wide."""
    columns = (f"class by {one.field}", *(f"n {value}" for value in one.values[:SHOWN_VALUES]))
    rows = (
        (known.name, *boxes[:SHOWN_VALUES])
        for known, boxes in zip(counted.classes, one.boxes, strict=True)
    )
    return table(columns, rows, empty="no boxes")


def _slices(sample: Sample) -> str:
    return ", ".join(f"{field}={value}" for field, value in sample.slices.items())


def _corners(box: Annotation) -> tuple[str, ...]:
    corners = bounds_of(box.geometry)
    if corners is None:
        return ("", "", "", "")
    return tuple(f"{one:.1f}" for one in (corners.x1, corners.y1, corners.x2, corners.y2))
