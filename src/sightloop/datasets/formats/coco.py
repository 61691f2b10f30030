"""COCO detection JSON: its records, read one by one so that a bad one does not hide the others.

Knows nothing of pixels: what boxes mean on the images is `placing`.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

import msgspec

from sightloop.datasets.errors import NotCoco
from sightloop.datasets.formats.listing import (
    SEGMENTATION,
    Box,
    ClassKey,
    Keypoints,
    ListedImage,
    ListedObject,
    Listing,
    Mask,
    Polygon,
    Shape,
    Source,
    WantedFields,
)
from sightloop.datasets.geometry import SizePx
from sightloop.datasets.problems import Note, Problem, ProblemKind, RecordId
from sightloop.datasets.taxonomy import FoundClass
from sightloop.datasets.truths import CROWD
from sightloop.datasets.values import AttributeValue
from sightloop.kernel.digests import canonical_json
from sightloop.kernel.errors import NotFound

ANNOTATIONS_NAME = "annotations.json"
IMAGES_NAME = "images"

AREA = "area"
"""The attribute that keeps the area of an object that does not fill its box, in square pixels."""

_LISTS = ("images", "annotations", "categories")
_FULL_BOX = 0.01
"""An `area` this close to width times height, relatively, says nothing that the box does not."""


def find_coco(path: Path) -> Path | None:
    """The annotation file of a COCO data set: the path itself, or `annotations.json` in it."""
    found = path / ANNOTATIONS_NAME if path.is_dir() else path
    return found if found.suffix == ".json" and found.is_file() else None


def read_coco_folder(source: Source) -> Listing:
    """The data set in a folder, or in a file whose images lie in `images/` beside it.

    Raises:
        NotFound: the annotation file or the image folder is not there.
        NotCoco: the file as a whole is something else.
    """
    path = source.path / ANNOTATIONS_NAME if source.path.is_dir() else source.path
    try:
        content = path.read_bytes()
    except OSError as error:
        why = error.strerror or "it cannot be read"
        raise NotFound(what="annotation file", name=str(path), hint=why) from error
    folder = source.images or path.parent / IMAGES_NAME
    if not folder.is_dir():
        raise NotFound(what="image folder", name=str(folder))
    return read_coco(content, source.wanted, folder=folder, name=str(path))


def read_coco(content: bytes, wanted: WantedFields, *, folder: Path, name: str) -> Listing:
    """Read what can be read.

    Args:
        content: the annotation file.
        wanted: which image fields to keep.
        folder: where the images lie.
        name: the file's, for the error.

    Raises:
        NotCoco: it is no JSON, lacks one of its three lists, or lists no image or no category.
    """
    records = _records(content, name=name)
    reader = _Reader(wanted)
    classes = dict(reader.categories(records["categories"]))
    images = list(reader.images(records["images"]))
    objects: dict[RecordId, list[ListedObject]] = {}
    for image_id, found in reader.annotations(records["annotations"]):
        objects.setdefault(image_id, []).append(found)
    return Listing(
        folder=folder,
        images=images,
        objects=objects,
        classes=dict(sorted(classes.items())),
        problems=reader.problems,
        notes=reader.notes(),
    )


def _records(content: bytes, *, name: str) -> dict[str, list[Any]]:
    try:
        whole = msgspec.json.decode(content)
    except (msgspec.DecodeError, ValueError, RecursionError):
        whole = _lenient_json(content, name=name)
    if not isinstance(whole, dict):
        kind = "a list, as of detection results" if isinstance(whole, list) else "a single value"
        raise NotCoco(file=name, problem=f"it holds {kind}")
    for key in _LISTS:
        if not isinstance(whole.get(key), list):
            found = "is missing" if key not in whole else "is not a list"
            raise NotCoco(file=name, problem=f"{key!r} {found}")
        if key != "annotations" and not whole[key]:
            raise NotCoco(file=name, problem=f"{key!r} is empty")
    return {key: whole[key] for key in _LISTS}


def _lenient_json(content: bytes, *, name: str) -> Any:  # noqa: ANN401 - any JSON value
    # NaN is not JSON, but Python writes it: one bad box must not hide where it is.
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise NotCoco(file=name, problem=f"it is not JSON ({error})") from error


_HALF_CHARACTER = re.compile(r"[\ud800-\udfff]")


class _Category(msgspec.Struct):
    id: int
    name: str
    supercategory: str | None = None
    keypoints: list[str] | None = None
    skeleton: list[tuple[int, int]] | None = None


class _Image(msgspec.Struct):
    id: RecordId
    file_name: str
    width: int | None = None
    height: int | None = None


class _Runs(msgspec.Struct):
    counts: list[int] | str
    size: tuple[int, int]


class _Annotation(msgspec.Struct):
    id: RecordId
    image_id: RecordId
    category_id: int
    bbox: tuple[float, float, float, float]
    iscrowd: int | bool | None = None
    area: float | None = None
    segmentation: list[Any] | dict[str, Any] | None = None
    keypoints: list[float] | None = None
    num_keypoints: int | None = None


_IMAGE_FIELDS = {*_Image.__struct_fields__, "license", "flickr_url", "coco_url", "date_captured"}
_ANNOTATION_FIELDS = set(_Annotation.__struct_fields__)
_Record = TypeVar("_Record", bound=msgspec.Struct)


class _Reader:
    """Reads the three lists, in this order, and remembers what it could not read."""

    def __init__(self, wanted: WantedFields) -> None:
        self.problems: list[Problem] = []
        self._wanted = wanted
        self._image_ids: set[RecordId] = set()
        self._category_ids: set[int] = set()
        self._left_out: Counter[str] = Counter()

    def categories(self, records: list[Any]) -> Iterator[tuple[ClassKey, FoundClass]]:
        names: set[str] = set()
        for index, record in enumerate(records):
            one = self._converted(record, _Category, "categories", index)
            if one is None:
                continue
            if one.id in self._category_ids or one.name in names:
                self._add("duplicate_id", f"category {one.id} {one.name!r} is listed twice")
                continue
            self._category_ids.add(one.id)
            names.add(one.name)
            skeleton = [(first - 1, second - 1) for first, second in one.skeleton or ()]
            yield (
                one.id,
                FoundClass(
                    one.name, one.id, one.supercategory or "", one.keypoints or (), skeleton
                ),
            )

    def images(self, records: list[Any]) -> Iterator[ListedImage]:
        for index, record in enumerate(records):
            one = self._converted(record, _Image, "images", index)
            if one is None:
                continue
            if one.id in self._image_ids:
                self._add("duplicate_id", "another image has this id", image=one)
                continue
            self._image_ids.add(one.id)
            self._left_out.update(
                f"image field {key!r}"
                for key in record.keys() - _IMAGE_FIELDS
                if key != self._wanted.split_key and key not in self._wanted.slices
            )
            if (image := self._with_fields(one, record)) is not None:
                yield image

    def annotations(self, records: list[Any]) -> Iterator[tuple[RecordId, ListedObject]]:
        seen: set[RecordId] = set()
        for index, record in enumerate(records):
            one = self._converted(record, _Annotation, "annotations", index)
            if one is None:
                continue
            if one.id in seen:
                self._add("duplicate_id", "another annotation has this id", annotation=one)
            elif one.image_id not in self._image_ids:
                self._add("unknown_image", "no image has this id", annotation=one)
            else:
                # An unknown category is not refused here: its image must learn of it.
                yield one.image_id, self._with_attributes(one, record)
            seen.add(one.id)

    def notes(self) -> list[Note]:
        return [
            Note(kind="field_left_out", text=f"{field} is not kept ({n} times)")
            for field, n in sorted(self._left_out.items())
        ]

    def _with_fields(self, image: _Image, record: dict[str, Any]) -> ListedImage | None:
        split_key = None
        if self._wanted.split_key is not None:
            split_key = _text_of(record.get(self._wanted.split_key))
            if split_key is None:
                text = f"split key field {self._wanted.split_key!r} is missing or empty"
                self._add("missing_split_key", text, image=image)
        slices = {field: _text_of(record.get(field)) for field in self._wanted.slices}
        for field, value in slices.items():
            if value is None:
                text = f"slice field {field!r} is missing or empty"
                self._add("missing_slice", text, image=image)
        if None in slices.values() or (self._wanted.split_key and split_key is None):
            return None
        declared = None
        if image.width is not None and image.height is not None:
            declared = SizePx(image.width, image.height)
        return ListedImage(
            id=image.id,
            file_name=image.file_name,
            declared=declared,
            split_key=split_key,
            slices={field: value for field, value in slices.items() if value is not None},
        )

    def _with_attributes(self, one: _Annotation, record: dict[str, Any]) -> ListedObject:
        attributes: dict[str, AttributeValue] = {}
        for key in record.keys() - _ANNOTATION_FIELDS:
            value = record[key]
            if _is_plain(value):
                attributes[key] = value
            elif value is not None:
                self._left_out[f"annotation field {key!r}"] += 1
        if one.iscrowd:
            attributes[CROWD] = True
        shape = _shape_of(one)
        if one.segmentation and isinstance(shape, Keypoints):
            attributes[SEGMENTATION] = canonical_json(one.segmentation).decode()
        if one.area is not None and _is_plain(one.area) and not _fills_box(one, one.area):
            attributes[AREA] = one.area
        return ListedObject(one.id, one.category_id, shape, attributes)

    def _converted(
        self,
        record: Any,  # noqa: ANN401 - any JSON value
        kind: type[_Record],
        list_name: str,
        index: int,
    ) -> _Record | None:
        try:
            converted = msgspec.convert(record, kind)
            if all(_is_text(one) for one in msgspec.structs.astuple(converted) if type(one) is str):
                return converted
            problem = "holds half a character, which no file name or text can have"
        except msgspec.ValidationError as error:
            problem = str(error)
        found = record if isinstance(record, dict) else {}
        self.problems.append(
            Problem(
                kind="wrong_shape",
                text=f"{list_name}[{index}]: {problem}",
                file=found["file_name"] if _is_text(found.get("file_name")) else "",
                image_id=_id_in(found, "id" if list_name == "images" else "image_id"),
                annotation_id=_id_in(found, "id") if list_name == "annotations" else None,
            )
        )
        return None

    def _add(
        self,
        kind: ProblemKind,
        text: str,
        *,
        image: _Image | None = None,
        annotation: _Annotation | None = None,
    ) -> None:
        self.problems.append(
            Problem(
                kind=kind,
                text=text,
                file="" if image is None else image.file_name,
                image_id=image.id if image else annotation.image_id if annotation else None,
                annotation_id=None if annotation is None else annotation.id,
            )
        )


def _shape_of(one: _Annotation) -> Shape:
    """The most telling of what the record has: keypoints, a mask, outlines, or the box alone."""
    box = Box(one.bbox)
    if one.keypoints and any(one.keypoints):
        return Keypoints(one.keypoints, box)
    try:
        if isinstance(one.segmentation, dict):
            mask = msgspec.convert(one.segmentation, _Runs)
            return Mask(mask.counts, SizePx(mask.size[1], mask.size[0]), box)
        if one.segmentation:
            return Polygon(msgspec.convert(one.segmentation, list[list[float]]), box)
    except msgspec.ValidationError:
        return Polygon((), box)  # it will be noted that the outline is none
    return box


def _fills_box(one: _Annotation, area_px2: float) -> bool:
    return math.isclose(area_px2, one.bbox[2] * one.bbox[3], rel_tol=_FULL_BOX)


def _id_in(record: dict[str, Any], key: str) -> RecordId | None:
    value = record.get(key)
    return value if type(value) is int or _is_text(value) else None


def _text_of(value: Any) -> str | None:  # noqa: ANN401 - any JSON value
    """A field's value as a slice or split key has it; None when it has nothing to say."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return value if value and _is_text(value) else None


def _is_text(value: Any) -> TypeGuard[str]:  # noqa: ANN401 - any JSON value
    """Whether it is text that can be written: JSON may escape halves of characters."""
    return isinstance(value, str) and not _HALF_CHARACTER.search(value)


def _is_plain(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Whether an attribute can hold it: text, a truth value, or a number that JSON can write."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return _is_text(value)
