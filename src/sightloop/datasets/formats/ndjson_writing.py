"""Writing Ultralytics NDJSON: all labels in one file, images in a folder for each split."""

from __future__ import annotations

from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from sightloop.datasets.formats.file_names import FileNames
from sightloop.datasets.formats.left_behind import left_behind
from sightloop.datasets.formats.yolo_ndjson import LABELS_OF
from sightloop.datasets.formats.yolo_rows import n_digits_for, row_of
from sightloop.datasets.formats.yolo_writing import (
    Plan,
    kept_objects,
    keypoint_fields,
    label_row,
    lost_of_classes,
    with_image_suffix,
)
from sightloop.datasets.geometry import SizePx, WholeImage
from sightloop.datasets.records import CommitRecord
from sightloop.datasets.splits import split_of
from sightloop.datasets.truths import class_indices
from sightloop.datasets.values import Annotation, Sample

FILE_NAME = "dataset.ndjson"
_KEEPS = frozenset({"reservation"})


class NdjsonWriter:
    """Writes a record for each image, sample by sample; see `writers.Writer`.

    Images held back for audit and quarantined ones are left out: the format has three splits.
    """

    def __init__(self, record: CommitRecord, folder: Path, plan: Plan) -> None:
        self._folder = folder
        self._plan = plan
        self._taxonomy = record.taxonomy
        self._rule = record.split_rule
        self._indices = class_indices(record.taxonomy.class_ids)
        self._names = FileNames(stems=True)
        self.n_annotations = 0
        self.not_kept: Counter[str] = Counter(lost_of_classes(record.taxonomy))
        self.source().write_bytes(_line(self._head()))

    def add(self, sample: Sample) -> str | None:
        """Take the sample in; see `writers.Writer.add`."""
        split = split_of(sample, self._rule)
        if split is None or split == "audit":
            self.not_kept["audit" if split else "quarantine"] += 1
            return None
        # Ultralytics takes bare names only.
        wanted = with_image_suffix(PurePosixPath(sample.file_name).name, sample.media_type)
        name = self._names.name_for(sample, wanted)
        path = f"images/{split}/{name}"
        self.not_kept.update(left_behind(sample, self._taxonomy, file_name=path, keeps=_KEEPS))
        record: dict[str, Any] = {
            "type": "image",
            "file": name,
            "width": sample.width_px,
            "height": sample.height_px,
            "split": split,
        }
        if labels := self._labels(sample):
            record["annotations"] = {LABELS_OF[self._plan.task]: labels}
        with self.source().open("ab") as file:
            file.write(_line(record))
        return path

    def finish(self) -> None:
        """Nothing is left to do."""

    def images_folder(self) -> Path:
        """The folder that the file is in."""
        return self._folder

    def source(self) -> Path:
        """The file."""
        return self._folder / FILE_NAME

    def _labels(self, sample: Sample) -> list[Any]:
        size = SizePx(sample.width_px, sample.height_px)
        labels = [
            label
            for one in kept_objects(sample, self.not_kept)
            if (label := self._label(one, size)) is not None
        ]
        self.n_annotations += len(labels)
        return labels

    def _label(self, one: Annotation, size: SizePx) -> Any:  # noqa: ANN401 - any JSON value
        index = self._indices[one.class_id]
        is_whole = isinstance(one.geometry, WholeImage)
        if is_whole != (self._plan.task == "classify"):
            self.not_kept["class of a whole image" if is_whole else "object with a place"] += 1
            return None
        if isinstance(one.geometry, WholeImage):
            return index
        row = row_of(one.geometry, self._plan.task, size, self._plan.layout)
        self.not_kept.update(row.lost)
        return [index, *label_row(row, n_digits_for(size))]

    def _head(self) -> dict[str, Any]:
        names = self._taxonomy.class_names
        head: dict[str, Any] = {
            "type": "dataset",
            "task": self._plan.task,
            "name": "Sightloop",
            "path": ".",
            "class_names": {str(index): name for index, name in enumerate(names)},
        }
        if self._plan.task == "pose" and self._plan.layout is not None:
            head |= keypoint_fields(self._taxonomy, self._plan.layout)
        return head


def _line(record: dict[str, Any]) -> bytes:
    return msgspec.json.encode(record) + b"\n"
