"""Collecting a listing while files are read, whose classes are known only at their end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

from sightloop.datasets.formats.listing import (
    ClassKey,
    ListedImage,
    ListedObject,
    Listing,
    WantedFields,
)
from sightloop.datasets.problems import Note, NoteKind, Problem, ProblemKind, RecordId
from sightloop.datasets.taxonomy import FoundClass


class Gathering:
    """What was read so far, and what could not be."""

    def __init__(self) -> None:
        self.images: dict[RecordId, ListedImage] = {}
        self.objects: dict[RecordId, list[ListedObject]] = {}
        self.classes: dict[ClassKey, FoundClass] = {}
        self.problems: list[Problem] = []
        self.notes: list[Note] = []
        self._left_out: Counter[str] = Counter()
        self._incomplete: dict[RecordId, set[ClassKey]] = {}
        self._unlabelled: set[RecordId] = set()

    def add_class(self, found: FoundClass) -> None:
        """A class by its name; what was said of it first stays."""
        self.classes.setdefault(found.name, found)

    def add_object(self, image: RecordId, found: ListedObject) -> None:
        """An object; its class comes into being with it."""
        self.add_class(FoundClass(str(found.class_key)))
        self.objects.setdefault(image, []).append(found)

    def leave_out(self, image: RecordId, name: str | None = None) -> None:
        """An object of this class, or of nobody knows which, was not understood.

        Its image is then not exhaustively labelled for the class, or for any.
        """
        if name:
            self.add_class(FoundClass(name))
            self._incomplete.setdefault(image, set()).add(name)
        else:
            self._unlabelled.add(image)

    def set_unlabelled(self, image: RecordId) -> None:
        """Nobody has looked at this image."""
        self._unlabelled.add(image)

    def count_left_out(self, what: str, n: int = 1) -> None:
        """Something that is not kept and so common that it is counted, not listed."""
        self._left_out[what] += n

    def problem(
        self,
        kind: ProblemKind,
        text: str,
        *,
        at: str = "",
        image: ListedImage | None = None,
        file: str = "",
        annotation_id: RecordId | None = None,
    ) -> None:
        """Something that cannot be imported."""
        self.problems.append(
            Problem(
                kind=kind,
                text=text,
                at=at,
                file=file if image is None else image.file_name,
                image_id=None if image is None else image.id,
                annotation_id=annotation_id,
            )
        )

    def note(
        self, kind: NoteKind, text: str, *, at: str = "", image: ListedImage | None = None
    ) -> None:
        """Something that was imported otherwise than it stands there."""
        self.notes.append(
            Note(
                kind=kind,
                text=text,
                at=at,
                file="" if image is None else image.file_name,
                image_id=None if image is None else image.id,
            )
        )

    def listing(self, folder: Path) -> Listing:
        """Everything; `folder` is where the images lie."""
        counted = [
            Note(kind="field_left_out", text=f"{what} is not kept ({n} times)")
            for what, n in sorted(self._left_out.items())
        ]
        return Listing(
            folder=folder,
            images=[
                one._replace(labelled_for=self._labelled_for(one)) for one in self.images.values()
            ],
            objects=self.objects,
            classes=self.classes,
            problems=self.problems,
            notes=[*self.notes, *counted],
        )

    def _labelled_for(self, image: ListedImage) -> Collection[ClassKey] | None:
        if image.id in self._unlabelled:
            return ()
        incomplete = self._incomplete.get(image.id)
        return None if incomplete is None else set(self.classes) - incomplete


def with_wanted(
    gathering: Gathering, image: ListedImage, values: dict[str, str], wanted: WantedFields
) -> ListedImage | None:
    """The image with its split key and slices from these fields; None without its split key."""
    split_key = values.get(wanted.split_key or "") or None
    if wanted.split_key is not None and split_key is None:
        text = f"split key field {wanted.split_key!r} is missing or empty"
        gathering.problem("missing_split_key", text, image=image)
        return None
    for field in (one for one in wanted.slices if not values.get(one)):
        text = f"slice field {field!r} is missing or empty; it is in no such slice"
        gathering.note("missing_slice", text, image=image)
    slices = {one: values[one] for one in wanted.slices if values.get(one)}
    return image._replace(split_key=split_key, slices=slices)


def in_order(classes: Iterable[FoundClass]) -> list[FoundClass]:
    """By name: the order of a format that has none of its own."""
    return sorted(classes, key=lambda one: one.name)
