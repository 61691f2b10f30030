"""Datasets in a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.text import Text

from sightloop.cli.render import facts, table, when
from sightloop.datasets.browsing import CommitStatistics, SamplePage, ShownSample
from sightloop.datasets.commits import CommitFacts, LoggedCommit
from sightloop.datasets.comparing import CommitDiff
from sightloop.datasets.diff import SampleDiff
from sightloop.datasets.exporting import Exported
from sightloop.datasets.geometry import bounds_of
from sightloop.datasets.importing import Imported
from sightloop.datasets.statistics import ClassTable, Statistics
from sightloop.datasets.store import Ref
from sightloop.datasets.values import Annotation, Sample
from sightloop.kernel.digests import short

SHOWN_PROBLEMS = 20
SHOWN_VALUES = 8


def imported(found: Imported) -> RenderableType:
    """What an import did, and what it left out."""
    head = facts(
        [
            ("commit", short(found.commit) if found.is_new else "nothing changed, no new commit"),
            ("samples", f"{found.n_samples} ({found.n_new} new, {found.n_changed} changed)"),
            ("annotations", found.n_annotations),
        ]
    )
    problems = [Text(f"left out: {problem}", style="yellow") for problem in found.problems]
    notes = [Text(f"note: {note}", style="dim") for note in found.notes]
    told = [*problems, *notes]
    more = len(told) - SHOWN_PROBLEMS
    rest = [Text(f"and {more} more; --json lists all", style="dim")] if more > 0 else []
    return Group(head, *told[:SHOWN_PROBLEMS], *rest)


def exported(found: Exported) -> RenderableType:
    """What an export wrote."""
    dropped = ", ".join(f"{name}: {count}" for name, count in found.not_kept.items())
    return facts(
        [
            ("commit", short(found.commit)),
            ("images", f"{found.n_images} in {found.images}"),
            ("annotations", f"{found.n_annotations} in {found.source}"),
            ("not in the files", dropped or "nothing"),
        ]
    )


def commits(found: Iterable[LoggedCommit]) -> RenderableType:
    """A history."""
    rows = (
        (short(one.commit), when(one.committed_at_ms), one.actor, one.n_samples, one.message)
        for one in found
    )
    return table(("commit", "when", "who", "images", "message"), rows, empty="no commit yet")


def commit(found: CommitFacts) -> RenderableType:
    """One commit, counted."""
    record = found.record
    head = facts(
        [
            ("commit", found.commit),
            ("parents", ", ".join(short(parent) for parent in record.parents) or "none"),
            ("who", f"{record.actor}, {when(record.committed_at_ms)}"),
            ("message", record.message),
            ("samples", record.n_samples),
        ]
    )
    return Group(
        head,
        Text(),
        table(("split", "images"), found.splits.items(), empty="no split"),
        Text(),
        table(("slice", "images"), _named(found.strata), empty="no slices"),
        Text(),
        table(("class", "boxes"), found.annotations_by_class.items(), empty="no classes"),
    )


def branches(found: Iterable[Ref]) -> RenderableType:
    """Branches and where they are."""
    rows = ((ref.name, short(ref.commit)) for ref in found)
    return table(
        ("branch", "commit"), rows, empty="no branch yet; `sightloop data import` makes one"
    )


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


def diff(found: CommitDiff) -> RenderableType:
    """Two commits compared: counts, then the samples."""
    counted = found.summary
    assert counted is not None, "the command waits for the counts"
    samples_told = (
        f"{counted.n_added} added, {counted.n_removed} removed, {counted.n_changed} changed"
    )
    head = facts(
        [
            ("from", found.before),
            ("to", found.after),
            ("samples", samples_told),
            ("boxes", ", ".join(f"{n} {kind}" for kind, n in counted.boxes.items())),
            ("largest shift", f"{counted.largest_shift_px:g} px"),
            ("facts", ", ".join(f"{name}: {n}" for name, n in counted.fields.items()) or "same"),
        ]
    )
    classes = (
        (
            one.name,
            f"+{one.added}",
            f"-{one.removed}",
            one.moved,
            f"+{one.relabelled_to} -{one.relabelled_from}",
            one.edited,
        )
        for one in counted.classes
    )
    columns = ("class", "added", "removed", "moved", "relabelled", "edited")
    rows = ((one.id, one.kind, _changes(one), _name_of(one)) for one in found.samples)
    listed = table(("sample", "what", "boxes and facts", "file"), rows, empty="no sample differs")
    more = f"; the next with --beyond {found.next_beyond}" if found.next_beyond else ""
    end = Text(f"{len(found.samples)} of {found.n_fitting} samples{more}", style="dim")
    by_class = table(columns, classes, empty="no box differs")
    return Group(head, Text(), by_class, Text(), listed, Text(), end)


def _changes(change: SampleDiff) -> str:
    kinds = Counter(kind for box in change.boxes for kind in box.kinds)
    boxes = [f"{n} {kind}" for kind, n in kinds.items()]
    return ", ".join(
        [
            *boxes,
            *(f"{one.field}: {one.before or '-'} to {one.after or '-'}" for one in change.fields),
        ]
    )


def _name_of(change: SampleDiff) -> str:
    known = change.after or change.before
    return known.file_name if known else ""


def _slices(sample: Sample) -> str:
    return ", ".join(f"{field}={value}" for field, value in sample.slices.items())


def _corners(box: Annotation) -> tuple[str, ...]:
    corners = bounds_of(box.geometry)
    if corners is None:
        return ("", "", "", "")
    return tuple(f"{one:.1f}" for one in (corners.x1, corners.y1, corners.x2, corners.y2))


def _named(strata: dict[str, int]) -> list[tuple[str, int]]:
    return [(name, count) for name, count in strata.items() if name]
