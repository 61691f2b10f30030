"""Merges and their conflicts in a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.text import Text

from sightloop.cli.render import facts, table
from sightloop.datasets.conflicts import (
    AnnotationConflict,
    ClassConflict,
    Conflict,
    FieldConflict,
    SampleConflict,
)
from sightloop.datasets.geometry import bounds_of
from sightloop.datasets.merging import AbortedMerge, Merged
from sightloop.datasets.resolving import ConflictPage, ListedConflict, MergeFacts
from sightloop.datasets.values import Annotation, ClassId, Taxonomy
from sightloop.kernel.digests import short

SHOWN_NOTES = 20


def merged(found: Merged) -> RenderableType:
    """What came of a merge."""
    if found.outcome == "conflicts":
        return Text(
            f"{found.n_conflicts} conflicts, nothing moved: merge {found.merge} waits\n"
            f"see `sightloop data conflicts {found.merge}`, settle them with `data resolve`, "
            "then `data merge --continue`",
            style="yellow",
        )
    if found.outcome == "up to date":
        return Text(f"{found.branch} has it all already; nothing changed")
    changes = f"{found.n_added} added, {found.n_changed} changed, {found.n_removed} removed"
    head = facts(
        [
            ("outcome", found.outcome),
            (found.branch, short(found.commit)),
            ("base", short(found.base) if found.base else "none: nothing in common"),
            ("samples", changes),
        ]
    )
    notes = [Text(f"note: {one.sample or ''} {one.text}", style="dim") for one in found.notes]
    more = len(notes) - SHOWN_NOTES
    rest = [Text(f"and {more} more; --json lists all", style="dim")] if more > 0 else []
    return Group(head, *notes[:SHOWN_NOTES], *rest)


def aborted(found: AbortedMerge) -> RenderableType:
    """A merge that was given up."""
    return Text(f"merge {found.merge} is forgotten; {found.branch} is where it was")


def merges(found: Iterable[MergeFacts]) -> RenderableType:
    """Open merges."""
    rows = (
        (
            one.id,
            f"{one.source} into {one.branch}",
            f"{one.n_resolved} of {one.n_conflicts}",
            "outdated: merge again" if one.is_outdated else "",
            one.opened_by,
        )
        for one in found
    )
    return table(("merge", "what", "settled", "state", "who"), rows, empty="no merge is open")


def conflicts(found: ConflictPage) -> RenderableType:
    """Conflicts of an open merge."""
    merge = found.merge
    names = _names(found.taxonomy)
    rows = [
        (one.number, _where(one), one.conflict.kind, *_sides(one.conflict, names), _decision(one))
        for one in found.conflicts
    ]
    head = facts(
        [
            ("merge", f"{merge.id}: {merge.source} into {merge.branch}"),
            ("settled", f"{merge.n_resolved} of {merge.n_conflicts}"),
            ("state", "the branch has moved: merge again" if merge.is_outdated else "open"),
        ]
    )
    listed = table(
        ("#", "where", "what", "base", "ours", "theirs", "settled"), rows, empty="no conflict"
    )
    more = f"the next with --after {found.next_after}" if found.next_after else ""
    return Group(head, Text(), listed, Text(more, style="dim"))


def settled(found: ListedConflict) -> RenderableType:
    """A conflict that was settled."""
    return Text(f"conflict {found.number} ({found.conflict.kind}): {_decision(found)}")


def _where(one: ListedConflict) -> str:
    if isinstance(one.conflict, ClassConflict):
        return f"class {one.conflict.class_id}"
    return one.sample.file_name if one.sample and one.sample.file_name else one.conflict.sample


def _sides(conflict: Conflict, names: dict[ClassId, str]) -> tuple[str, str, str]:
    if isinstance(conflict, AnnotationConflict):
        base, ours, theirs = (
            _drawn(one, names) for one in (conflict.base, conflict.ours, conflict.theirs)
        )
        overlap = f" (IoU {conflict.iou:.2f})" if conflict.iou is not None else ""
        return base, ours, theirs + overlap
    if isinstance(conflict, SampleConflict):
        kept = "changed", "removed"
        return ("", *(kept if conflict.removed_by == "theirs" else kept[::-1]))
    assert isinstance(conflict, FieldConflict | ClassConflict), "every kind of conflict is shown"
    base, ours, theirs = (
        "-" if one is None else str(one) for one in (conflict.base, conflict.ours, conflict.theirs)
    )
    return f"{conflict.field}: {base}", ours, theirs


def _drawn(annotation: Annotation | None, names: dict[ClassId, str]) -> str:
    if annotation is None:
        return "none"
    name = names.get(annotation.class_id, annotation.class_id)
    box = bounds_of(annotation.geometry)
    if box is None:
        return name
    return f"{name} {box.x1:g},{box.y1:g},{box.x2:g},{box.y2:g}"


def _decision(one: ListedConflict) -> str:
    return "" if one.decision is None else f"{one.decision.resolution.take} by {one.decision.by}"


def _names(taxonomy: Taxonomy) -> dict[ClassId, str]:
    return {one.id: one.name for one in taxonomy.classes}
