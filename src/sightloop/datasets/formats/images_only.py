"""A folder of images and nothing else: the simplest data set, nothing in it is labelled."""

from __future__ import annotations

from pathlib import Path

from sightloop.datasets.folder_scan import is_image_name, scan_folder
from sightloop.datasets.formats.listing import ListedImage, Listing, Source
from sightloop.datasets.problems import Note, Problem
from sightloop.kernel.errors import NotFound


def holds_images(path: Path) -> bool:
    """Whether there is an image file anywhere below the folder."""
    return path.is_dir() and any(map(is_image_name, scan_folder(str(path)).files))


def read_images_only(source: Source) -> Listing:
    """Every image file below the folder, by name. What is no image is counted, not read.

    Raises:
        NotFound: there is no such folder.
    """
    folder = source.images or source.path
    if not folder.is_dir():
        raise NotFound(what="image folder", name=str(folder))
    scan = scan_folder(str(folder))
    names = sorted(path for path in scan.files if is_image_name(path))
    n_others = len(scan.files) - len(names)
    no_slices: dict[str, str] = {}  # one for all: a million empty ones take 64 MB
    return Listing(
        folder=folder,
        images=[
            ListedImage(id=name, file_name=name, declared=None, split_key=None, slices=no_slices)
            for name in names
        ],
        objects={},
        classes={},
        problems=[
            Problem(
                kind="symlink" if one.is_link else "unreadable_image", text=one.why, file=one.path
            )
            for one in scan.oddities
        ],
        notes=[
            Note(kind="field_left_out", text=f"{n_others} files are no images and were not read")
        ]
        if n_others
        else [],
    )
