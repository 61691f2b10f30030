"""What pages about merges draw and say: a conflict's three versions, side by side. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sightloop.datasets.conflicts import (
    AnnotationConflict,
    ClassConflict,
    Conflict,
    FieldConflict,
    SampleConflict,
)
from sightloop.datasets.geometry import BoxPx, bounds_of
from sightloop.datasets.resolving import ListedConflict
from sightloop.datasets.values import Annotation, ClassId, Taxonomy
from sightloop.server.console.dataset_drawings import Stroke, outline

NOTHING = "–"
STYLES = ("m-base", "m-ours", "m-theirs")
_WORDS = {
    "geometry": "place",
    "class_id": "class",
    "source": "source",
    "state": "state",
}


class Line(NamedTuple):
    """One thing that differs, as the base, our side and theirs have it."""

    what: str
    base: str
    ours: str
    theirs: str
    is_conflict: bool


class ShownConflict(NamedTuple):
    """A conflict with everything a page shows of it."""

    listed: ListedConflict
    title: str
    strokes: list[Stroke]
    """The box of the base, ours and theirs, in this order, as far as they are there."""
    lines: list[Line]
    box: BoxPx | None
    """What drawing by hand begins with; None where there is no plain box."""
    class_id: ClassId | None
    value: str
    """Of a field: what typing by hand begins with."""
    decided: str


def shown_conflict(listed: ListedConflict, taxonomy: Taxonomy) -> ShownConflict:
    """The conflict for a page."""
    conflict = listed.conflict
    names = {one.id: one.name for one in taxonomy.classes}
    start = _start(conflict)
    box = start.geometry if start is not None and isinstance(start.geometry, BoxPx) else None
    return ShownConflict(
        listed=listed,
        title=_title(listed),
        strokes=_strokes(conflict),
        lines=_lines(conflict, names),
        box=box,
        class_id=None if start is None else start.class_id,
        value=_said(conflict.ours) if isinstance(conflict, FieldConflict) else "",
        decided=_decided(listed, names),
    )


def _start(conflict: Conflict) -> Annotation | None:
    if not isinstance(conflict, AnnotationConflict):
        return None
    return conflict.ours or conflict.theirs


def _title(listed: ListedConflict) -> str:
    if isinstance(listed.conflict, ClassConflict):
        return f"class {listed.conflict.class_id}"
    name = listed.sample.file_name if listed.sample else ""
    return name or listed.conflict.sample


def _strokes(conflict: Conflict) -> list[Stroke]:
    if not isinstance(conflict, AnnotationConflict):
        return []
    sides = zip(STYLES, (conflict.base, conflict.ours, conflict.theirs), strict=True)
    return [Stroke(style, outline(one.geometry)) for style, one in sides if one is not None]


def _lines(conflict: Conflict, names: Mapping[ClassId, str]) -> list[Line]:
    if isinstance(conflict, AnnotationConflict):
        return _annotation_lines(conflict, names)
    if isinstance(conflict, SampleConflict):
        kept = ("changed", "removed")
        ours, theirs = kept if conflict.removed_by == "theirs" else kept[::-1]
        return [Line("sample", "there", ours, theirs, is_conflict=True)]
    base, ours, theirs = (_said(one) for one in (conflict.base, conflict.ours, conflict.theirs))
    return [Line(conflict.field, base, ours, theirs, is_conflict=True)]


def _annotation_lines(conflict: AnnotationConflict, names: Mapping[ClassId, str]) -> list[Line]:
    sides = (conflict.base, conflict.ours, conflict.theirs)
    facts = [_facts(one, names) for one in sides]
    lines = []
    if conflict.kind == "deleted and edited":
        ours, theirs = ("deleted" if one is None else "edited" for one in sides[1:])
        lines.append(Line("object", "there", ours, theirs, is_conflict=True))
    for what in dict.fromkeys(name for one in facts for name in one):
        # A side without the object says nothing about its place or class.
        present = {one.get(what) for one in facts if one}
        if len(present) > 1:
            base, ours, theirs = (one.get(what, NOTHING) for one in facts)
            is_conflict = what in conflict.aspects
            lines.append(Line(_WORDS.get(what, what), base, ours, theirs, is_conflict))
    return lines


def _facts(annotation: Annotation | None, names: Mapping[ClassId, str]) -> dict[str, str]:
    if annotation is None:
        return {}
    box = bounds_of(annotation.geometry)
    place = "whole image" if box is None else _corners(box)
    facts = {
        "geometry": place,
        "class_id": names.get(annotation.class_id, annotation.class_id),
        "source": annotation.source,
        "state": annotation.state,
    }
    return facts | {f"attribute {name}": str(one) for name, one in annotation.attributes.items()}


def _corners(box: BoxPx) -> str:
    return f"{box.x1:.1f}, {box.y1:.1f} to {box.x2:.1f}, {box.y2:.1f}"


def _said(value: object) -> str:
    return NOTHING if value is None else str(value)


def _decided(listed: ListedConflict, names: Mapping[ClassId, str]) -> str:
    if listed.decision is None:
        return ""
    resolution = listed.decision.resolution
    if resolution.take != "by hand":
        return resolution.take
    if isinstance(listed.conflict, FieldConflict):
        return f"by hand: {_said(resolution.value)}"
    if resolution.annotation is None:
        return "by hand: there is no such object"
    facts: Sequence[str] = list(_facts(resolution.annotation, names).values())[:2]
    return f"by hand: {facts[1]}, {facts[0]}"
