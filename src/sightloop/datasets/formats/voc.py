"""Pascal VOC: one XML file per image, lists of images per split.

Pixels count from 1 and the last one belongs to the box, as the VOC development kit says:
`xmin` 1 and `xmax` W is the whole width, so x1 = xmin - 1 and x2 = xmax. A data set in which any
`xmin` or `ymin` lies below 1 was written by a tool that counts from 0 (CVAT, Roboflow); there
the numbers are corners, x1 = xmin and x2 = xmax, in all of its files, and a note says so. A box
whose two corners are the same point is a click, not an object of one pixel.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from sightloop.datasets.errors import WrongFormat
from sightloop.datasets.formats.gathering import Gathering, in_order, with_wanted
from sightloop.datasets.formats.label_files import read_labels_file
from sightloop.datasets.formats.listing import Box, ListedImage, ListedObject, Listing, Source
from sightloop.datasets.formats.plain_texts import value_in
from sightloop.datasets.formats.split_names import split_named
from sightloop.datasets.formats.xml_reading import Element, UnreadableXml, children_of, root_name
from sightloop.datasets.geometry import SizePx
from sightloop.datasets.media import IMAGE_ENDINGS
from sightloop.datasets.problems import RecordId
from sightloop.datasets.taxonomy import FoundClass
from sightloop.datasets.values import AttributeValue, Split

ANNOTATIONS_NAME = "Annotations"
IMAGES_NAME = "JPEGImages"
SETS_NAME = "ImageSets/Main"
CLASSES_NAME = "labelmap.txt"
"""CVAT's and datumaro's file of classes: `name:colour:parts:actions` on each line."""

FLAGS = ("difficult", "truncated", "occluded")
"""Elements of an object that are 0 or 1; 0 says no more than their absence."""

POSE = "pose"
NO_POSE = "Unspecified"

_ROOT = "annotation"
_KNOWN = {"name", "bndbox", "part", "attributes", POSE, *FLAGS}
_ABOUT_THE_FILE = {"filename", "folder", "path", "source", "owner", "size", "segmented", "object"}
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_MAX_LIST_BYTES = 1 << 28
_MAX_SIDE = 10**9
_LOOKED_AT = 1000
_FOLDERS_LOOKED_INTO = 5
"""A folder of a million images must not be listed to find out that it is no VOC."""


def is_voc(path: Path) -> bool:
    """Whether the folder has VOC annotations, in `Annotations/` or beside its images."""
    if not path.is_dir():
        return False
    first = _first_xml(_annotations_folder(path), depth=2)
    return first is not None and root_name(first) == _ROOT


def read_voc(source: Source) -> Listing:
    """The data set in a folder.

    Raises:
        WrongFormat: the folder has no annotation file.
    """
    return _Reader(source).listing()


class _RawBox(NamedTuple):
    """A box as its file has it: what its numbers mean is known when all are read."""

    image: ListedImage
    found: ListedObject
    corners: tuple[float, float, float, float]


class _Reader:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._root = source.path
        self._labels = _annotations_folder(source.path)
        self._images = source.images or _images_folder(source.path)
        self._files = _images_by_stem(self._images)
        self._gathering = Gathering()
        self._boxes: list[_RawBox] = []
        self._zero_at = ""

    def listing(self) -> Listing:
        files = sorted(self._labels.rglob("*.xml"))
        if not files:
            problem = f"neither it nor {ANNOTATIONS_NAME}/ in it has an XML file"
            raise WrongFormat(file=str(self._root), wanted="Pascal VOC", problem=problem)
        declared = self._read_classes()
        for done, path in enumerate(files):
            self._read_file(path)
            if done % 100 == 0:
                self._source.progress("reading annotations", done, len(files))
        self._place_boxes()
        self._add_unlabelled()
        self._read_splits()
        if (self._root / "SegmentationObject").is_dir():
            text = "SegmentationObject/ is not read: masks stay behind, boxes came in"
            self._gathering.note("shape_left_out", text)
        self._order_classes(declared)
        return self._gathering.listing(self._images)

    def _read_file(self, path: Path) -> None:
        at = _below(path, self._root)
        if not _is_text(at):
            text = "its name is no UTF-8; rename it"
            self._gathering.problem("wrong_shape", text, at=ascii(at))
            return
        if path.is_symlink():
            self._gathering.problem(
                "symlink", "it is a symbolic link; its target may change", at=at
            )
            return
        try:
            elements = list(children_of(path, _ROOT, within=self._root))
        except UnreadableXml as error:
            self._gathering.problem("wrong_shape", str(error), at=at)
            return
        image = self._image(path, elements, at)
        if image is None:
            return
        image = with_wanted(self._gathering, image, _plain_fields(elements), self._source.wanted)
        if image is None:
            return
        self._gathering.images[image.id] = image
        for number, element in enumerate(_all_named(elements, "object"), start=1):
            self._read_object(image, element, number, f"{at}:{element.line}")
        if _text_of(elements, "segmented") == "1":
            self._gathering.count_left_out("the mark 'segmented'")

    def _image(self, path: Path, elements: Sequence[Element], at: str) -> ListedImage | None:
        """The image that the file is about: its namesake, or else the one that it names."""
        stem = PurePosixPath(_below(path, self._labels)).with_suffix("").as_posix()
        named = _text_of(elements, "filename").replace("\\", "/")
        namesakes = self._files.get(stem, [])
        name = next((one for one in namesakes if one == named or one.endswith(f"/{named}")), None)
        name = name or (namesakes[0] if namesakes else named or f"{stem}.jpg")
        image = ListedImage(name, name, _size_in(elements), None, {})
        if name in self._gathering.images:
            text = "another annotation file is about this image"
            self._gathering.problem("duplicate_id", text, at=at, image=image)
            return None
        if namesakes and named and PurePosixPath(named).stem != PurePosixPath(stem).name:
            text = f"its file says {named!r}; the image with the annotation file's name was taken"
            self._gathering.note("other_name", text, at=at, image=image)
        return image

    def _read_object(self, image: ListedImage, element: Element, number: int, at: str) -> None:
        gathering = self._gathering
        name = element.text_of("name")
        corners = _corners_in(element.child("bndbox"))
        if not name or corners is None:
            text = "it has no bndbox of four numbers" if name else "it has no name"
            gathering.problem("wrong_shape", text, at=at, image=image, annotation_id=number)
            gathering.leave_out(image.id, name)
            return
        if parts := element.named("part"):
            gathering.count_left_out("a part of an object", len(parts))
        attributes = self._attributes_in(element)
        if not self._zero_at and any(0 <= one < 1 for one in corners[:2]):
            self._zero_at = at
        gathering.add_class(FoundClass(name))
        found = ListedObject(number, name, Box(corners, "corners"), attributes, at=at)
        self._boxes.append(_RawBox(image, found, corners))

    def _attributes_in(self, element: Element) -> dict[str, AttributeValue]:
        attributes: dict[str, AttributeValue] = {}
        for one in element.children:
            if one.name in FLAGS and one.text.casefold() in ("1", "true"):
                attributes[one.name] = True
            elif one.name == POSE and one.text not in ("", NO_POSE):
                attributes[POSE] = one.text
            elif one.name not in _KNOWN and one.children:
                self._gathering.count_left_out(f"element {one.name!r} of an object")
            elif one.name not in _KNOWN and one.text:
                attributes[one.name] = value_in(one.text)
        for one in _all_named(element.named("attributes"), "attribute", of_children=True):
            if key := one.text_of("name"):
                attributes[key] = value_in(one.text_of("value"))
        return attributes

    def _place_boxes(self) -> None:
        """Say what the numbers of all boxes mean; see the module."""
        if self._zero_at:
            text = "pixels count from 0 here: xmin and ymin were taken as they are, in all files"
            self._gathering.note("counted_from_zero", text, at=self._zero_at)
        for image, found, (x1, y1, x2, y2) in self._boxes:
            if not self._zero_at:
                if x1 > x2 or y1 > y2 or (x1, y1) == (x2, y2):
                    text = f"xmin, ymin, xmax, ymax {[x1, y1, x2, y2]} has no extent"
                    self._gathering.problem(
                        "impossible_box", text, at=found.at, image=image, annotation_id=found.id
                    )
                    self._gathering.leave_out(image.id, str(found.class_key))
                    continue
                x1, y1 = x1 - 1, y1 - 1
            self._gathering.add_object(
                image.id, found._replace(shape=Box((x1, y1, x2, y2), "corners"))
            )

    def _add_unlabelled(self) -> None:
        """Images without an annotation file: part of the data set, and looked at by nobody."""
        known = self._gathering.images
        names = [one for some in self._files.values() for one in some if one not in known]
        for name in sorted(names):
            bare = ListedImage(name, name, None, None, {})
            image = with_wanted(self._gathering, bare, {}, self._source.wanted)
            if image is not None:
                known[name] = image
                self._gathering.set_unlabelled(name)
                text = "it has no readable annotation file and counts as not labelled"
                self._gathering.note("not_labelled", text, image=image)

    def _read_splits(self) -> None:
        """Which split each image is declared for; an image on two lists is in neither."""
        images = self._gathering.images
        stems = {
            PurePosixPath(one.file_name).with_suffix("").as_posix(): one.file_name
            for one in images.values()
        }
        found: dict[str, set[Split]] = {}
        for path in sorted((self._root / SETS_NAME).glob("*.txt")):
            split = split_named(path.stem)
            if split is None:
                continue  # `trainval` is both of the others, `dog_train` is about one class
            for at, line in self._lines(path):
                stem = line if line in stems else line.split()[0]
                if stem in stems:
                    found.setdefault(stems[stem], set()).add(split)
                elif stem not in self._files:
                    text = f"there is no annotation and no image {stem!r}"
                    self._gathering.problem("unknown_image", text, at=at)
        if not found:
            found = _splits_by_folder(images)
        for name, splits in found.items():
            if len(splits) == 1:
                images[name] = images[name]._replace(split=next(iter(splits)))
            else:
                text = f"it is on the lists {', '.join(sorted(splits))}: it was put in none"
                self._gathering.problem("two_splits", text, image=images[name])

    def _read_classes(self) -> list[str]:
        path = self._root / CLASSES_NAME
        if not path.is_file():
            return []
        lines = (line for _, line in self._lines(path) if not line.startswith("#"))
        names = [line.split(":")[0].strip() for line in lines]
        return list(dict.fromkeys(one for one in names if one and one != "background"))

    def _order_classes(self, declared: Sequence[str]) -> None:
        found = self._gathering.classes
        rest = in_order(one for key, one in found.items() if key not in declared)
        ordered = [*(FoundClass(one) for one in declared), *rest]
        self._gathering.classes = {one.name: one for one in ordered}

    def _lines(self, path: Path) -> Iterator[tuple[str, str]]:
        at = _below(path, self._root)
        try:
            if path.stat().st_size > _MAX_LIST_BYTES:
                raise ValueError(f"it has more than {_MAX_LIST_BYTES} bytes")
            text = read_labels_file(path, within=self._root).decode("utf-8-sig")
        except (OSError, ValueError) as error:
            self._gathering.problem("wrong_shape", f"it cannot be read ({error})", at=at)
            return
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip():
                yield f"{at}:{number}", line.strip()


def _first_xml(folder: Path, *, depth: int) -> Path | None:
    """An XML file among the first entries of the folder, or of the first folders in it."""
    with os.scandir(folder) as entries:
        some = list(islice(entries, _LOOKED_AT))
    names = sorted(one.path for one in some if one.name.lower().endswith(".xml"))
    if names or depth == 0:
        return Path(names[0]) if names else None
    folders = sorted(one.path for one in some if one.is_dir(follow_symlinks=False))
    found = (_first_xml(Path(one), depth=depth - 1) for one in folders[:_FOLDERS_LOOKED_INTO])
    return next((one for one in found if one is not None), None)


def _annotations_folder(root: Path) -> Path:
    inner = root / ANNOTATIONS_NAME
    return inner if inner.is_dir() else root


def _images_folder(root: Path) -> Path:
    folders = (root / name for name in (IMAGES_NAME, "images"))
    return next((one for one in folders if one.is_dir()), root)


def _images_by_stem(folder: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in IMAGE_ENDINGS and _is_text(name := _below(path, folder)):
            found.setdefault(PurePosixPath(name).with_suffix("").as_posix(), []).append(name)
    return found


def _splits_by_folder(images: Mapping[RecordId, ListedImage]) -> dict[str, set[Split]]:
    """The split of images in folders that are called like one, as Roboflow lays them out."""
    names = [one.file_name for one in images.values()]
    folders = {name: PurePosixPath(name).parts[0] for name in names}
    return {name: {split} for name, folder in folders.items() if (split := split_named(folder))}


def _below(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _is_text(name: str) -> bool:
    """Whether a name from the file system is UTF-8."""
    try:
        os.fsencode(name).decode()
    except UnicodeDecodeError:
        return False
    return True


def _all_named(
    elements: Sequence[Element], name: str, *, of_children: bool = False
) -> Iterator[Element]:
    for one in elements:
        if of_children:
            yield from one.named(name)
        elif one.name == name:
            yield one


def _text_of(elements: Sequence[Element], name: str) -> str:
    return next((one.text for one in elements if one.name == name), "")


def _plain_fields(elements: Sequence[Element]) -> dict[str, str]:
    """What else the file says of its image: fields for split keys and slices."""
    return {
        one.name: one.text
        for one in elements
        if one.name not in _ABOUT_THE_FILE - {"folder"} and one.text
    }


def _size_in(elements: Sequence[Element]) -> SizePx | None:
    """The image's size; tools that do not know it write 0."""
    size = next((one for one in elements if one.name == "size"), None)
    if size is None:
        return None
    sides = [_number(size.text_of(side)) for side in ("width", "height")]
    if any(side is None or not 1 <= side <= _MAX_SIDE or side != int(side) for side in sides):
        return None
    return SizePx(*(int(side) for side in sides if side is not None))


def _corners_in(element: Element | None) -> tuple[float, float, float, float] | None:
    if element is None:
        return None
    x1, y1, x2, y2 = (_number(element.text_of(name)) for name in _CORNERS)
    if x1 is None or y1 is None or x2 is None or y2 is None:
        return None
    return x1, y1, x2, y2


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
