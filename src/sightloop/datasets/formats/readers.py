"""Which formats can be read, and which of them a path holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from sightloop.datasets.errors import UnknownFormat
from sightloop.datasets.formats.coco import find_coco, read_coco_folder
from sightloop.datasets.formats.images_only import holds_images, read_images_only
from sightloop.datasets.formats.listing import Listing, Source


class Reader(NamedTuple):
    """A format as it is read."""

    title: str
    """How people call it."""
    fits: Callable[[Path], bool]
    """Whether a file or folder looks like it; quick, reads names and a little content."""
    read: Callable[[Source], Listing]


READERS: Mapping[str, Reader] = {
    "coco": Reader("COCO", lambda path: find_coco(path) is not None, read_coco_folder),
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
