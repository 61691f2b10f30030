"""COCO data sets: their files in the usual layouts, read into one listing.

Knows nothing of pixels: what boxes mean on the images is `placing`. Several files are several
splits of one data set, or say different things of the same images (boxes, keypoints).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from sightloop.datasets.errors import NotCoco
from sightloop.datasets.formats.coco_merging import NamedFile, merged
from sightloop.datasets.formats.coco_records import CocoFile, read_records
from sightloop.datasets.formats.label_files import folder_of, open_labels, read_labels_file
from sightloop.datasets.formats.listing import ListedImage, Listing, Source
from sightloop.datasets.formats.split_names import split_in
from sightloop.datasets.problems import Note
from sightloop.datasets.values import Split
from sightloop.kernel.errors import NotFound

ANNOTATIONS_NAME = "annotations.json"
IMAGES_NAME = "images"

_OF_OBJECTS = ("instances", "person_keypoints")
"""How files with objects begin in the folder where COCO keeps captions and other things too."""
_ROBOFLOW = "_annotations.coco.json"
_PROBED_IMAGES = 20
_START_BYTES = 1 << 16
_COCO_LIST = re.compile(rb'"(images|annotations|categories)"\s*:\s*\[')

MAX_BYTES = 1 << 33
"""8 GiB, some 60 million boxes: a file is read into memory whole."""


class _Place(NamedTuple):
    """An annotation file of a data set."""

    path: Path
    root: Path
    """The data set's folder."""
    split: Split | None


def find_coco(path: Path) -> Path | None:
    """The first annotation file of a COCO data set; None when the path holds none."""
    places = _places(path)
    return places[0].path if places else None


def find_loose_coco(path: Path) -> Path | None:
    """The only JSON file in a folder, whatever its name, if it begins as COCO does."""
    places = _only_place(path)
    return places[0].path if places else None


def read_coco_folder(source: Source) -> Listing:
    """The data set in a folder, or in a file whose images lie near it.

    A folder holds `annotations.json`, or files for its splits: `instances_train2017.json` and so
    on in `annotations/`, or `train/_annotations.coco.json`. Images lie in `images/`, in a folder
    named as the split or the file (`train2017/`), or beside the file. In a folder without any of
    these, the only JSON file counts.

    Raises:
        NotFound: the annotation file or the image folder is not there.
        NotCoco: a file as a whole is something else.
    """
    places = _places(source.path) or _only_place(source.path)
    if not places:
        hint = f"a COCO folder has {ANNOTATIONS_NAME} or annotations/instances_*.json"
        name = source.path / ANNOTATIONS_NAME if source.path.is_dir() else source.path
        raise NotFound(what="annotation file", name=str(name), hint=hint)
    files = []
    for done, place in enumerate(places, start=1):
        file = _read(place, source)
        files.append(NamedFile(_name_of(place), _images_folder(place, source, file.images), file))
        source.progress("reading annotation files", done, len(places))
    skipped = [
        Note(kind="file_left_out", text="it has captions or other things than objects", at=name)
        for name in _skipped(source.path)
    ]
    listing = merged(files, root=places[0].root)
    return listing._replace(notes=[*listing.notes, *skipped])


def _read(place: _Place, source: Source) -> CocoFile:
    try:
        size_bytes = place.path.stat().st_size
        if size_bytes > MAX_BYTES:
            problem = f"it has {size_bytes} bytes, more than the {MAX_BYTES} allowed"
            raise NotCoco(file=str(place.path), problem=problem)
        content = read_labels_file(place.path, within=folder_of(source.path))
    except OSError as error:
        why = error.strerror or "it cannot be read"
        raise NotFound(what="annotation file", name=str(place.path), hint=why) from error
    return read_records(content, source.wanted, name=str(place.path), split=place.split)


def _places(path: Path) -> list[_Place]:
    if path.is_file():
        if path.suffix != ".json":
            return []
        root = path.parent.parent if path.parent.name == "annotations" else path.parent
        return [_Place(path, root, split_in(path.stem))]
    if (path / ANNOTATIONS_NAME).is_file():
        return [_Place(path / ANNOTATIONS_NAME, path, None)]
    for folder in (path / "annotations", path):
        if found := [one for one in _json_files(folder) if one.stem.startswith(_OF_OBJECTS)]:
            return [_Place(one, path, split_in(one.stem)) for one in found]
    if found := _json_files(path / "annotations"):
        return [_Place(one, path, split_in(one.stem)) for one in found]
    roboflow = sorted(path.glob(f"*/{_ROBOFLOW}"))
    if roboflow:
        return [_Place(one, path, split_in(one.parent.name)) for one in roboflow]
    named = [one for one in _json_files(path) if split_in(one.stem)]
    return [_Place(one, path, split_in(one.stem)) for one in named]


def _only_place(path: Path) -> list[_Place]:
    files = [one for one in sorted(path.glob("*.json")) if one.is_file()] if path.is_dir() else []
    if len(files) != 1 or not _begins_object(files[0]):
        return []
    with open_labels(files[0]) as file:
        start = file.read(_START_BYTES)
    return [_Place(files[0], path, None)] if _COCO_LIST.search(start) else []


def _json_files(folder: Path) -> list[Path]:
    return sorted(one for one in folder.glob("*.json") if one.is_file() and _begins_object(one))


def _begins_object(path: Path) -> bool:
    with open_labels(path) as file:
        return file.read(256).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")


def _skipped(path: Path) -> Iterator[str]:
    files = _json_files(path / "annotations") if path.is_dir() else []
    if any(one.stem.startswith(_OF_OBJECTS) for one in files):
        for one in files:
            if not one.stem.startswith(_OF_OBJECTS):
                yield f"annotations/{one.name}"


def _name_of(place: _Place) -> str:
    return place.path.relative_to(place.root).as_posix()


def _images_folder(place: _Place, source: Source, images: Sequence[ListedImage]) -> Path:
    """The folder in which the file's images are; of several that may be it, the one that has one.

    Raises:
        NotFound: there is none.
    """
    if source.images is not None:
        candidates = [source.images]
    else:
        candidates = [one for one in _candidates(place) if one.is_dir()]
    candidates = [one for one in candidates if one.is_dir()]
    for folder in candidates:
        if any(_has(folder, one.file_name) for one in images[:_PROBED_IMAGES]):
            return folder
    # Beside the file only where an image is: every file has a folder.
    named = [one for one in candidates if one != place.path.parent or one == source.images]
    if named:
        return named[0]
    missing = source.images or place.root / IMAGES_NAME
    raise NotFound(what="image folder", name=str(missing), hint="name it with --images")


def _candidates(place: _Place) -> Iterator[Path]:
    root, stem = place.root, place.path.stem
    if place.path.name == _ROBOFLOW:
        yield place.path.parent
    names = [stem.removeprefix(f"{kind}_") for kind in _OF_OBJECTS] if "_" in stem else []
    names += [stem, *([place.split, "valid"] if place.split == "val" else [place.split or ""])]
    for name in filter(None, dict.fromkeys(names)):
        if name.startswith(_OF_OBJECTS):
            continue
        yield root / IMAGES_NAME / name
        yield root / name
    yield root / IMAGES_NAME
    yield place.path.parent / IMAGES_NAME
    yield place.path.parent


def _has(folder: Path, file_name: str) -> bool:
    try:
        return ".." not in Path(file_name).parts and (folder / file_name).is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False
