"""Two people's edits of one sample brought together, per annotation and per field. Pure.

A change on one side wins, equal changes agree. Only what both sides changed differently is a
conflict, and of an annotation only that aspect of it: when one side moved a box and the other
relabelled it, the merge has both. Swapping the sides swaps them in the conflicts; nothing else
changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

import msgspec
import numpy as np

from sightloop.datasets.conflicts import (
    AnnotationConflict,
    AnnotationConflictKind,
    Conflict,
    FieldConflict,
    FieldValue,
    MergeNote,
    Resolution,
    Resolve,
    SampleConflict,
    Side,
    unresolved,
)
from sightloop.datasets.geometry import bounds_of, iou_of
from sightloop.datasets.values import Annotation, AnnotationId, ClassId, Sample

SAME_OBJECT_IOU = 0.9
"""Boxes of one class that overlap so much, added on either side, may be the same object."""

_T = TypeVar("_T")
_UNLIKE_FIELDS = frozenset({"slices", "tags", "labelled_for", "annotations"})
_FIELDS = tuple(name for name in Sample.__struct_fields__ if name not in _UNLIKE_FIELDS)
_ASPECTS = ("geometry", "class_id", "source", "state")


class MergedSample(NamedTuple):
    """The sample of the merge, what is left to settle, and what was settled without asking.

    Where a conflict is left, the sample is as on our side.
    """

    sample: Sample | None
    conflicts: list[Conflict]
    notes: list[MergeNote]


def merge_sample(
    base: Sample | None,
    ours: Sample | None,
    theirs: Sample | None,
    resolve: Resolve = unresolved,
) -> MergedSample:
    """The sample with the changes of both sides since the base; None where a side has none.

    Args:
        base: what both sides began with; None when each brought the sample in by itself.
        ours: the sample on the branch that is merged into.
        theirs: the sample on the other side.
        resolve: asked for every conflict.
    """
    is_settled, sample = settled(base, ours, theirs)
    if is_settled:
        return MergedSample(sample, [], [])
    merger = _Merger(resolve)
    if ours is None or theirs is None:
        return MergedSample(merger.kept_or_removed(ours, theirs), merger.conflicts, [])
    return MergedSample(merger.merged(base, ours, theirs), merger.conflicts, merger.notes)


def settled(base: _T, ours: _T, theirs: _T) -> tuple[bool, _T]:
    """Whether the sides do not contradict each other, and what they come to; else our value."""
    if theirs in (base, ours):
        return True, ours
    return ours == base, theirs if ours == base else ours


def combined(
    base: Annotation | None, ours: Annotation, theirs: Annotation, *, prefer: Side
) -> Annotation:
    """An annotation with each aspect from the side that changed it, the preferred one if both."""
    old, mine, other = (_facts(one) for one in (base, ours, theirs))
    merged = {}
    for name in {**mine, **other}:
        is_settled, value = settled(old.get(name), mine.get(name), other.get(name))
        if not is_settled and prefer == "theirs":
            value = other.get(name)
        if value is not None:
            merged[name] = value
    attributes = {
        name.removeprefix("attribute "): merged.pop(name)
        for name in sorted(merged)
        if name not in _ASPECTS
    }
    return msgspec.structs.replace(ours, **merged, attributes=attributes)


class _Merger:
    """One sample's merge; collects what could not be settled."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self.conflicts: list[Conflict] = []
        self.notes: list[MergeNote] = []

    def kept_or_removed(self, ours: Sample | None, theirs: Sample | None) -> Sample | None:
        """A sample that one side removed and the other changed."""
        kept = ours or theirs
        assert kept is not None, "what both sides removed is settled"
        removed_by: Side = "ours" if ours is None else "theirs"
        conflict = SampleConflict(
            key="sample", sample=kept.id, file_name=kept.file_name, removed_by=removed_by
        )
        return theirs if self._is_theirs(conflict) else ours

    def merged(self, base: Sample | None, ours: Sample, theirs: Sample) -> Sample:
        """A sample that both sides have and changed."""
        fields = {
            name: self._field(ours, name, *(_value(one, name) for one in (base, ours, theirs)))
            for name in _FIELDS
        }
        slices = self._slices(base, ours, theirs)
        annotations = self._annotations(base, ours, theirs)
        return msgspec.structs.replace(
            ours,
            **fields,
            slices=slices,
            tags=_merged_set(*(one.tags if one else () for one in (base, ours, theirs))),
            labelled_for=self._labelled_for(base, ours, theirs, annotations),
            annotations=annotations,
        )

    def _field(
        self, sample: Sample, name: str, base: FieldValue, ours: FieldValue, theirs: FieldValue
    ) -> FieldValue:
        is_settled, value = settled(base, ours, theirs)
        if is_settled:
            return value
        conflict = FieldConflict(
            key=f"field {name}", sample=sample.id, field=name, base=base, ours=ours, theirs=theirs
        )
        resolution = self._asked(conflict)
        if resolution is not None and resolution.take == "by hand":
            return resolution.value
        return theirs if resolution is not None and resolution.take == "theirs" else ours

    def _slices(self, base: Sample | None, ours: Sample, theirs: Sample) -> dict[str, str]:
        merged = {}
        for field in sorted(ours.slices.keys() | theirs.slices.keys()):
            values = (one.slices.get(field) if one else None for one in (base, ours, theirs))
            value = self._field(ours, f"slice {field}", *values)
            if value is not None:
                merged[field] = str(value)
        return merged

    def _annotations(self, base: Sample | None, ours: Sample, theirs: Sample) -> list[Annotation]:
        old, mine, other = (_by_id(one) for one in (base, ours, theirs))
        merged: dict[AnnotationId, Annotation] = {}
        for one in mine.keys() | other.keys():
            kept = self._annotation(ours, old.get(one), mine.get(one), other.get(one))
            if kept is not None:
                merged[one] = kept
        added_here, added_there = (
            [one for one in side.values() if one.id not in old and one.id not in across]
            for side, across in ((mine, other), (other, mine))
        )
        for first, second in _alike(added_here, added_there):
            self._one_of(ours, first, second, merged)
        self.conflicts.sort(key=lambda one: one.key)
        return [merged[one] for one in sorted(merged)]

    def _annotation(
        self,
        sample: Sample,
        base: Annotation | None,
        ours: Annotation | None,
        theirs: Annotation | None,
    ) -> Annotation | None:
        is_settled, annotation = settled(base, ours, theirs)
        if is_settled:
            return annotation
        aspects = _differing(base, ours, theirs) if ours and theirs else []
        if ours and theirs and not aspects:
            return combined(base, ours, theirs, prefer="ours")
        known = ours or theirs
        assert known is not None, "what both sides deleted is settled"
        conflict = AnnotationConflict(
            key=f"annotation {known.id}",
            kind=_kind_of(aspects),
            sample=sample.id,
            aspects=aspects,
            base=base,
            ours=ours,
            theirs=theirs,
            iou=_iou(ours, theirs),
        )
        resolution = self._asked(conflict) or Resolution(take="ours")
        if resolution.take == "by hand":
            return _under_id(resolution.annotation, known.id)
        side: Side = "theirs" if resolution.take == "theirs" else "ours"
        if ours and theirs:
            return combined(base, ours, theirs, prefer=side)
        return theirs if side == "theirs" else ours

    def _one_of(
        self,
        sample: Sample,
        ours: Annotation,
        theirs: Annotation,
        merged: dict[AnnotationId, Annotation],
    ) -> None:
        """Two annotations that may be one object: drop one of them, if they are."""
        first, second = sorted((ours.id, theirs.id))
        aspects = _differing(None, ours, theirs)
        if not aspects:
            merged.pop(second)
            text = f"annotations {first} and {second} are the same; the first is kept"
            self.notes.append(MergeNote(sample.id, text))
            return
        conflict = AnnotationConflict(
            key=f"annotations {first} {second}",
            kind="both added",
            sample=sample.id,
            aspects=aspects,
            base=None,
            ours=ours,
            theirs=theirs,
            iou=_iou(ours, theirs),
        )
        resolution = self._asked(conflict) or Resolution(take="ours")
        if resolution.take == "both":
            return
        merged.pop(ours.id if resolution.take == "theirs" else theirs.id)
        if resolution.take == "by hand":
            merged.pop(ours.id)
            if kept := _under_id(resolution.annotation, first):
                merged[first] = kept

    def _labelled_for(
        self,
        base: Sample | None,
        ours: Sample,
        theirs: Sample,
        annotations: Sequence[Annotation],
    ) -> list[ClassId]:
        """The classes of which the merge has every object, as far as that is known.

        What both sides say stays. What one side newly says holds for the objects it knows: it
        stays only if the merge has exactly those.
        """
        old, mine, other = (set(one.labelled_for if one else ()) for one in (base, ours, theirs))
        kept = []
        for class_id in sorted(mine | other):
            who = ours if class_id in mine else theirs
            if class_id in mine & other:
                kept.append(class_id)
            elif class_id not in old:
                if _ids_of(class_id, who.annotations) == _ids_of(class_id, annotations):
                    kept.append(class_id)
                else:
                    text = (
                        f"no longer labelled for every {class_id}: "
                        "the side that did not say so changed some"
                    )
                    self.notes.append(MergeNote(ours.id, text))
        return kept

    def _is_theirs(self, conflict: Conflict) -> bool:
        resolution = self._asked(conflict)
        return resolution is not None and resolution.take == "theirs"

    def _asked(self, conflict: Conflict) -> Resolution | None:
        resolution = self._resolve(conflict)
        if resolution is None:
            self.conflicts.append(conflict)
        return resolution


def _value(sample: Sample | None, name: str) -> FieldValue:
    return None if sample is None else getattr(sample, name)


def _merged_set(base: Iterable[str], ours: Iterable[str], theirs: Iterable[str]) -> list[str]:
    old, mine, other = set(base), set(ours), set(theirs)
    return sorted((mine & other) | (mine - old) | (other - old))


def _by_id(sample: Sample | None) -> Mapping[AnnotationId, Annotation]:
    return {} if sample is None else {one.id: one for one in sample.annotations}


def _ids_of(class_id: ClassId, annotations: Iterable[Annotation]) -> set[AnnotationId]:
    return {one.id for one in annotations if one.class_id == class_id}


def _under_id(annotation: Annotation | None, id_: AnnotationId) -> Annotation | None:
    return None if annotation is None else msgspec.structs.replace(annotation, id=id_)


def _facts(annotation: Annotation | None) -> dict[str, object]:
    """Everything that can differ between two versions of an annotation, by its aspect."""
    if annotation is None:
        return {}
    plain = {name: getattr(annotation, name) for name in _ASPECTS}
    return plain | {f"attribute {name}": one for name, one in annotation.attributes.items()}


def _differing(base: Annotation | None, ours: Annotation, theirs: Annotation) -> list[str]:
    """The aspects that the sides contradict each other in."""
    old, mine, other = (_facts(one) for one in (base, ours, theirs))
    return [
        name
        for name in {**mine, **other}
        if not settled(old.get(name), mine.get(name), other.get(name))[0]
    ]


def _kind_of(aspects: Sequence[str]) -> AnnotationConflictKind:
    if not aspects:
        return "deleted and edited"
    if "geometry" in aspects:
        return "both moved"
    return "both relabelled" if "class_id" in aspects else "both edited"


def _iou(first: Annotation | None, second: Annotation | None) -> float | None:
    boxes = [bounds_of(one.geometry) if one else None for one in (first, second)]
    return iou_of(boxes[0], boxes[1]) if boxes[0] and boxes[1] else None


def _alike(
    ours: Sequence[Annotation], theirs: Sequence[Annotation]
) -> Iterator[tuple[Annotation, Annotation]]:
    """Pairs that may be one object, the best fitting first, none twice."""
    if not ours or not theirs:
        return
    pairs = sorted(_candidates(ours, theirs), key=lambda pair: (-pair[0], *sorted(pair[1:])))
    by_id = {one.id: one for one in (*ours, *theirs)}
    taken: set[AnnotationId] = set()
    for _, first, second in pairs:
        if first not in taken and second not in taken:
            taken |= {first, second}
            yield by_id[first], by_id[second]


def _candidates(
    ours: Sequence[Annotation], theirs: Sequence[Annotation]
) -> Iterator[tuple[float, AnnotationId, AnnotationId]]:
    placed = [(one, box) for one in theirs if (box := bounds_of(one.geometry))]
    x1, y1, x2, y2 = np.array([(b.x1, b.y1, b.x2, b.y2) for _, b in placed]).reshape(-1, 4).T
    for one in ours:
        box = bounds_of(one.geometry)
        if box is None:
            same = [other for other in theirs if bounds_of(other.geometry) is None]
            yield from ((1.0, one.id, other.id) for other in same if other.class_id == one.class_id)
            continue
        # One row against all: an image may have thousands of boxes.
        width = np.minimum(x2, box.x2) - np.maximum(x1, box.x1)
        height = np.minimum(y2, box.y2) - np.maximum(y1, box.y1)
        shared = np.maximum(width, 0.0) * np.maximum(height, 0.0)
        areas = (x2 - x1) * (y2 - y1) + (box.x2 - box.x1) * (box.y2 - box.y1)
        for at in np.flatnonzero(shared >= SAME_OBJECT_IOU * (areas - shared)):
            other = placed[at][0]
            if other.class_id == one.class_id:
                yield float(shared[at] / (areas[at] - shared[at])), one.id, other.id
