"""Writing Label Studio's JSON: tasks with annotations, and the configuration of their project.

Images are addressed as files of Label Studio's machine: with its document root at the exported
folder it shows them where they are. See `label_studio` for how objects of several parts hang
together.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sightloop.datasets.formats.brushes import stream_of
from sightloop.datasets.formats.file_names import FileNames
from sightloop.datasets.formats.label_studio import IMAGES_NAME, SPLIT, TASKS_NAME
from sightloop.datasets.formats.label_studio_images import LOCAL_FILES
from sightloop.datasets.formats.label_studio_labels import CONFIG_NAME, config_of
from sightloop.datasets.formats.label_studio_regions import is_remark, meta_lines
from sightloop.datasets.formats.left_behind import left_behind
from sightloop.datasets.formats.outlines import has_own_box
from sightloop.datasets.formats.plain_texts import is_writable
from sightloop.datasets.formats.text_parts import TextPart
from sightloop.datasets.formats.turned_boxes import is_rectangle, turned_box_of
from sightloop.datasets.geometry import (
    BoxPx,
    KeypointsPx,
    MaskPx,
    OrientedBoxPx,
    PolygonPx,
    SizePx,
    WholeImage,
)
from sightloop.datasets.masks import bounds_of_runs, decoded, runs_of
from sightloop.datasets.records import CommitRecord
from sightloop.datasets.truths import is_true
from sightloop.datasets.values import Annotation, Sample

SPLIT_KEY = "split_key"
"""The task's field in which an export keeps split keys."""

_TAKEN = {"image", SPLIT, SPLIT_KEY}
_NO_ANGLE = 1e-9
"""A turn of 0 reads as a box that was never turned."""


class LabelStudioWriter:
    """Writes tasks as samples come; see `writers.Writer`."""

    def __init__(self, record: CommitRecord, folder: Path) -> None:
        self._folder = folder
        self._taxonomy = record.taxonomy
        self._classes = {one.id: one for one in record.taxonomy.classes}
        self._names = FileNames()
        self._n_tasks = 0
        self._n_annotations = 0
        self._tasks = TextPart(folder / f".{TASKS_NAME}.part")
        self.not_kept: Counter[str] = Counter()
        for one in record.taxonomy.classes:
            self.not_kept["supercategory"] += bool(one.supercategory)
            self.not_kept["name of a class"] += not (one.name and is_writable(one.name))

    @property
    def n_annotations(self) -> int:
        """Annotations so far."""
        return self._n_annotations

    def add(self, sample: Sample) -> str:
        """Take the sample in; see `writers.Writer.add`."""
        name = self._names.name_for(sample)
        data = {**sample.slices, SPLIT_KEY: sample.split_key}
        data["image"] = f"{LOCAL_FILES}{quote(f'{IMAGES_NAME}/{name}')}"
        if sample.reserved not in (None, "audit"):
            data[SPLIT] = sample.reserved
        results = list(self._results(sample))
        is_labelled = bool(sample.labelled_for or results)
        annotations = [{"result": results, "was_cancelled": False}] if is_labelled else []
        task = {"id": self._n_tasks + 1, "data": data, "annotations": annotations}
        self._tasks.add((",\n" if self._n_tasks else "") + json.dumps(task))
        self._n_tasks += 1
        self._count_what_is_lost(sample, name, is_labelled=is_labelled)
        return f"{IMAGES_NAME}/{name}"

    def finish(self) -> None:
        """Close the list of tasks and write the project's configuration."""
        with self.source().open("w", encoding="utf-8") as file:
            file.write("[\n")
            self._tasks.move_into(file)
            file.write("\n]\n")
        config = config_of(self._taxonomy.classes)
        (self._folder / CONFIG_NAME).write_text(config, encoding="utf-8")
        self.not_kept = +self.not_kept

    def images_folder(self) -> Path:
        """Where the images go."""
        return self._folder / IMAGES_NAME

    def source(self) -> Path:
        """The tasks file."""
        return self._folder / TASKS_NAME

    def _results(self, sample: Sample) -> Iterator[dict[str, Any]]:
        size = SizePx(sample.width_px, sample.height_px)
        common = {
            "to_name": "image",
            "original_width": size.width_px,
            "original_height": size.height_px,
            "image_rotation": 0,
        }
        classes = []
        for one in filter(is_true, sample.annotations):
            self._count_what_is_lost_of(one)
            if isinstance(one.geometry, WholeImage):
                classes.append(self._classes[one.class_id].name)
                self._n_annotations += 1
                self.not_kept["attribute of a whole image"] += len(one.attributes)
                continue
            regions = list(self._regions(one, size))
            self._n_annotations += bool(regions)
            yield from (common | region for region in regions)
        if classes:
            choices = {"choices": classes}
            yield {"from_name": "class", "to_name": "image", "type": "choices", "value": choices}

    def _regions(self, one: Annotation, size: SizePx) -> Iterator[dict[str, Any]]:
        geometry, label = one.geometry, self._classes[one.class_id].name
        lines = meta_lines({key: one.attributes[key] for key in filter(is_remark, one.attributes)})
        head: dict[str, Any] = {"id": one.id} | ({"meta": {"text": lines}} if lines else {})
        if isinstance(geometry, BoxPx | OrientedBoxPx):
            yield head | _region("rectangle", label, _rectangle(geometry, size))
        elif isinstance(geometry, PolygonPx):
            for at, ring in enumerate(geometry.rings):
                part = head if at == 0 else {"id": f"{one.id}-{at}", "parentID": one.id}
                yield part | _region("polygon", label, {"points": _points(ring, size)})
        elif isinstance(geometry, MaskPx):
            stream = stream_of(decoded(runs_of(geometry.counts), size))
            yield head | _region("brush", label, {"format": "rle", "rle": stream}, name="mask")
        elif isinstance(geometry, KeypointsPx):
            yield from self._keypoints(one, geometry, head, size)

    def _keypoints(
        self, one: Annotation, geometry: KeypointsPx, head: dict[str, Any], size: SizePx
    ) -> Iterator[dict[str, Any]]:
        """A rectangle with its points, or a point alone where nobody named it."""
        label = self._classes[one.class_id].name
        names = self._classes[one.class_id].keypoints
        points = list(
            zip(geometry.points[0::3], geometry.points[1::3], geometry.points[2::3], strict=True)
        )
        labelled = [(at, x, y, seen) for at, (x, y, seen) in enumerate(points) if seen]
        if len(points) == 1 and not names and labelled:
            _, x, y, seen = labelled[0]
            self.not_kept["box of keypoints"] += has_own_box(geometry)
            hidden = meta_lines(one.attributes, is_hidden=seen == 1)
            meta = {"meta": {"text": hidden}} if hidden else {}
            yield {"id": one.id} | meta | _region("keypoint", label, _point(x, y, size))
            return
        box = BoxPx(geometry.x1, geometry.y1, geometry.x2, geometry.y2)
        if not labelled:
            self.not_kept["object without a labelled keypoint"] += 1
        if len(names) != len(points):
            self.not_kept["names of keypoints"] += 1
            names = [str(at + 1) for at in range(len(points))]
        yield head | _region("rectangle", label, _rectangle(box, size))
        for at, x, y, seen in labelled:
            part: dict[str, Any] = {"id": f"{one.id}-{at}", "parentID": one.id}
            if seen == 1:
                part["meta"] = {"text": meta_lines({}, is_hidden=True)}
            yield part | _region("keypoint", names[at], _point(x, y, size))

    def _count_what_is_lost_of(self, one: Annotation) -> None:
        geometry = one.geometry
        self.not_kept["attribute that is read otherwise"] += sum(
            not is_remark(key) for key in one.attributes
        )
        if isinstance(geometry, OrientedBoxPx):
            self.not_kept["corners of a box that is no rectangle"] += not is_rectangle(
                geometry.corners
            )
        elif isinstance(geometry, PolygonPx):
            self.not_kept["box of an outline"] += has_own_box(geometry)
        elif isinstance(geometry, KeypointsPx):
            triples = zip(*(geometry.points[at::3] for at in range(3)), strict=True)
            self.not_kept["place of a keypoint that is not labelled"] += any(
                not seen and (x or y) for x, y, seen in triples
            )

    def _count_what_is_lost(self, sample: Sample, name: str, *, is_labelled: bool) -> None:
        keeps = {"split by rule", "split key"}
        keeps |= set() if sample.reserved == "audit" else {"reservation"}
        keeps |= set() if is_labelled else {"partly labelled"}
        if not sample.slices.keys() & _TAKEN and all(sample.slices.values()):
            keeps.add("slices")
        self.not_kept.update(left_behind(sample, self._taxonomy, file_name=name, keeps=keeps))
        for one in filter(is_true, sample.annotations):
            if isinstance(one.geometry, MaskPx):
                size = SizePx(sample.width_px, sample.height_px)
                box = bounds_of_runs(runs_of(one.geometry.counts), size)
                self.not_kept["box of a mask"] += box != BoxPx(
                    one.geometry.x1, one.geometry.y1, one.geometry.x2, one.geometry.y2
                )


def _region(kind: str, label: str, value: dict[str, Any], *, name: str = "") -> dict[str, Any]:
    names = {"rectangle": "box", "polygon": "polygon", "keypoint": "keypoint"}
    labels = f"{kind}labels"
    return {"from_name": name or names[kind], "type": labels, "value": {**value, labels: [label]}}


def _rectangle(geometry: BoxPx | OrientedBoxPx, size: SizePx) -> dict[str, float]:
    if isinstance(geometry, BoxPx):
        x, y, degrees = geometry.x1, geometry.y1, 0.0
        width, height = geometry.x2 - geometry.x1, geometry.y2 - geometry.y1
    else:
        x, y, width, height, degrees = turned_box_of(geometry.corners)
        degrees = degrees or _NO_ANGLE
    return {
        "x": 100 * x / size.width_px,
        "y": 100 * y / size.height_px,
        "width": 100 * width / size.width_px,
        "height": 100 * height / size.height_px,
        "rotation": degrees,
    }


def _points(ring: tuple[float, ...], size: SizePx) -> list[list[float]]:
    pairs = zip(ring[0::2], ring[1::2], strict=True)
    return [[100 * x / size.width_px, 100 * y / size.height_px] for x, y in pairs]


def _point(x: float, y: float, size: SizePx) -> dict[str, float]:
    return {"x": 100 * x / size.width_px, "y": 100 * y / size.height_px, "width": 0.5}
