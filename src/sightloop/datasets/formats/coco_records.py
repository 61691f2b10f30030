"""The records of one COCO file, read one by one so that a bad one does not hide the others.

Records stay the bytes they are in until their turn comes, and a million boxes are never a million
dictionaries: a file of 139 MB with 1,000,000 boxes on 100,000 images takes 5 s and 0.74 GB.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Annotated, Any, NamedTuple, TypeGuard, TypeVar

import msgspec

from sightloop.datasets.errors import NotCoco
from sightloop.datasets.formats.listing import (
    SEGMENTATION,
    Box,
    ClassKey,
    Keypoints,
    ListedImage,
    ListedObject,
    Mask,
    Polygon,
    Shape,
    WantedFields,
)
from sightloop.datasets.formats.split_names import split_named
from sightloop.datasets.geometry import SizePx, ring_area_px2
from sightloop.datasets.masks import area_px2, runs_of
from sightloop.datasets.problems import Note, Problem, ProblemKind, RecordId
from sightloop.datasets.taxonomy import FoundClass
from sightloop.datasets.truths import CROWD
from sightloop.datasets.values import AttributeValue, Split
from sightloop.kernel.digests import canonical_json

AREA = "area"
"""The attribute that keeps the area of an object that its shape does not have, in square pixels."""

SPLIT = "split"
"""The image field that says which split the image is in."""

NOT_EXHAUSTIVE = "not_exhaustive_category_ids"
"""The image field, as LVIS has it, for categories of which objects may be missing."""

NEGATIVE = "neg_category_ids"
"""The image field, as LVIS has it, for categories of which the image surely shows nothing."""

_LISTS = ("images", "annotations", "categories")
_SAME_AREA = 0.01
"""An `area` this close to that of the shape, or of its box, says nothing that those do not."""

_MORE_PIXELS_THAN_ANY = 1 << 53

_HALF = "holds half a character, which no file name or text can have"
_HALF_CHARACTER = re.compile(r"[\ud800-\udfff]")


class CocoFile(NamedTuple):
    """What one file says."""

    images: list[ListedImage]
    objects: dict[RecordId, list[ListedObject]]
    classes: dict[ClassKey, FoundClass]
    problems: list[Problem]
    notes: list[Note]


def read_records(
    content: bytes, wanted: WantedFields, *, name: str, split: Split | None = None
) -> CocoFile:
    """Read what can be read.

    Args:
        content: the annotation file.
        wanted: which image fields to keep.
        name: the file's, for the error.
        split: where its images are, unless they say so themselves.

    Raises:
        NotCoco: it is no JSON, lacks one of its three lists, or lists no image, or has
            annotations of no category.
    """
    records = _records(content, name=name)
    reader = _Reader(wanted, split)
    classes: dict[ClassKey, FoundClass] = dict(sorted(reader.categories(records["categories"])))
    objects: dict[RecordId, list[ListedObject]] = {}
    found_images = list(reader.images(records["images"]))
    for image_id, found in reader.annotations(records["annotations"]):
        objects.setdefault(image_id, []).append(found)
    images = [_labelled_for(one, classes, objects.get(one.image.id, ())) for one in found_images]
    return CocoFile(images, objects, classes, reader.problems, reader.notes())


def written_attributes(record: dict[str, Any]) -> dict[str, AttributeValue]:
    """The attributes that this annotation, read again, would have."""
    reader = _Reader(WantedFields(), None)
    return reader.listed(msgspec.convert(record, _Annotation), record).attributes


_Raw = msgspec.Raw | Any
"""A record: bytes of JSON, or what a lenient reader made of them."""


class _Lists(msgspec.Struct):
    images: list[msgspec.Raw]
    annotations: list[msgspec.Raw]
    categories: list[msgspec.Raw]


def _records(content: bytes, *, name: str) -> dict[str, Sequence[_Raw]]:
    try:
        lists = msgspec.json.decode(content, type=_Lists)
        found: dict[str, Any] = {key: getattr(lists, key) for key in _LISTS}
    except (msgspec.DecodeError, ValueError, RecursionError):
        found = _lenient_json(content, name=name)
    if not found["images"]:
        raise NotCoco(file=name, problem="'images' is empty")
    if found["annotations"] and not found["categories"]:
        raise NotCoco(file=name, problem="'categories' is empty, but there are annotations")
    return found


def _lenient_json(content: bytes, *, name: str) -> dict[str, Any]:
    # NaN is not JSON, but Python writes it: one bad box must not hide where it is.
    try:
        whole = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise NotCoco(file=name, problem=f"it is not JSON ({error})") from error
    if not isinstance(whole, dict):
        kind = "a list, as of detection results" if isinstance(whole, list) else "a single value"
        raise NotCoco(file=name, problem=f"it holds {kind}")
    for key in _LISTS:
        if not isinstance(whole.get(key), list):
            found = "is missing" if key not in whole else "is not a list"
            raise NotCoco(file=name, problem=f"{key!r} {found}")
        if key == "images" and not whole[key]:
            raise NotCoco(file=name, problem=f"{key!r} is empty")
    return {key: whole[key] for key in _LISTS}


_Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""A number that JSON can write again, as the report of an import must."""

_Id = _Whole | str

_Side = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
"""Of an image, in pixels."""


_Name = Annotated[str, msgspec.Meta(pattern=r"\S")]
"""Of a class: something must be written there."""


class _Category(msgspec.Struct):
    id: _Whole
    name: _Name
    supercategory: str | None = None
    keypoints: list[str] | None = None
    skeleton: list[tuple[_Whole, _Whole]] | None = None


class _Image(msgspec.Struct):
    id: _Id
    file_name: str
    width: _Side | None = None
    height: _Side | None = None
    not_exhaustive_category_ids: list[_Whole] | None = None
    neg_category_ids: list[_Whole] | None = None


class _Runs(msgspec.Struct):
    counts: list[_Whole] | str
    size: tuple[_Side, _Side]


class _Annotation(msgspec.Struct):
    id: _Id
    image_id: _Id
    category_id: _Whole
    bbox: tuple[float, float, float, float]
    iscrowd: _Whole | bool | None = None
    area: float | None = None
    segmentation: list[Any] | dict[str, Any] | None = None
    keypoints: list[float] | None = None
    num_keypoints: _Whole | None = None


class _PlainAnnotation(_Annotation, forbid_unknown_fields=True):
    """An annotation that holds nothing else."""


class _FoundImage(NamedTuple):
    image: ListedImage
    record: _Image


_IMAGE_FIELDS = {*_Image.__struct_fields__, "license", "flickr_url", "coco_url", "date_captured"}
ANNOTATION_FIELDS = frozenset(_Annotation.__struct_fields__)
"""Fields of an annotation that COCO itself gives a meaning."""

_NO_ATTRIBUTES: dict[str, AttributeValue] = {}
_Record = TypeVar("_Record", bound=msgspec.Struct)


class _Reader:
    """Reads the three lists, in this order, and remembers what it could not read."""

    def __init__(self, wanted: WantedFields, split: Split | None) -> None:
        self.problems: list[Problem] = []
        self._wanted = wanted
        self._split = split
        self._asked = {wanted.split_key, *wanted.slices}
        self._image_ids: set[RecordId] = set()
        self._category_ids: set[int] = set()
        self._left_out: Counter[str] = Counter()
        self._missing: list[Note] = []

    def categories(self, records: Sequence[_Raw]) -> Iterator[tuple[int, FoundClass]]:
        names: set[str] = set()
        for index, raw in enumerate(records):
            one = self._converted(_plain(raw), _Category, "categories", index)
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

    def images(self, records: Sequence[_Raw]) -> Iterator[_FoundImage]:
        for index, raw in enumerate(records):
            record = _plain(raw)
            one = self._converted(record, _Image, "images", index)
            if one is None:
                # One problem is enough: its annotations are not lost for want of an image.
                if (known := _id_in(record, "id")) is not None:
                    self._image_ids.add(known)
                continue
            if one.id in self._image_ids:
                self._add("duplicate_id", "another image has this id", image=one)
                continue
            self._image_ids.add(one.id)
            if (image := self._with_fields(one, record)) is not None:
                yield _FoundImage(image, one)

    def annotations(self, records: Sequence[_Raw]) -> Iterator[tuple[RecordId, ListedObject]]:
        seen: set[RecordId] = set()
        for index, raw in enumerate(records):
            if (found := self._annotation(raw, index)) is None:
                continue
            one, listed = found
            if one.id in seen:
                self._add("duplicate_id", "another annotation has this id", annotation=one)
            elif one.image_id not in self._image_ids:
                self._add("unknown_image", "no image has this id", annotation=one)
            else:
                # An unknown category is not refused here: its image must learn of it.
                yield one.image_id, listed
            seen.add(one.id)

    def listed(self, one: _Annotation, record: dict[str, Any]) -> ListedObject:
        """The annotation, with attributes from the fields that it alone has."""
        attributes: dict[str, AttributeValue] = {}
        for key in record.keys() - ANNOTATION_FIELDS if record else ():
            value = record[key]
            if _is_plain(value):
                attributes[key] = value
            elif value is not None:
                self._left_out[f"annotation field {key!r}"] += 1
        shape = _shape_of(one)
        if one.iscrowd:
            attributes[CROWD] = True
        if one.segmentation and isinstance(shape, Keypoints):
            try:
                attributes[SEGMENTATION] = canonical_json(one.segmentation).decode()
            except (UnicodeEncodeError, OverflowError):  # half a character, a number too large
                self._left_out[f"annotation field {SEGMENTATION!r}"] += 1
        if one.area is not None and _is_plain(one.area) and not _says_shape(one, shape):
            attributes[AREA] = one.area
        return ListedObject(one.id, one.category_id, shape, attributes or _NO_ATTRIBUTES)

    def notes(self) -> list[Note]:
        left_out = [
            Note(kind="field_left_out", text=f"{field} is not kept ({n} times)")
            for field, n in sorted(self._left_out.items())
        ]
        return [*self._missing, *left_out]

    def _annotation(self, raw: _Raw, index: int) -> tuple[_Annotation, ListedObject] | None:
        if isinstance(raw, msgspec.Raw):
            try:
                plain = _PLAIN.decode(raw)
                if type(plain.id) is type(plain.image_id) is int:  # texts are looked at below
                    return plain, self.listed(plain, {})
            except msgspec.DecodeError:  # it has fields of its own, or is not right
                pass
        record = _plain(raw)
        one = self._converted(record, _Annotation, "annotations", index)
        return None if one is None else (one, self.listed(one, record))

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
                text = f"slice field {field!r} is missing or empty; it is in no such slice"
                self._missing.append(
                    Note(kind="missing_slice", text=text, file=image.file_name, image_id=image.id)
                )
        split = self._split_of(record)
        if self._wanted.split_key and split_key is None:
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
            split=split,
        )

    def _split_of(self, record: dict[str, Any]) -> Split | None:
        """Where the image says that it is, else where its file is; counts what is not kept."""
        said = None if SPLIT in self._asked else split_named(record.get(SPLIT))
        known = _IMAGE_FIELDS | self._asked | ({SPLIT} if said else set())
        self._left_out.update(f"image field {key!r}" for key in record.keys() - known)
        return said or self._split

    def _converted(
        self,
        record: Any,  # noqa: ANN401 - any JSON value
        kind: type[_Record],
        list_name: str,
        index: int,
    ) -> _Record | None:
        try:
            converted = msgspec.convert(_with_whole_numbers(record), kind)
            if all(map(_is_text, _texts_in(converted))):
                return converted
            problem = _HALF
        except UnicodeEncodeError:
            problem = _HALF
        except OverflowError:
            problem = "holds a number too large to be right"
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


def _labelled_for(
    found: _FoundImage, classes: Collection[ClassKey], objects: Sequence[ListedObject]
) -> ListedImage:
    """The image with the classes it is exhaustively labelled for, where it names exceptions.

    Source: the LVIS data set (Gupta and others, 2019): where an image lists what it surely does
    not show, nothing is known of classes that are neither there nor among its objects.
    """
    partly, absent = found.record.not_exhaustive_category_ids, found.record.neg_category_ids
    if not partly and absent is None:
        return found.image
    sure = classes if absent is None else {*absent, *(one.class_key for one in objects)}
    return found.image._replace(labelled_for=set(sure) - set(partly or ()))


def _shape_of(one: _Annotation) -> Shape:
    """The most telling of what the record has: keypoints, a mask, outlines, or the box alone."""
    box = Box(one.bbox)
    if one.keypoints and any(one.keypoints):
        return Keypoints(one.keypoints, box)
    if not one.segmentation:
        return box
    try:
        if isinstance(one.segmentation, dict):
            mask = msgspec.convert(one.segmentation, _Runs)
            return Mask(mask.counts, SizePx(mask.size[1], mask.size[0]), box)
        return Polygon(msgspec.convert(one.segmentation, list[list[float]]), box)
    except (msgspec.ValidationError, UnicodeEncodeError):
        return Polygon((), box)  # it will be noted that the outline is none


def _says_shape(one: _Annotation, shape: Shape) -> bool:
    """Whether the area is the one that everybody can work out."""
    assert one.area is not None, "the caller looks"
    if math.isclose(one.area, one.bbox[2] * one.bbox[3], rel_tol=_SAME_AREA):
        return True
    shape_px2 = shape_area_px2(shape)
    return shape_px2 is not None and math.isclose(one.area, shape_px2, rel_tol=_SAME_AREA)


def shape_area_px2(shape: Shape) -> float | None:
    """The area that COCO gives an object of this shape; None where that is the box's."""
    if isinstance(shape, Polygon):
        return sum(ring_area_px2(ring) for ring in shape.rings)
    if isinstance(shape, Mask):
        try:
            runs = runs_of(shape.runs) if isinstance(shape.runs, str) else shape.runs
        except ValueError:
            return None
        n_pixels = area_px2(runs)
        return float(n_pixels) if abs(n_pixels) < _MORE_PIXELS_THAN_ANY else None
    return None


def _texts_in(record: msgspec.Struct) -> Iterator[str]:
    """Its texts, also those in lists: no annotation has so many that it would take long."""
    for value in msgspec.structs.astuple(record):
        if type(value) is str:
            yield value
        elif type(value) is list and value and type(value[0]) is str:
            yield from (one for one in value if type(one) is str)


_WHOLE = ("id", "image_id", "category_id", "width", "height", "iscrowd", "num_keypoints")


def _with_whole_numbers(record: Any) -> Any:  # noqa: ANN401 - any JSON value
    """The record with 3 where a tool wrote 3.0."""
    if not isinstance(record, dict):
        return record
    whole = {key: record[key] for key in _WHOLE if isinstance(record.get(key), float)}
    return record | {key: int(one) for key, one in whole.items() if one.is_integer()}


def _plain(raw: _Raw) -> Any:  # noqa: ANN401 - any JSON value
    return _ANY.decode(raw) if isinstance(raw, msgspec.Raw) else raw


def _id_in(record: Any, key: str) -> RecordId | None:  # noqa: ANN401 - any JSON value
    value = record.get(key) if isinstance(record, dict) else None
    if type(value) is int:
        return value if -(2**63) <= value < 2**63 else None
    return value if _is_text(value) else None


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


_ANY = msgspec.json.Decoder()
_PLAIN = msgspec.json.Decoder(_PlainAnnotation)
