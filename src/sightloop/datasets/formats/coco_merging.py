"""Several COCO files as one data set: what they agree on once, what they do not as problems."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from sightloop.datasets.formats.coco_records import CocoFile
from sightloop.datasets.formats.listing import (
    Box,
    ClassKey,
    Keypoints,
    ListedImage,
    ListedObject,
    Listing,
    Mask,
    Polygon,
    Shape,
)
from sightloop.datasets.problems import Note, Problem, ProblemKind, RecordId
from sightloop.datasets.taxonomy import FoundClass

_Finding = TypeVar("_Finding", Problem, Note)

_TELLING: tuple[type, ...] = (Box, Polygon, Mask, Keypoints)
"""Shapes, each saying more of an object than the one before."""


class NamedFile(NamedTuple):
    """A file and where its images are."""

    name: str
    """Its path in the data set, for messages."""
    folder: Path
    file: CocoFile


def merged(files: Sequence[NamedFile], *, root: Path) -> Listing:
    """One listing of all files. Where two disagree, the first is believed, the other reported."""
    folders = {one.folder for one in files}
    if len(files) == 1:
        file = files[0].file
        return Listing(
            files[0].folder, file.images, file.objects, file.classes, file.problems, file.notes
        )
    folder = folders.pop() if len(folders) == 1 else root
    merge = _Merge(folder)
    for one in files:
        merge.add(one)
    return merge.listing()


class _Merge:
    """Takes files in one after the other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._classes: dict[ClassKey, FoundClass] = {}
        self._class_from: dict[ClassKey, str] = {}
        self._images: dict[str, ListedImage] = {}
        self._image_from: dict[str, str] = {}
        self._objects: dict[RecordId, list[ListedObject]] = {}
        self._problems: list[Problem] = []
        self._notes: list[Note] = []

    def add(self, named: NamedFile) -> None:
        """Take one file in."""
        name, file = named.name, named.file
        stem = Path(name).stem if Path(name).stem[:1] != "_" else Path(name).parent.name
        self._problems += [_tagged(one, name, stem) for one in file.problems]
        self._notes += [_tagged(one, name, stem) for one in file.notes]
        keys = self._class_keys(named, stem)
        prefix = named.folder.relative_to(self._folder).as_posix()
        for image in file.images:
            path = image.file_name if prefix == "." else f"{prefix}/{image.file_name}"
            found = [
                one._replace(class_key=keys.get(one.class_key, one.class_key), at=name)
                for one in file.objects.get(image.id, ())
            ]
            known = file.classes if image.labelled_for is None else image.labelled_for
            self._add_image(
                image._replace(
                    id=f"{stem}:{image.id}",
                    file_name=path,
                    labelled_for={keys.get(one, one) for one in known},
                ),
                found,
                name,
            )

    def listing(self) -> Listing:
        """What came of it."""
        every = self._classes.keys()
        images = [
            one._replace(labelled_for=None) if one.labelled_for == every else one
            for one in self._images.values()
        ]
        classes = dict(sorted(self._classes.items(), key=lambda item: str(item[0]).zfill(20)))
        return Listing(self._folder, images, self._objects, classes, self._problems, self._notes)

    def _class_keys(self, named: NamedFile, stem: str) -> dict[ClassKey, ClassKey]:
        """By which key the file's categories go here; one that means something else by none."""
        keys: dict[ClassKey, ClassKey] = {}
        ids = {one.name: key for key, one in self._classes.items()}
        for key, one in named.file.classes.items():
            known = self._classes.get(key)
            if known is not None and known.name == one.name:
                continue
            if known is not None:
                text = (
                    f"category {key} is {one.name!r} here and {known.name!r} in "
                    f"{self._class_from[key]}; its objects here are left out"
                )
                self._problem("disagreement", text, named.name)
                keys[key] = f"{stem}:{key}"
            elif one.name in ids:
                keys[key] = ids[one.name]
            else:
                self._classes[key] = one
                self._class_from[key] = named.name
        return keys

    def _add_image(self, image: ListedImage, found: list[ListedObject], name: str) -> None:
        first = self._images.setdefault(image.file_name, image)
        if first is image:
            self._image_from[image.file_name] = name
            if found:
                self._objects[image.id] = found
            return
        if difference := _difference(image, first):
            there = self._image_from[image.file_name]
            text = f"{difference} in {there}; what is said here is left out"
            self._problem("disagreement", text, name, image)
            return
        self._images[image.file_name] = first._replace(
            labelled_for={*(first.labelled_for or ()), *(image.labelled_for or ())}
        )
        self._add_objects(first, found, name)

    def _add_objects(self, image: ListedImage, found: list[ListedObject], name: str) -> None:
        objects = self._objects.setdefault(image.id, [])
        places = {one.id: place for place, one in enumerate(objects)}
        for one in found:
            place = places.get(one.id)
            if place is None:
                objects.append(one)
            elif (richer := _same(objects[place], one)) is None:
                text = f"it is another object in {objects[place].at}; this one is left out"
                self._problem("disagreement", text, name, image, one)
                known = self._images[image.file_name]
                labelled_for = set(known.labelled_for or ()) - {one.class_key}
                self._images[image.file_name] = known._replace(labelled_for=labelled_for)
            else:
                objects[place] = richer

    def _problem(
        self,
        kind: ProblemKind,
        text: str,
        name: str,
        image: ListedImage | None = None,
        found: ListedObject | None = None,
    ) -> None:
        self._problems.append(
            Problem(
                kind=kind,
                text=text,
                at=name,
                file="" if image is None else image.file_name,
                image_id=None if image is None else image.id,
                annotation_id=None if found is None else found.id,
            )
        )


def _tagged(finding: _Finding, name: str, stem: str) -> _Finding:
    image_id = None if finding.image_id is None else f"{stem}:{finding.image_id}"
    return msgspec.structs.replace(finding, at=name, image_id=image_id)


def _difference(image: ListedImage, first: ListedImage) -> str:
    """What the two say differently of one image, in words; empty when they agree."""
    for what, one, other in (
        ("size", image.declared, first.declared),
        ("split", image.split, first.split),
        ("split key", image.split_key, first.split_key),
        ("slices", image.slices, first.slices),
    ):
        if one != other:
            return f"its {what} is {_said(one)} here and {_said(other)}"
    return ""


def _said(value: object) -> str:
    if isinstance(value, tuple):
        return " x ".join(str(one) for one in value)
    return repr(value) if value is not None else "not said"


def _same(first: ListedObject, second: ListedObject) -> ListedObject | None:
    """The one that says more, when both are one object."""
    if first.class_key != second.class_key or _box_of(first.shape) != _box_of(second.shape):
        return None
    richer, other = (
        (second, first)
        if _TELLING.index(type(second.shape)) > _TELLING.index(type(first.shape))
        else (first, second)
    )
    return richer._replace(attributes={**other.attributes, **richer.attributes})


def _box_of(shape: Shape) -> Box | None:
    return shape if isinstance(shape, Box) else getattr(shape, "box", None)
