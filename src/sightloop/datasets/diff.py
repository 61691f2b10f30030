"""What became of samples and boxes from one commit to another. Pure.

Annotations are matched by their id, which stays through edits. A box that is drawn anew is one box
removed and one added: that is what happened. Swapping the two sides swaps added and removed, and
the two ways of being relabelled; everything else stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from sightloop.datasets.following import changes_since
from sightloop.datasets.geometry import bounds_of, iou_of, shift_px
from sightloop.datasets.splits import SplitRule, split_of
from sightloop.datasets.values import (
    Annotation,
    AnnotationId,
    ClassId,
    Sample,
    SampleId,
    Taxonomy,
    TaxonomyChange,
)

SampleChangeKind = Literal["added", "removed", "changed"]
BoxChangeKind = Literal["added", "removed", "moved", "relabelled", "edited"]

NO_SPLIT = "quarantined"
"""How a sample that stands in no split is told from others."""

_PLAIN_FIELDS = (
    "width_px",
    "height_px",
    "media_type",
    "file_name",
    "split_key",
    "lane",
    "inclusion_probability",
    "reserved",
)


class Side(NamedTuple):
    """A sample as one of the two commits has it, and the rule that says where it stands."""

    sample: Sample
    rule: SplitRule


class FieldChange(msgspec.Struct, frozen=True):
    """A fact of a sample that is not the same any more, as text; "" where it was not given."""

    field: str
    before: str
    after: str


class BoxChange(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one annotation; it may be moved, relabelled and edited at once."""

    id: AnnotationId
    kinds: list[BoxChangeKind]
    before: Annotation | None
    after: Annotation | None
    iou: float | None = None
    """Of the two bounding boxes, in [0, 1]; None where one is missing."""
    shift_px: float | None = None
    """How far the coordinate that moved most has moved; see `geometry.shift_px`."""


class SampleDiff(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one sample."""

    id: SampleId
    kind: SampleChangeKind
    before: Sample | None
    after: Sample | None
    fields: list[FieldChange]
    boxes: list[BoxChange]


class ClassCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many annotations of one class had which fate; a moved one counts for its new class.

    Annotations of the class after = before + added - removed + relabelled_to - relabelled_from.
    """

    class_id: ClassId
    name: str
    added: int = 0
    removed: int = 0
    moved: int = 0
    edited: int = 0
    relabelled_to: int = 0
    relabelled_from: int = 0


class DiffSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Two commits compared, counted."""

    n_added: int
    n_removed: int
    n_changed: int
    boxes: dict[BoxChangeKind, int]
    """Annotations, over all classes."""
    classes: list[ClassCounts]
    """Classes with any change, in taxonomy order."""
    fields: dict[str, int]
    """Samples by the field that changed, most first; `slice line` for the slice `line`."""
    largest_shift_px: float
    lowest_iou: float | None
    """Of boxes that moved; None when none did."""
    new_classes: list[str]
    gone_classes: list[str]
    renamed_classes: list[tuple[str, str]]
    class_changes: list[TaxonomyChange] = []
    """What was done to classes from the one commit to the other, oldest first."""


def diff_sample(before: Side | None, after: Side | None) -> SampleDiff:
    """What became of a sample that at least one side has."""
    old, new = (None if side is None else side.sample for side in (before, after))
    known = new or old
    assert known is not None, "a sample that neither side has is no difference"
    fields = _field_changes(before, after) if before and after else []
    return SampleDiff(
        id=known.id,
        kind="added" if old is None else "removed" if new is None else "changed",
        before=old,
        after=new,
        fields=fields,
        boxes=diff_boxes(old.annotations if old else (), new.annotations if new else ()),
    )


def diff_boxes(before: Iterable[Annotation], after: Iterable[Annotation]) -> list[BoxChange]:
    """What became of which annotation, in order of the ids; nothing of those that are the same."""
    old, new = ({one.id: one for one in side} for side in (before, after))
    return [
        _box_change(old.get(one), new.get(one))
        for one in sorted(old.keys() | new.keys())
        if old.get(one) != new.get(one)
    ]


class DiffCounter:
    """Adds up sample by sample what a summary says, so that no list of all of them is needed."""

    def __init__(self, before: Taxonomy, after: Taxonomy) -> None:
        self._before, self._after = before, after
        self._samples: Counter[str] = Counter()
        self._boxes: Counter[BoxChangeKind] = Counter()
        self._by_class: Counter[tuple[ClassId, str]] = Counter()
        self._fields: Counter[str] = Counter()
        self._largest_shift_px = 0.0
        self._lowest_iou: float | None = None

    def add(self, change: SampleDiff) -> None:
        """Count one sample."""
        self._samples[change.kind] += 1
        self._fields.update(one.field for one in change.fields)
        for box in change.boxes:
            self._boxes.update(box.kinds)
            self._by_class.update(_fates(box))
            if "moved" in box.kinds:
                self._largest_shift_px = max(self._largest_shift_px, box.shift_px or 0.0)
                lowest = 1.0 if self._lowest_iou is None else self._lowest_iou
                self._lowest_iou = min(lowest, box.iou or 0.0)

    def summary(self) -> DiffSummary:
        """What was counted so far."""
        old, new = ({one.id: one.name for one in t.classes} for t in (self._before, self._after))
        return DiffSummary(
            n_added=self._samples["added"],
            n_removed=self._samples["removed"],
            n_changed=self._samples["changed"],
            boxes={kind: self._boxes[kind] for kind in _BOX_KINDS},
            classes=[
                counts
                for class_id, name in {**old, **new}.items()
                if (counts := self._counts_of(class_id, name)) is not None
            ],
            fields=dict(self._fields.most_common()),
            largest_shift_px=self._largest_shift_px,
            lowest_iou=self._lowest_iou,
            new_classes=[name for one, name in new.items() if one not in old],
            gone_classes=[name for one, name in old.items() if one not in new],
            renamed_classes=[
                (old[one], new[one]) for one in old if new.get(one, old[one]) != old[one]
            ],
            class_changes=changes_since(self._before, self._after),
        )

    def _counts_of(self, class_id: ClassId, name: str) -> ClassCounts | None:
        counts = {fate: self._by_class[class_id, fate] for fate in _FATES}
        return ClassCounts(class_id=class_id, name=name, **counts) if any(counts.values()) else None


def kinds_in(change: SampleDiff) -> set[str]:
    """Every word by which this sample can be asked for: its own kind, and those of its boxes.

    Those of boxes are `box added` and so on; `facts` says that something besides boxes changed.
    """
    boxes = {f"box {kind}" for box in change.boxes for kind in box.kinds}
    return {change.kind, *boxes, *(["facts"] if change.fields else [])}


KINDS: Sequence[str] = (
    "added",
    "removed",
    "changed",
    "box added",
    "box removed",
    "box moved",
    "box relabelled",
    "box edited",
    "facts",
)
"""All words of `kinds_in`."""

_BOX_KINDS: Sequence[BoxChangeKind] = ("added", "removed", "moved", "relabelled", "edited")
_FATES = ("added", "removed", "moved", "edited", "relabelled_to", "relabelled_from")


def _box_change(old: Annotation | None, new: Annotation | None) -> BoxChange:
    known = new or old
    assert known is not None, "an annotation of neither side is no change"
    if old is None or new is None:
        return BoxChange(
            id=known.id, kinds=["added" if old is None else "removed"], before=old, after=new
        )
    first, second = old.geometry, new.geometry
    kinds: list[BoxChangeKind] = []
    if first != second:
        kinds.append("moved")
    if old.class_id != new.class_id:
        kinds.append("relabelled")
    if (old.source, old.state, old.attributes) != (new.source, new.state, new.attributes):
        kinds.append("edited")
    old_box, new_box = bounds_of(first), bounds_of(second)
    return BoxChange(
        id=known.id,
        kinds=kinds,
        before=old,
        after=new,
        iou=iou_of(old_box, new_box) if old_box and new_box else None,
        shift_px=shift_px(first, second),
    )


def _fates(box: BoxChange) -> list[tuple[ClassId, str]]:
    """Under which class the change counts as what."""
    fates: list[tuple[ClassId, str]] = []
    for kind in box.kinds:
        if kind == "relabelled":
            fates += [(box.before.class_id, "relabelled_from")] if box.before else []
            fates += [(box.after.class_id, "relabelled_to")] if box.after else []
        else:
            known = box.after or box.before
            assert known is not None, "a change has at least one side"
            fates.append((known.class_id, kind))
    return fates


def _field_changes(before: Side, after: Side) -> list[FieldChange]:
    old, new = _facts_of(before), _facts_of(after)
    return [
        FieldChange(name, old.get(name, ""), new.get(name, ""))
        for name in {**old, **new}
        if old.get(name, "") != new.get(name, "")
    ]


def _facts_of(side: Side) -> Mapping[str, str]:
    """Everything that is known of a sample besides its boxes, as text."""
    sample = side.sample
    facts = {"split": split_of(sample, side.rule) or NO_SPLIT}
    for name in _PLAIN_FIELDS:
        value = getattr(sample, name)
        facts[name] = "" if value is None else str(value)
    facts["tags"] = ", ".join(sorted(sample.tags))
    facts["labelled_for"] = ", ".join(sorted(sample.labelled_for))
    facts |= {f"slice {field}": value for field, value in sample.slices.items()}
    return facts
