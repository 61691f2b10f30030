"""Which formats can be read, and which of them a path holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from sightloop.datasets.errors import UnknownFormat
from sightloop.datasets.formats.class_folders import has_class_folders, read_class_folders
from sightloop.datasets.formats.coco import find_coco, find_loose_coco, read_coco_folder
from sightloop.datasets.formats.cvat import find_cvat, read_cvat
from sightloop.datasets.formats.dvc import read_dvc
from sightloop.datasets.formats.dvc_files import find_dvc
from sightloop.datasets.formats.images_only import holds_images, read_images_only
from sightloop.datasets.formats.label_studio import (
    find_label_studio,
    find_loose_label_studio,
    read_label_studio,
)
from sightloop.datasets.formats.listing import Listing, Source
from sightloop.datasets.formats.voc import is_voc, read_voc
from sightloop.datasets.formats.yolo import find_yolo, reader_of
from sightloop.datasets.formats.yolo_ndjson import find_ndjson, read_ndjson

IMAGES = "images"
"""The format of a folder in which nothing is labelled."""


class Reader(NamedTuple):
    """A format as it is read."""

    title: str
    """How people call it."""
    fits: Callable[[Path], bool]
    """Whether a file or folder looks like it; quick, reads names and a little content."""
    read: Callable[[Source], Listing]


def _read_tracked(source: Source) -> Listing:
    return read_dvc(source, lambda inner: reader_for(inner.path, "auto").read(inner))


def _is_dvc_file(path: Path) -> bool:
    # A folder may be one of many things beside what DVC tracks there: those come first.
    return path.is_file() and find_dvc(path) is not None


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
    "dvc": Reader("DVC", _is_dvc_file, _read_tracked),
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
    IMAGES: Reader("images without labels", holds_images, read_images_only),
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
            if known != IMAGES and reader.fits(path):
                return known
        if (loose := _loose_format(path)) is not None:
            return loose
        unread = next(_label_like(path), "")
        if not unread and READERS[IMAGES].fits(path):
            return IMAGES
        raise UnknownFormat(path=str(path), name=name, known=list(READERS), unread=unread)
    raise UnknownFormat(path=str(path), name=name, known=list(READERS))


def _loose_format(path: Path) -> str | None:
    """Of a folder whose label file has a name of its own, told by how that file begins."""
    if not path.is_dir():
        return None
    for name, find in _LOOSE.items():
        if find(path) is not None:
            return name
    return None


def _label_like(path: Path) -> Iterator[str]:
    """Files that seem to hold labels, where data sets have them; links and pipes count too."""
    for folder in (path, *(path / name for name in _LABEL_FOLDERS)):
        if folder.is_dir():
            names = sorted(one.name for one in islice(folder.iterdir(), _LOOKED_AT))
            for name in names:
                if name[0] != "." and name.lower().endswith(_LABEL_ENDINGS):
                    yield str((folder / name).relative_to(path))


_LOOSE: Mapping[str, Callable[[Path], Path | None]] = {
    "label-studio": find_loose_label_studio,
    "coco": find_loose_coco,
    "dvc": find_dvc,
}
_LABEL_FOLDERS = ("labels", "annotations", "Annotations")
_LABEL_ENDINGS = (".json", ".jsonl", ".ndjson", ".xml", ".yaml", ".yml", ".csv", ".dvc")
_LOOKED_AT = 10_000
"""Entries of a folder; a million images need not all be listed to find the labels beside them."""
