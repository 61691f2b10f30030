"""Two people's changes to the classes brought together. Pure.

Classes are matched by their id. The order is ours, then what theirs has new. What was done to
classes on one side is done to the labels of the other; see `following`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from sightloop.datasets.conflicts import (
    ClassConflict,
    MergeNote,
    Resolve,
    unresolved,
)
from sightloop.datasets.errors import ClassNamesCollide, TaxonomiesDiverge
from sightloop.datasets.following import changes_since, relabels
from sightloop.datasets.merge import settled
from sightloop.datasets.values import ClassId, Taxonomy, TaxonomyChange, TaxonomyClass

_FIELDS = ("name", "supercategory", "keypoints", "skeleton")


class MergedTaxonomy(NamedTuple):
    """The classes of the merge, and what each side did to labels that the other knows not of."""

    taxonomy: Taxonomy
    conflicts: list[ClassConflict]
    done_here: list[TaxonomyChange]
    done_there: list[TaxonomyChange]


def merge_taxonomies(
    base: Taxonomy | None, ours: Taxonomy, theirs: Taxonomy, resolve: Resolve = unresolved
) -> MergedTaxonomy:
    """The classes with the changes of both sides since the base; None of unrelated histories.

    Raises:
        TaxonomiesDiverge: both sides merged or split the same class, in different ways.
        ClassNamesCollide: two classes would have the same name.
    """
    merger = _Merger(resolve)
    old, mine, other = (_by_id(one) for one in (base, ours, theirs))
    merged = [
        kept
        for one in {**mine, **other}
        if (kept := merger.merged(one, old.get(one), mine.get(one), other.get(one)))
    ]
    _check_names(merged)
    here, there = changes_since(base, ours), changes_since(base, theirs)
    done_here = _without(here, there)
    done_there = _without(there, here)
    _check_apart(done_here, done_there)
    changes = [*ours.changes, *done_there]
    return MergedTaxonomy(
        Taxonomy(merged, changes),
        merger.conflicts,
        relabels(done_here),
        relabels(done_there),
    )


def with_used_classes(
    merged: Taxonomy, used: set[ClassId], *sides: Taxonomy
) -> tuple[Taxonomy, list[MergeNote]]:
    """The taxonomy with classes that one side removed and the other has annotations of."""
    lost = used - set(merged.class_ids)
    kept = {one.id: one for side in sides for one in side.classes if one.id in lost}
    notes = [
        MergeNote(
            None, f"class {one} is kept: one side removed it, the other has new objects of it"
        )
        for one in sorted(kept)
    ]
    return Taxonomy([*merged.classes, *kept.values()], merged.changes), notes


class _Merger:
    """Merges classes; collects what could not be settled."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self.conflicts: list[ClassConflict] = []

    def merged(
        self,
        class_id: ClassId,
        base: TaxonomyClass | None,
        ours: TaxonomyClass | None,
        theirs: TaxonomyClass | None,
    ) -> TaxonomyClass | None:
        is_settled, kept = settled(base, ours, theirs)
        if is_settled:
            return kept
        if ours is None or theirs is None:
            names = (one.name if one else None for one in (base, ours, theirs))
            return theirs if self._takes_theirs(class_id, "class", *names) else ours
        fields = {name: self._field(class_id, name, base, ours, theirs) for name in _FIELDS}
        # Two category ids of first imports are no contradiction worth a question: ours it is.
        _, coco_id = settled(base.coco_id if base else None, ours.coco_id, theirs.coco_id)
        return msgspec.structs.replace(ours, coco_id=coco_id, **fields)

    def _field(
        self,
        class_id: ClassId,
        name: str,
        base: TaxonomyClass | None,
        ours: TaxonomyClass,
        theirs: TaxonomyClass,
    ) -> object:
        values = [getattr(one, name) if one else None for one in (base, ours, theirs)]
        is_settled, value = settled(*values)
        if is_settled:
            return value
        texts = (_text(one) for one in values)
        return values[2] if self._takes_theirs(class_id, name, *texts) else values[1]

    def _takes_theirs(
        self,
        class_id: ClassId,
        field: str,
        base: str | None,
        ours: str | None,
        theirs: str | None,
    ) -> bool:
        conflict = ClassConflict(
            key=f"class {class_id} {field}",
            class_id=class_id,
            field=field,
            base=base,
            ours=ours,
            theirs=theirs,
        )
        resolution = self._resolve(conflict)
        if resolution is None:
            self.conflicts.append(conflict)
        return resolution is not None and resolution.take == "theirs"


def _by_id(taxonomy: Taxonomy | None) -> dict[ClassId, TaxonomyClass]:
    return {} if taxonomy is None else {one.id: one for one in taxonomy.classes}


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def _without(changes: list[TaxonomyChange], others: list[TaxonomyChange]) -> list[TaxonomyChange]:
    """What one side did alone, and not both in the same way."""
    return changes_since(Taxonomy([], others), Taxonomy([], changes))


def _check_apart(here: Iterable[TaxonomyChange], there: Iterable[TaxonomyChange]) -> None:
    for mine in relabels(here):
        for other in relabels(there):
            shared = {*mine.classes} & {*other.classes, *other.into} | (
                {*other.classes} & {*mine.into}
            )
            if shared and "remove" not in (mine.kind, other.kind):
                raise TaxonomiesDiverge(class_id=min(shared), ours=_told(mine), theirs=_told(other))


def _check_names(classes: Iterable[TaxonomyClass]) -> None:
    ids: dict[str, ClassId] = {}
    for one in classes:
        if ids.setdefault(one.name, one.id) != one.id:
            raise ClassNamesCollide(name=one.name, classes=[ids[one.name], one.id])


def _told(change: TaxonomyChange) -> str:
    return f"{change.kind} of {', '.join(change.classes)} into {', '.join(change.into)}"
