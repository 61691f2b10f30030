"""Which annotation of a file is which annotation of before. Pure.

Most formats carry no ids of annotations. When such a file comes in again, each of its objects is
held against those that the sample had, so that a box that was moved stays the same annotation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from operator import attrgetter

import msgspec

from sightloop.datasets.geometry import Placed, WholeImage, iou_of
from sightloop.datasets.truths import is_true
from sightloop.datasets.values import Annotation, AnnotationId

SAME_OBJECT_IOU = 0.5
"""Boxes of different classes that share this much are one object, relabelled."""

_ID_DIGITS = 32


def with_known_ids(
    old: Sequence[Annotation],
    new: Iterable[Annotation],
    *,
    keep_proposals: bool = True,
    taken: Collection[AnnotationId] = (),
) -> list[Annotation]:
    """The new annotations, each under the id of the old one that it is, in order of the ids.

    Paired are, first to last: what is equal in class, geometry and attributes (the old annotation
    then stays as it was, with its source and state); equal in class and geometry; equal in
    geometry; of one class and overlapping, the most overlapping first; and of different classes
    with an overlap of at least `SAME_OBJECT_IOU`. An old annotation that nothing pairs with is
    left out, unless it is a model's proposal: most files say nothing of those.

    Args:
        old: what the sample had.
        new: what the file says, with ids as they would be if nothing was known.
        keep_proposals: whether the file says nothing of proposals.
        taken: ids that other annotations of the sample have.
    """
    pairing = _Pairing(old, new)
    pairing.pair_equal(lambda one: (one.class_id, one.geometry, _attributes(one)), keep_old=True)
    pairing.pair_equal(lambda one: (one.class_id, one.geometry))
    pairing.pair_equal(attrgetter("geometry"))
    pairing.pair_overlapping(same_class=True)
    pairing.pair_overlapping(same_class=False)
    return pairing.finished(keep_proposals=keep_proposals, taken=taken)


class _Pairing:
    """Old and new annotations that have no partner yet, and those that have."""

    def __init__(self, old: Iterable[Annotation], new: Iterable[Annotation]) -> None:
        self._old = {one.id: one for one in sorted(old, key=attrgetter("id"))}
        self._new = sorted(new, key=attrgetter("id"))
        self._paired: list[Annotation] = []

    def pair_equal(self, key_of: Callable[[Annotation], object], *, keep_old: bool = False) -> None:
        """Pair annotations with equal keys, in order of their ids."""
        known: dict[object, list[Annotation]] = {}
        for one in reversed(self._old.values()):
            known.setdefault(key_of(one), []).append(one)
        left = []
        for one in self._new:
            olds = known.get(key_of(one))
            if olds:
                self._pair(olds.pop(), one, keep_old=keep_old)
            else:
                left.append(one)
        self._new = left

    def pair_overlapping(self, *, same_class: bool) -> None:
        """Pair what overlaps, the most overlapping first."""
        candidates = sorted(
            (-overlap, old.id, index)
            for index, new in enumerate(self._new)
            for old in self._old.values()
            if (old.class_id == new.class_id) == same_class
            and (overlap := _overlap(old, new)) > (0.0 if same_class else SAME_OBJECT_IOU)
        )
        taken: set[int] = set()
        for _, old_id, index in candidates:
            if old_id in self._old and index not in taken:
                taken.add(index)
                self._pair(self._old[old_id], self._new[index])
        self._new = [one for index, one in enumerate(self._new) if index not in taken]

    def finished(
        self, *, keep_proposals: bool, taken: Collection[AnnotationId]
    ) -> list[Annotation]:
        """All annotations, with an id of its own each."""
        kept = [*self._paired]
        if keep_proposals:
            kept += [one for one in self._old.values() if not is_true(one)]
        ids = {*taken, *(one.id for one in kept)}
        for one in self._new:
            new_id = next(each for each in _ids_like(one.id) if each not in ids)
            ids.add(new_id)
            kept.append(one if new_id == one.id else msgspec.structs.replace(one, id=new_id))
        return sorted(kept, key=attrgetter("id"))

    def _pair(self, old: Annotation, new: Annotation, *, keep_old: bool = False) -> None:
        del self._old[old.id]
        # A proposal that a file repeats is a proposal no more: somebody vouches for it.
        is_kept = keep_old and is_true(old)
        self._paired.append(old if is_kept else msgspec.structs.replace(new, id=old.id))


def _ids_like(first: AnnotationId) -> Iterator[AnnotationId]:
    """An id that follows from what the annotation is, then others for when it is taken.

    It is taken when the annotation that had this place first was moved away from it.
    """
    number = 1
    yield first
    while True:
        number += 1
        digits = hashlib.sha256(f"{first}\0{number}".encode()).hexdigest()
        yield AnnotationId(digits[:_ID_DIGITS])


def _attributes(one: Annotation) -> tuple[tuple[str, object], ...]:
    return tuple(sorted(one.attributes.items()))


def _overlap(old: Annotation, new: Annotation) -> float:
    first, second = old.geometry, new.geometry
    if isinstance(first, WholeImage) or isinstance(second, WholeImage):
        return 0.0
    placed: tuple[Placed, Placed] = (first, second)
    return iou_of(*placed)
