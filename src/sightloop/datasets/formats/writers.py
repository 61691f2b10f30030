"""Which formats can be written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from sightloop.datasets.errors import UnknownFormat
from sightloop.datasets.formats.coco_writing import CocoWriter
from sightloop.datasets.formats.cvat_writing import CvatWriter
from sightloop.datasets.formats.dvc_writing import DvcWriter
from sightloop.datasets.formats.images_only_writing import ImagesWriter
from sightloop.datasets.formats.label_studio_writing import LabelStudioWriter
from sightloop.datasets.formats.voc_writing import VocWriter
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

    def add(self, sample: Sample) -> str:
        """Take the sample in; returns where below the folder its image is to be put."""
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


class WriterKind(NamedTuple):
    """A format as it is written."""

    title: str
    open: Callable[[CommitRecord, Path], Writer]


WRITERS: Mapping[str, WriterKind] = {
    "coco": WriterKind("COCO", CocoWriter),
    "cvat": WriterKind("CVAT XML", CvatWriter),
    "label-studio": WriterKind("Label Studio JSON", LabelStudioWriter),
    "voc": WriterKind("Pascal VOC", VocWriter),
    "dvc": WriterKind("DVC", DvcWriter),
    "images": WriterKind("images without labels", ImagesWriter),
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
