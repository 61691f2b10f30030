"""Which formats can be read, and which of them a path holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from sightloop.datasets.errors import UnknownFormat
from sightloop.datasets.formats.class_folders import has_class_folders, read_class_folders
from sightloop.datasets.formats.coco import find_coco, read_coco_folder
from sightloop.datasets.formats.cvat import find_cvat, read_cvat
from sightloop.datasets.formats.dvc import read_dvc
from sightloop.datasets.formats.dvc_files import is_dvc
from sightloop.datasets.formats.images_only import holds_images, read_images_only
from sightloop.datasets.formats.label_studio import find_label_studio, read_label_studio
from sightloop.datasets.formats.listing import Listing, Source
from sightloop.datasets.formats.voc import is_voc, read_voc
from sightloop.datasets.formats.yolo import find_yolo, reader_of
from sightloop.datasets.formats.yolo_ndjson import find_ndjson, read_ndjson


class Reader(NamedTuple):
    """A format as it is read."""

    title: str
    """How people call it."""
    fits: Callable[[Path], bool]
    """Whether a file or folder looks like it; quick, reads names and a little content."""
    read: Callable[[Source], Listing]


def _read_tracked(source: Source) -> Listing:
    return read_dvc(source, lambda inner: reader_for(inner.path, "auto").read(inner))


def _never(_: Path) -> bool:
    """Of formats that must be asked for by name."""
    return False


READERS: Mapping[str, Reader] = {
    "label-studio": Reader(
        "Label Studio JSON", lambda path: find_label_studio(path) is not None, read_label_studio
    ),
    "coco": Reader("COCO", lambda path: find_coco(path) is not None, read_coco_folder),
    "yolo-ndjson": Reader(
        "Ultralytics NDJSON", lambda path: find_ndjson(path) is not None, read_ndjson
    ),
    "dvc": Reader("DVC", is_dvc, _read_tracked),
    "cvat": Reader("CVAT XML", lambda path: find_cvat(path) is not None, read_cvat),
    "voc": Reader("Pascal VOC", is_voc, read_voc),
    "yolo": Reader(
        "YOLO, the task told from its labels",
        lambda path: find_yolo(path) is not None,
        reader_of(None),
    ),
    "yolo-classify": Reader(
        "YOLO: class folders of whole images", has_class_folders, read_class_folders
    ),
    "yolo-detect": Reader("YOLO: boxes", _never, reader_of("detect")),
    "yolo-segment": Reader("YOLO: outlines", _never, reader_of("segment")),
    "yolo-pose": Reader("YOLO: keypoints", _never, reader_of("pose")),
    "yolo-obb": Reader("YOLO: oriented boxes", _never, reader_of("obb")),
    # Last: any folder with images is one of images when it is nothing else.
    "images": Reader("images without labels", holds_images, read_images_only),
}
"""By the name that `--format` takes; when it is not given, the first that fits."""


def reader_for(path: Path, name: str) -> Reader:
    """The reader of that name; of `auto`, the first that fits the path.

    Raises:
        UnknownFormat: there is no such format, or none fits.
    """
    return READERS[format_of(path, name)]


def format_of(path: Path, name: str) -> str:
    """The name itself; of `auto`, that of the first format that fits the path.

    Raises:
        UnknownFormat: there is no such format, or none fits.
    """
    if name in READERS:
        return name
    if name == "auto":
        for known, reader in READERS.items():
            if reader.fits(path):
                return known
    raise UnknownFormat(path=str(path), name=name, known=list(READERS))
