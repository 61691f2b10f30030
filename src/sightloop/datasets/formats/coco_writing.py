"""Writing COCO: one JSON file with the three lists, images as they came in."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from sightloop.datasets.formats.coco import ANNOTATIONS_NAME, IMAGES_NAME
from sightloop.datasets.formats.coco_records import AREA
from sightloop.datasets.formats.file_names import FileNames
from sightloop.datasets.formats.left_behind import left_behind
from sightloop.datasets.formats.listing import SEGMENTATION
from sightloop.datasets.geometry import (
    Geometry,
    KeypointsPx,
    MaskPx,
    OrientedBoxPx,
    PolygonPx,
    SizePx,
    bounds_of,
)
from sightloop.datasets.records import CommitRecord
from sightloop.datasets.truths import CROWD, is_true
from sightloop.datasets.values import Annotation, ClassId, Sample, Taxonomy, TaxonomyClass

SPLIT_KEY = "split_key"
"""The image field in which an export keeps split keys."""


class CocoWriter:
    """Collects the records of a COCO file, sample by sample; see `writers.Writer`."""

    def __init__(self, record: CommitRecord, folder: Path) -> None:
        self._folder = folder
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []
        self.not_kept: Counter[str] = Counter()
        self._taxonomy = record.taxonomy
        self._coco_ids = coco_ids(record.taxonomy)
        self._names = FileNames()

    def add(self, sample: Sample) -> str:
        """Take the sample in; see `writers.Writer.add`."""
        file_name = self._names.name_for(sample)
        image_id = len(self.images) + 1
        self.images.append(
            {
                **sample.slices,
                SPLIT_KEY: sample.split_key,
                "id": image_id,
                "file_name": file_name,
                "width": sample.width_px,
                "height": sample.height_px,
            }
        )
        for one in sample.annotations:
            if is_true(one):
                self._add_annotation(one, image_id, SizePx(sample.width_px, sample.height_px))
        self.not_kept.update(left_behind(sample, self._taxonomy))
        return f"{IMAGES_NAME}/{file_name}"

    @property
    def n_annotations(self) -> int:
        """Annotations so far."""
        return len(self.annotations)

    def finish(self) -> None:
        """Write the annotation file."""
        content = msgspec.json.encode({**self.content(), "info": {"description": "Sightloop"}})
        self.source().write_bytes(msgspec.json.format(content))

    def images_folder(self) -> Path:
        """Where the images go."""
        return self._folder / IMAGES_NAME

    def source(self) -> Path:
        """The annotation file."""
        return self._folder / ANNOTATIONS_NAME

    def content(self) -> dict[str, Any]:
        """The three lists."""
        categories = [
            {
                "id": self._coco_ids[one.id],
                "name": one.name,
                "supercategory": one.supercategory,
                **_keypoint_fields(one),
            }
            for one in self._taxonomy.classes
        ]
        return {
            "images": self.images,
            "annotations": self.annotations,
            "categories": categories,
        }

    def _add_annotation(self, one: Annotation, image_id: int, size: SizePx) -> None:
        box = bounds_of(one.geometry)
        if box is None:
            self.not_kept["class of a whole image"] += 1
            return
        if isinstance(one.geometry, OrientedBoxPx):
            self.not_kept["turn of an oriented box"] += 1
        # On the grid of rounded corners this difference and its sum on import are exact.
        width_px, height_px = round(box.x2 - box.x1, 3), round(box.y2 - box.y1, 3)
        fields: dict[str, Any] = {
            AREA: width_px * height_px,
            **one.attributes,
            "id": len(self.annotations) + 1,
            "image_id": image_id,
            "category_id": self._coco_ids[one.class_id],
            "bbox": [box.x1, box.y1, width_px, height_px],
            CROWD: int(bool(one.attributes.get(CROWD))),
        }
        if isinstance(outline := one.attributes.get(SEGMENTATION), str):
            fields[SEGMENTATION] = msgspec.json.decode(outline)
        self.annotations.append(fields | _shape_fields(one.geometry, size))


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
