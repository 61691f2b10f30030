"""CVAT's XML for images, version 1.1: every shape of one file, image after image.

Source: CVAT's manual, "XML annotation format". Coordinates are corners in pixels from 0. A mask
is run lengths along the rows of its own box. Polygons of one label in one group are outlines of
one object, as in CVAT's own exports to COCO.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from sightloop.datasets.errors import WrongFormat
from sightloop.datasets.formats.cvat_labels import CvatLabels, labels_in
from sightloop.datasets.formats.gathering import Gathering, with_wanted
from sightloop.datasets.formats.label_files import folder_of
from sightloop.datasets.formats.listing import (
    Box,
    Keypoints,
    ListedImage,
    ListedObject,
    Listing,
    Mask,
    OfWholeImage,
    OrientedBox,
    Polygon,
    Shape,
    Source,
)
from sightloop.datasets.formats.outlines import keypoints_in_box
from sightloop.datasets.formats.split_names import split_named
from sightloop.datasets.formats.turned_boxes import turned_about_center
from sightloop.datasets.formats.xml_reading import Element, UnreadableXml, children_of, root_name
from sightloop.datasets.geometry import SizePx
from sightloop.datasets.masks import encoded
from sightloop.datasets.media import IMAGE_ENDINGS
from sightloop.datasets.problems import ProblemKind
from sightloop.datasets.values import AttributeValue
from sightloop.inference.images import MAX_PIXELS

ANNOTATIONS_NAME = "annotations.xml"
IMAGES_NAME = "images"
ROOT = "annotations"

OCCLUDED, Z_ORDER, GROUP = "occluded", "z_order", "group_id"
"""Attributes that CVAT has in places of their own."""

_UNSUPPORTED = {"polyline", "ellipse", "cuboid"}
_ABOUT_IMAGES = {"id", "name", "width", "height", "subset", "task_id"}


def find_cvat(path: Path) -> Path | None:
    """The annotation file: the path itself, or `annotations.xml` in it."""
    found = path / ANNOTATIONS_NAME if path.is_dir() else path
    if found.suffix.lower() == ".xml" and found.is_file() and root_name(found) == ROOT:
        return found
    return None


def read_cvat(source: Source) -> Listing:
    """The data set in a file, with images in `images/` beside it or in its folder.

    Raises:
        WrongFormat: the file is no CVAT XML, or holds tracks of a video.
    """
    path = source.path / ANNOTATIONS_NAME if source.path.is_dir() else source.path
    folder = source.images
    if folder is None:
        beside = path.parent / IMAGES_NAME
        folder = beside if beside.is_dir() else path.parent
    reader = _Reader(source, path, folder)
    try:
        for element in children_of(path, ROOT, within=folder_of(source.path)):
            reader.read(element)
    except UnreadableXml as error:
        raise WrongFormat(file=str(path), wanted="CVAT XML", problem=str(error)) from error
    return reader.gathering.listing(folder)


class _Shape(NamedTuple):
    """A shape of an image on its way to be an object."""

    number: int
    label: str
    shape: Shape
    attributes: dict[str, AttributeValue]
    at: str
    group: str


class _Impossible(Exception):
    """A shape's numbers make no sense; the text says why."""


class _Reader:
    def __init__(self, source: Source, path: Path, folder: Path) -> None:
        self.gathering = Gathering()
        self._source = source
        self._name = path.name
        self._path = path
        self._labels = CvatLabels({}, {})
        self._names = _ImageNames(folder)

    def read(self, element: Element) -> None:
        """A child of the root."""
        if element.name == "meta":
            self._labels = labels_in(element)
            for one in self._labels.classes.values():
                self.gathering.add_class(one)
        elif element.name == "image":
            self._read_image(element)
        elif element.name == "track":
            raise WrongFormat(
                file=str(self._path),
                wanted="CVAT XML",
                problem="it holds tracks of a video; export the task as `CVAT for images 1.1`, "
                "which has every frame as an image",
            )

    def _read_image(self, element: Element) -> None:
        gathering = self.gathering
        at = f"{self._name}:{element.line}"
        given = element.attributes.get("name", "")
        if not given:
            gathering.problem("wrong_shape", "an image without a name", at=at)
            return
        name = self._names.found(given, element.attributes.get("subset", ""))
        image = ListedImage(name, name, _size_in(element), None, {})
        if name in gathering.images:
            gathering.problem("duplicate_id", "another image has this name", at=at, image=image)
            return
        fields = {
            key: value
            for key, value in element.attributes.items()
            if key not in _ABOUT_IMAGES - {"subset"}
        }
        wanted = with_wanted(gathering, image, fields, self._source.wanted)
        if wanted is None:
            return
        split = split_named(element.attributes.get("subset", ""))
        image = gathering.images[name] = wanted._replace(split=split)
        self._source.progress("reading annotations", len(gathering.images), 0)
        shapes = [
            one
            for number, each in enumerate(element.children, start=1)
            if (one := self._shape(image, each, number)) is not None
        ]
        for one in self._merged(image, shapes):
            found = ListedObject(one.number, one.label, one.shape, one.attributes, at=one.at)
            gathering.add_object(name, found)

    def _shape(self, image: ListedImage, element: Element, number: int) -> _Shape | None:
        at = f"{self._name}:{element.line}"
        label = element.attributes.get("label", "")
        try:
            if not label:
                raise _Impossible(f"<{element.name}> has no label")
            if element.attributes.get("outside") == "1":
                self.gathering.count_left_out("a shape outside of its image")
                return None
            shape = self._shape_in(element, image.declared)
        except _Impossible as error:
            kind: ProblemKind = (
                "unsupported_shape" if element.name in _UNSUPPORTED else "wrong_shape"
            )
            self.gathering.problem(kind, str(error), at=at, image=image, annotation_id=number)
            self.gathering.leave_out(image.id, label)
            return None
        group = element.attributes.get(GROUP, "")
        attributes = self._attributes_in(element, label)
        return _Shape(number, label, shape, attributes, at, "" if group == "0" else group)

    def _shape_in(self, element: Element, size: SizePx | None) -> Shape:
        name = element.name
        if name == "tag":
            return OfWholeImage()
        if name == "box":
            return _box_in(element)
        if name == "polygon":
            return Polygon([_points_in(element)])
        if name == "points":
            points = _points_in(element)
            pairs = zip(points[0::2], points[1::2], strict=True)
            seen = 1 if element.attributes.get(OCCLUDED) == "1" else 2
            return keypoints_in_box([one for x, y in pairs for one in (x, y, seen)])
        if name == "skeleton":
            return self._skeleton_in(element)
        if name == "mask":
            return _mask_in(element, size)
        raise _Impossible(f"<{name}> is no geometry that is kept here")

    def _skeleton_in(self, element: Element) -> Keypoints:
        """The points in the order of the label's, those that the skeleton lacks not labelled."""
        found: dict[str, tuple[float, float, int]] = {}
        for one in element.named("points"):
            x, y = _points_in(one)[:2]
            seen = 1 if one.attributes.get(OCCLUDED) == "1" else 2
            key = one.attributes.get("label", "")
            if inner := one.named("attribute"):
                self.gathering.count_left_out("an attribute of a skeleton's point", len(inner))
            found[key] = (x, y, 0 if one.attributes.get("outside") == "1" else seen)
        names = self._labels.keypoints_of(element.attributes["label"], list(found))
        if unknown := found.keys() - set(names):
            raise _Impossible(f"its label has no points called {', '.join(sorted(unknown))}")
        points = [one for name in names for one in found.get(name, (0.0, 0.0, 0))]
        label = element.attributes["label"]
        self.gathering.classes[label] = self._labels.classes[label]
        return keypoints_in_box(points)

    def _attributes_in(self, element: Element, label: str) -> dict[str, AttributeValue]:
        attributes: dict[str, AttributeValue] = {}
        if element.attributes.get(OCCLUDED) == "1" and element.name != "points":
            attributes[OCCLUDED] = True
        for key in (Z_ORDER, GROUP):
            text = element.attributes.get(key, "0")
            if text != "0" and re.fullmatch(r"-?\d{1,18}", text):
                attributes[key] = int(text)
        for one in element.named("attribute"):
            if name := one.attributes.get("name"):
                attributes[name] = self._labels.value_of(label, name, one.text)
        return attributes

    def _merged(self, image: ListedImage, shapes: Sequence[_Shape]) -> Iterator[_Shape]:
        """The shapes, outlines of one object joined."""
        parts: dict[tuple[str, str], list[_Shape]] = defaultdict(list)
        for one in shapes:
            if one.group and isinstance(one.shape, Polygon):
                parts[one.label, one.group].append(one)
        for one in shapes:
            mine = parts.get((one.label, one.group), [])
            if not isinstance(one.shape, Polygon) or len(mine) < 2:
                yield one
            elif mine[0] is one:
                rings = [
                    ring
                    for each in mine
                    if isinstance(each.shape, Polygon)
                    for ring in each.shape.rings
                ]
                kept = {key: one.attributes[key] for key in one.attributes.keys() - {GROUP}}
                text = f"{len(mine)} polygons of {one.label!r} in group {one.group} are one object"
                self.gathering.note("merged_outlines", text, at=one.at, image=image)
                yield one._replace(shape=Polygon(rings), attributes=kept)


class _ImageNames:
    """Where the images of a file lie: CVAT puts them into folders by subset, or does not."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._by_stem: dict[str, str] | None = None

    def found(self, name: str, subset: str) -> str:
        """The path below the image folder; the name as it is when there is no such file."""
        path = PurePosixPath(name.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts:
            return name
        for one in (path, PurePosixPath(subset) / path):
            if ".." not in one.parts and not one.is_absolute() and self._is_file(one):
                return one.as_posix()
        if path.suffix.lower() not in IMAGE_ENDINGS:  # datumaro writes names without an ending
            return self._with_ending().get(path.as_posix(), name)
        return name

    def _is_file(self, path: PurePosixPath) -> bool:
        try:
            return (self._folder / path).is_file()
        except (OSError, ValueError):  # a name that no file can have
            return False

    def _with_ending(self) -> dict[str, str]:
        if self._by_stem is None:
            paths = sorted(self._folder.rglob("*"), reverse=True)
            names = (
                one.relative_to(self._folder)
                for one in paths
                if one.suffix.lower() in IMAGE_ENDINGS
            )
            self._by_stem = {one.with_suffix("").as_posix(): one.as_posix() for one in names}
        return self._by_stem


def _size_in(element: Element) -> SizePx | None:
    sides = [element.attributes.get(side, "") for side in ("width", "height")]
    if all(re.fullmatch(r"[1-9]\d{0,8}", side) for side in sides):
        return SizePx(int(sides[0]), int(sides[1]))
    return None


def _box_in(element: Element) -> Box | OrientedBox:
    x1, y1, x2, y2 = (_number(element.attributes, key) for key in ("xtl", "ytl", "xbr", "ybr"))
    degrees = _number(element.attributes, "rotation", default=0.0)
    if degrees % 360 == 0:
        return Box((x1, y1, x2, y2), "corners")
    if not (x1 < x2 and y1 < y2):
        raise _Impossible(f"xtl, ytl, xbr, ybr {[x1, y1, x2, y2]} has no area")
    return OrientedBox(turned_about_center((x1, y1, x2, y2), degrees))


def _points_in(element: Element) -> list[float]:
    """Numbers of `x,y;x,y;...`."""
    text = element.attributes.get("points", "")
    pairs = [pair.split(",") for pair in text.split(";")]
    if any(len(pair) != 2 for pair in pairs):
        raise _Impossible(f"points={text[:60]!r} is not x,y;x,y;...")
    try:
        numbers = [float(one) for pair in pairs for one in pair]
    except ValueError as error:
        raise _Impossible(f"points: {error}") from error
    if not all(math.isfinite(one) for one in numbers):
        raise _Impossible("points has something that is no number")
    return numbers


def _mask_in(element: Element, size: SizePx | None) -> Mask:
    """CVAT's runs along the rows of a box, as runs down the columns of the image."""
    left, top, width, height = (
        int(_number(element.attributes, key)) for key in ("left", "top", "width", "height")
    )
    if size is None:
        raise _Impossible("a mask needs the width and height of its image")
    if size.width_px * size.height_px > MAX_PIXELS:
        raise _Impossible(f"an image of more than {MAX_PIXELS} pixels is not read")
    if width < 1 or height < 1 or left < 0 or top < 0:
        raise _Impossible(f"its box {[left, top, width, height]} cannot be")
    if left + width > size.width_px or top + height > size.height_px:
        raise _Impossible(f"its box {[left, top, width, height]} reaches out of the image")
    try:
        runs = [int(one) for one in element.attributes.get("rle", "").split(",")]
    except ValueError as error:
        raise _Impossible(f"rle: {error}") from error
    if min(runs) < 0 or sum(runs) != width * height:
        raise _Impossible(f"rle covers {sum(runs)} pixels, its box has {width * height}")
    inner = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
    pixels = np.zeros((size.height_px, size.width_px), np.bool_)
    pixels[top : top + height, left : left + width] = inner
    return Mask(encoded(pixels), size)


def _number(values: Mapping[str, str], key: str, *, default: float | None = None) -> float:
    text = values.get(key)
    if text is None and default is not None:
        return default
    try:
        number = float(text or "")
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise _Impossible(f"{key}={text!r} is no number")
    return number
