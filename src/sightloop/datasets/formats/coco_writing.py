"""Writing COCO: one JSON file with the three lists, a record a line, images as they came in."""

from __future__ import annotations

import shutil
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from sightloop.datasets.formats.coco import ANNOTATIONS_NAME, IMAGES_NAME
from sightloop.datasets.formats.coco_records import (
    ANNOTATION_FIELDS,
    AREA,
    NOT_EXHAUSTIVE,
    SPLIT,
    written_attributes,
)
from sightloop.datasets.formats.file_names import FileNames
from sightloop.datasets.formats.left_behind import classes_left_behind, left_behind
from sightloop.datasets.formats.listing import SEGMENTATION
from sightloop.datasets.geometry import (
    Geometry,
    KeypointsPx,
    MaskPx,
    OrientedBoxPx,
    PolygonPx,
    SizePx,
    bounds_of,
    ring_area_px2,
)
from sightloop.datasets.masks import area_px2, runs_of
from sightloop.datasets.records import CommitRecord
from sightloop.datasets.taxonomy import FoundClass
from sightloop.datasets.truths import CROWD, is_true
from sightloop.datasets.values import Annotation, ClassId, Sample, Taxonomy, TaxonomyClass

SPLIT_KEY = "split_key"
"""The image field in which an export keeps split keys."""

_OWN_FIELDS = frozenset(
    {SPLIT_KEY, NOT_EXHAUSTIVE, "neg_category_ids", "id", "file_name", "width", "height"}
)
_KEEPS = frozenset({"partly labelled", "reservation", "slices", "split by rule", "split key"})
_AT_ONCE = 1000


class CocoWriter:
    """Writes the records of a COCO file, sample by sample; see `writers.Writer`."""

    def __init__(self, record: CommitRecord, folder: Path) -> None:
        self._folder = folder
        self._taxonomy = record.taxonomy
        self._coco_ids = coco_ids(record.taxonomy)
        self._names = FileNames()
        self._images = _Lines(folder / ".images.part")
        self._annotations = _Lines(folder / ".annotations.part")
        self._slices: Counter[str] = Counter()
        self.not_kept: Counter[str] = Counter(
            classes_left_behind(record.taxonomy, _found(record.taxonomy, self._coco_ids))
        )

    def add(self, sample: Sample) -> str:
        """Take the sample in; see `writers.Writer.add`."""
        file_name = self._names.name_for(sample)
        image_id = self._images.n_lines + 1
        self._images.add(self._image(sample, image_id, file_name))
        for one in sample.annotations:
            if is_true(one):
                self._add_annotation(one, image_id, SizePx(sample.width_px, sample.height_px))
        self.not_kept.update(left_behind(sample, self._taxonomy, file_name=file_name, keeps=_KEEPS))
        return f"{IMAGES_NAME}/{file_name}"

    @property
    def n_annotations(self) -> int:
        """Annotations so far."""
        return self._annotations.n_lines

    def finish(self) -> None:
        """Write the annotation file."""
        for field, n_images in self._slices.items():
            # Whoever asks for the field on import gets no image that lacks it.
            if n_images < self._images.n_lines:
                what = f"images without the slice field {field!r}"
                self.not_kept[what] += self._images.n_lines - n_images
        categories = [msgspec.json.encode(one) for one in self._categories()]
        with self.source().open("wb") as file:
            file.write(b'{"info": {"description": "Sightloop"},\n"categories": [\n')
            file.write(b",\n".join(categories))
            for name, lines in (("images", self._images), ("annotations", self._annotations)):
                file.write(f'\n],\n"{name}": [\n'.encode())
                lines.move_into(file)
            file.write(b"\n]}\n")

    def images_folder(self) -> Path:
        """Where the images go."""
        return self._folder / IMAGES_NAME

    def source(self) -> Path:
        """The annotation file."""
        return self._folder / ANNOTATIONS_NAME

    def _categories(self) -> list[dict[str, Any]]:
        return [
            {
                "id": self._coco_ids[one.id],
                "name": one.name,
                "supercategory": one.supercategory,
                **_keypoint_fields(one),
            }
            for one in self._taxonomy.classes
        ]

    def _image(self, sample: Sample, image_id: int, file_name: str) -> dict[str, Any]:
        record: dict[str, Any] = {
            "id": image_id,
            "file_name": file_name,
            "width": sample.width_px,
            "height": sample.height_px,
            SPLIT_KEY: sample.split_key,
        }
        for field, value in sample.slices.items():
            if field in _OWN_FIELDS or not value:
                self.not_kept[f"slice {field!r}"] += 1
            else:
                record[field] = value
                self._slices[field] += 1
        if sample.reserved is not None:
            if SPLIT in sample.slices:
                self.not_kept["reservation"] += 1
            else:
                record[SPLIT] = sample.reserved
        partly = set(self._taxonomy.class_ids) - set(sample.labelled_for)
        if partly:
            record[NOT_EXHAUSTIVE] = sorted(self._coco_ids[one] for one in partly)
        return record

    def _add_annotation(self, one: Annotation, image_id: int, size: SizePx) -> None:
        box = bounds_of(one.geometry)
        if box is None:
            self.not_kept["class of a whole image"] += 1
            return
        if isinstance(one.geometry, OrientedBoxPx):
            self.not_kept["turn of an oriented box"] += 1
        if isinstance(one.geometry, KeypointsPx) and not any(one.geometry.points):
            self.not_kept["keypoints without any point"] += 1
        # On the grid of rounded corners this difference and its sum on import are exact.
        width_px, height_px = round(box.x2 - box.x1, 3), round(box.y2 - box.y1, 3)
        fields: dict[str, Any] = {
            AREA: _area_px2(one.geometry, width_px * height_px),
            **_attribute_fields(one),
            "id": self._annotations.n_lines + 1,
            "image_id": image_id,
            "category_id": self._coco_ids[one.class_id],
            "bbox": [box.x1, box.y1, width_px, height_px],
            CROWD: int(bool(one.attributes.get(CROWD))),
            **_shape_fields(one.geometry, size),
        }
        if one.attributes:
            self._count_lost(one, fields)
        self._annotations.add(fields)

    def _count_lost(self, one: Annotation, fields: dict[str, Any]) -> None:
        """Count attributes that a reader of this record would not find."""
        found = written_attributes(fields)
        for key, value in one.attributes.items():
            if key not in found or type(found[key]) is not type(value) or found[key] != value:
                self.not_kept[f"attribute {key!r}"] += 1


class _Lines:
    """JSON records on their way into a file, a few of them in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: list[bytes] = []
        self.n_lines = 0

    def add(self, record: dict[str, Any]) -> None:
        separator = b",\n" if self.n_lines else b""
        self._waiting.append(separator + msgspec.json.encode(record))
        self.n_lines += 1
        if len(self._waiting) >= _AT_ONCE:
            self._flush()

    def move_into(self, file: Any) -> None:  # noqa: ANN401 - a binary file
        """Append all of it."""
        self._flush()
        with self._path.open("rb") as part:
            shutil.copyfileobj(part, file)
        self._path.unlink()

    def _flush(self) -> None:
        with self._path.open("ab") as file:
            file.writelines(self._waiting)
        self._waiting = []


def _area_px2(geometry: Geometry, box_px2: float) -> float:
    """What COCO calls an object's area: that of its outlines or pixels, else that of its box."""
    if isinstance(geometry, PolygonPx):
        return sum(ring_area_px2(ring) for ring in geometry.rings)
    if isinstance(geometry, MaskPx):
        return float(area_px2(runs_of(geometry.counts)))
    return box_px2


def _attribute_fields(one: Annotation) -> dict[str, Any]:
    """Attributes as fields, but for those that would be taken for something else."""
    fields: dict[str, Any] = {
        key: value for key, value in one.attributes.items() if key not in ANNOTATION_FIELDS
    }
    if type(area := one.attributes.get(AREA)) in (int, float):
        fields[AREA] = area
    outline = one.attributes.get(SEGMENTATION)
    if isinstance(outline, str) and isinstance(one.geometry, KeypointsPx):
        with suppress(msgspec.DecodeError):  # the attribute of somebody who means something else
            if isinstance(decoded := msgspec.json.decode(outline), list | dict):
                fields[SEGMENTATION] = decoded
    return fields


def _shape_fields(geometry: Geometry, size: SizePx) -> dict[str, Any]:
    """What a record says of the object beyond its box."""
    if isinstance(geometry, PolygonPx):
        return {SEGMENTATION: geometry.rings}
    if isinstance(geometry, MaskPx):
        return {SEGMENTATION: {"size": [size.height_px, size.width_px], "counts": geometry.counts}}
    if isinstance(geometry, KeypointsPx):
        points = [int(one) if at % 3 == 2 else one for at, one in enumerate(geometry.points)]
        n_labelled = sum(seen > 0 for seen in points[2::3])
        return {"keypoints": points, "num_keypoints": n_labelled}
    return {}


def _keypoint_fields(one: TaxonomyClass) -> dict[str, Any]:
    if not one.keypoints:
        return {}
    skeleton = [[first + 1, second + 1] for first, second in one.skeleton]  # COCO counts from 1
    return {"keypoints": one.keypoints, "skeleton": skeleton}


def _found(taxonomy: Taxonomy, ids: dict[ClassId, int]) -> list[FoundClass]:
    """The classes in the order in which a reader will find them."""
    return [FoundClass(one.name) for one in sorted(taxonomy.classes, key=lambda one: ids[one.id])]


def coco_ids(taxonomy: Taxonomy) -> dict[ClassId, int]:
    """A category id for each class: the one it came with, or the next that is free."""
    taken = {one.coco_id for one in taxonomy.classes if one.coco_id is not None}
    ids: dict[ClassId, int] = {}
    for one in taxonomy.classes:
        if one.coco_id is not None and one.coco_id not in ids.values():
            ids[one.id] = one.coco_id
        else:
            ids[one.id] = max(taken, default=0) + 1
            taken.add(ids[one.id])
    return ids
