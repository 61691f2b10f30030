"""Which formats can be written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from sightloop.datasets.errors import UnknownFormat
from sightloop.datasets.formats.coco_writing import CocoWriter
from sightloop.datasets.formats.cvat_writing import CvatWriter
from sightloop.datasets.formats.dvc_writing import DvcWriter
from sightloop.datasets.formats.images_only_writing import ImagesWriter
from sightloop.datasets.formats.label_studio_writing import LabelStudioWriter
from sightloop.datasets.formats.ndjson_writing import NdjsonWriter
from sightloop.datasets.formats.voc_writing import VocWriter
from sightloop.datasets.formats.yolo_labels import YoloTask
from sightloop.datasets.formats.yolo_writing import ClassFolderWriter, YoloWriter, plan_of
from sightloop.datasets.records import CommitRecord
from sightloop.datasets.values import Sample


class Writer(Protocol):
    """Writes one data set into an empty folder, sample by sample."""

    not_kept: Counter[str]
    """How many samples or annotations have something that the format has no place for."""

    @property
    def n_annotations(self) -> int:
        """Annotations written so far."""
        ...

    def add(self, sample: Sample) -> str | None:
        """Take the sample in; returns where below the folder its image is to be put.

        None: the format has no place for the image at all, and `not_kept` counts it.
        """
        ...

    def finish(self) -> None:
        """Write what can only be written at the end."""
        ...

    def images_folder(self) -> Path:
        """What an importer needs as its image folder."""
        ...

    def source(self) -> Path:
        """What an importer needs as its source."""
        ...


OpenWriter = Callable[[CommitRecord, Path], Writer]


class WriterKind(NamedTuple):
    """A format as it is written."""

    title: str
    open: OpenWriter
    look: Callable[[Iterable[Sample]], OpenWriter] | None = None
    """How to open it after a look at all samples, for a format that must know them beforehand."""


def _yolo(title: str, task: YoloTask | None) -> WriterKind:
    def look(samples: Iterable[Sample]) -> OpenWriter:
        plan = plan_of(samples, task)
        kind = ClassFolderWriter if plan.task == "classify" else YoloWriter
        return lambda record, folder: kind(record, folder, plan)

    return WriterKind(title, look(()), look)


def _ndjson(samples: Iterable[Sample]) -> OpenWriter:
    plan = plan_of(samples, None)
    return lambda record, folder: NdjsonWriter(record, folder, plan)


WRITERS: Mapping[str, WriterKind] = {
    "coco": WriterKind("COCO", CocoWriter),
    "cvat": WriterKind("CVAT XML", CvatWriter),
    "label-studio": WriterKind("Label Studio JSON", LabelStudioWriter),
    "voc": WriterKind("Pascal VOC", VocWriter),
    "dvc": WriterKind("DVC", DvcWriter),
    "images": WriterKind("images without labels", ImagesWriter),
    "yolo": _yolo("YOLO, of the task that keeps most", None),
    "yolo-detect": _yolo("YOLO: boxes", "detect"),
    "yolo-segment": _yolo("YOLO: outlines", "segment"),
    "yolo-pose": _yolo("YOLO: keypoints", "pose"),
    "yolo-obb": _yolo("YOLO: oriented boxes", "obb"),
    "yolo-classify": _yolo("YOLO: class folders of whole images", "classify"),
    "yolo-ndjson": WriterKind("Ultralytics NDJSON", _ndjson(()), _ndjson),
}
"""By the name that `--format` takes."""


def writer_for(name: str) -> WriterKind:
    """The writer of that name.

    Raises:
        UnknownFormat: there is no such format.
    """
    if name not in WRITERS:
        raise UnknownFormat(path="", name=name, known=list(WRITERS))
    return WRITERS[name]
