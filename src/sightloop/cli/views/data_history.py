"""Commits and differences in a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from rich.console import Group, RenderableType
from rich.text import Text

from sightloop.cli.render import facts, table, when
from sightloop.cli.views.data_classes import told_change
from sightloop.datasets.commits import CommitFacts, LoggedCommit
from sightloop.datasets.comparing import CommitDiff
from sightloop.datasets.diff import BoxChange, SampleDiff
from sightloop.datasets.values import ClassId
from sightloop.kernel.digests import short

SHOWN_BOXES = 40


def commits(found: Iterable[LoggedCommit]) -> RenderableType:
    """A history."""
    rows = (
        (
            short(one.commit),
            when(one.committed_at_ms),
            one.actor,
            one.n_samples,
            f"merge of {short(one.parents[1])}" if len(one.parents) > 1 else "",
            one.message,
        )
        for one in found
    )
    columns = ("commit", "when", "who", "images", "merge", "message")
    return table(columns, rows, empty="no commit yet")


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
            *(("classes", told_change(one)) for one in counted.class_changes),
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
    known = {one.id: one.name for one in found.before_record.taxonomy.classes}
    known |= {one.id: one.name for one in found.after_record.taxonomy.classes}
    boxes = [
        Text(f"{_name_of(one)}: {told_box(box, known)}", overflow="fold")
        for one in found.samples
        if one.kind == "changed"
        for box in one.boxes
    ]
    more = f"; the next with --beyond {found.next_beyond}" if found.next_beyond else ""
    end = Text(f"{len(found.samples)} of {found.n_fitting} samples{more}", style="dim")
    by_class = table(columns, classes, empty="no box differs")
    shown = boxes[:SHOWN_BOXES]
    rest = [Text(f"and {len(boxes) - len(shown)} more boxes; --json lists all", style="dim")]
    told = [Text(), *shown, *(rest if len(boxes) > len(shown) else [])] if boxes else []
    return Group(head, Text(), by_class, Text(), listed, *told, Text(), end)


def told_box(box: BoxChange, names: Mapping[ClassId, str]) -> str:
    """What became of one annotation, in words."""
    known = box.after or box.before
    assert known is not None, "a change has at least one side"
    told = f"{names.get(known.class_id, known.class_id)} {' and '.join(box.kinds)}"
    if "moved" in box.kinds:
        told += f" by {box.shift_px or 0:g} px"
        told += "" if box.iou is None else f" (IoU {box.iou:.2f})"
    if "relabelled" in box.kinds and box.before is not None:
        told += f", was {names.get(box.before.class_id, box.before.class_id)}"
    if "edited" in box.kinds and box.before is not None:
        told += f", {box.before.source} {box.before.state} to {known.source} {known.state}"
    return told


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


def _named(strata: dict[str, int]) -> list[tuple[str, int]]:
    return [(name, count) for name, count in strata.items() if name]
