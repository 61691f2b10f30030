"""Ultralytics NDJSON: a line that tells of the data set, then one for each image with its labels.

Source: `ultralytics/data/converter.py` of Ultralytics 8.4, which reads it. Images are named by a
URL, or lie in `images/SPLIT/` below the `path` of the first line. Nothing is fetched: an image
that is not beside the file is reported.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import msgspec

from sightloop.datasets.errors import NotNdjson
from sightloop.datasets.formats.label_files import folder_of, open_labels
from sightloop.datasets.formats.listing import (
    ListedImage,
    ListedObject,
    Listing,
    OfWholeImage,
    Shape,
    Source,
)
from sightloop.datasets.formats.split_names import split_named
from sightloop.datasets.formats.yolo import without_fields
from sightloop.datasets.formats.yolo_labels import KeypointLayout, Row, YoloTask, shape_of
from sightloop.datasets.geometry import SizePx
from sightloop.datasets.problems import Note, Problem, RecordId
from sightloop.datasets.taxonomy import FoundClass
from sightloop.kernel.errors import NotFound

SUFFIXES = (".ndjson", ".jsonl")
LABELS_OF: Mapping[YoloTask, str] = {
    "detect": "boxes",
    "segment": "segments",
    "pose": "pose",
    "obb": "obb",
    "classify": "classification",
}
"""Under which name the labels of a task stand."""

_FIRST_BYTES = 1 << 20


def find_ndjson(path: Path) -> Path | None:
    """The file of an NDJSON data set: the path itself, or the only one in it."""
    files = [path]
    if path.is_dir():
        files = [one for suffix in SUFFIXES for one in sorted(path.glob(f"*{suffix}"))]
    fitting = [one for one in files if one.suffix in SUFFIXES and _is_dataset(one)]
    return fitting[0] if len(fitting) == 1 else None


def read_ndjson(source: Source) -> Listing:
    """The data set of an NDJSON file.

    Raises:
        NotFound: there is no such file.
        NotNdjson: its first line is not that of a data set.
    """
    path = find_ndjson(source.path) or source.path
    if not path.is_file():
        raise NotFound(what="NDJSON file", name=str(path))
    root = (source.images or path.parent).resolve()
    with _opened(path, source) as file:
        head = _head(file.readline(), path)
        reader = _Reader(head, root, path.name)
        for number, line in enumerate(file, start=2):
            if line.strip():
                reader.add(line, number)
            if number % 1000 == 0:
                source.progress("reading records", number, number)
    return reader.listing(without_fields(source))


class _Head(msgspec.Struct):
    type: str = ""
    task: str = "detect"
    path: str | None = None
    class_names: dict[str, str] = {}
    kpt_shape: tuple[int, int] | None = None
    kpt_names: dict[str, list[str]] = {}


class _Image(msgspec.Struct):
    file: str
    url: str | None = None
    width: int | None = None
    height: int | None = None
    split: str | None = None
    annotations: dict[str, list[Any]] | None = None


def _is_dataset(path: Path) -> bool:
    if not path.is_file():
        return False
    with open_labels(path) as file:
        line = file.readline(_FIRST_BYTES)
    try:
        return msgspec.json.decode(line, type=_Head).type == "dataset"
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False


def _opened(path: Path, source: Source) -> BinaryIO:
    try:
        return open_labels(path, within=folder_of(source.path))
    except OSError as error:
        why = error.strerror or "it cannot be read"
        raise NotFound(what="NDJSON file", name=str(path), hint=why) from error


def _head(line: bytes, path: Path) -> _Head:
    try:
        head = msgspec.json.decode(line.removeprefix(b"\xef\xbb\xbf"), type=_Head)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise NotNdjson(file=str(path), problem=f"its first line is another ({error})") from error
    if head.type != "dataset":
        raise NotNdjson(file=str(path), problem=f"its first line has the type {head.type!r}")
    if head.task not in LABELS_OF:
        raise NotNdjson(file=str(path), problem=f"its task is {head.task!r}")
    return head


class _Reader:
    """Takes the records of images in, line by line."""

    def __init__(self, head: _Head, root: Path, name: str) -> None:
        self._task: YoloTask = next(one for one in LABELS_OF if one == head.task)
        self._layout = None if head.kpt_shape is None else KeypointLayout(*head.kpt_shape)
        self._root = root
        self._base = head.path or "."
        self._name = name
        self._images: list[ListedImage] = []
        self._seen: set[str] = set()
        self._objects: dict[RecordId, list[ListedObject]] = {}
        self._problems: list[Problem] = []
        self._notes: list[Note] = []
        self._classes: dict[int | str, FoundClass] = {}
        self._name_classes(head)

    def add(self, line: bytes, number: int) -> None:
        """One record."""
        at = f"{self._name}:{number}"
        try:
            one = msgspec.json.decode(line, type=_Image)
            one.file.encode()
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            self._problems.append(
                Problem(kind="wrong_shape", text=f"it is no image: {error}", at=at)
            )
            return
        found = self._file_of(one)
        if found is None:
            where = (
                "it has only a URL, which is not fetched" if one.url else "there is no such file"
            )
            text = f"{where}; put it into images/{one.split or 'train'}/ beside the NDJSON file"
            self._problems.append(Problem(kind="missing_file", text=text, file=one.file, at=at))
            return
        if found in self._seen:
            text = "another record has this image"
            self._problems.append(Problem(kind="duplicate_id", text=text, file=found, at=at))
            return
        self._seen.add(found)
        self._add_image(one, found, at)

    def listing(self, problems: list[Problem]) -> Listing:
        """All of it."""
        return Listing(
            self._root,
            self._images,
            self._objects,
            self._classes,
            [*problems, *self._problems],
            self._notes,
        )

    def _add_image(self, one: _Image, name: str, at: str) -> None:
        labels = one.annotations or {}
        key = LABELS_OF[self._task]
        objects = []
        bad = [f"labels of {other!r} are none of {self._task}" for other in labels if other != key]
        for index, label in enumerate(labels.get(key, ())):
            found = self._object(label, f"{at} {key}[{index}]")
            if isinstance(found, str):
                bad.append(f"{key}[{index}]: {found}")
            else:
                objects.append(found)
        for text in bad:
            self._problems.append(Problem(kind="wrong_shape", text=text, file=name, at=at))
        declared = SizePx(one.width, one.height) if one.width and one.height else None
        # Without any label nobody has said which class a whole image is of.
        unlabelled = bad or (self._task == "classify" and not objects)
        self._images.append(
            ListedImage(
                name,
                name,
                declared,
                None,
                {},
                split=split_named(one.split),
                labelled_for=set() if unlabelled else None,
            )
        )
        if objects:
            self._objects[name] = objects

    def _object(self, label: Any, at: str) -> ListedObject | str:  # noqa: ANN401 - any JSON value
        numbers = [label] if self._task == "classify" else label
        if not (isinstance(numbers, list) and numbers and all(map(_is_number, numbers))):
            return "it is no list of numbers"
        index = int(numbers[0])
        if index != numbers[0] or index < 0:
            return f"{numbers[0]!r} is no class index"
        if index not in self._classes and index < 10_000:
            self._classes[index] = FoundClass(f"class{index}")
        shape: Shape | str = OfWholeImage()
        if self._task != "classify":
            if self._task == "pose" and self._layout is None:
                self._layout = _layout_of(len(numbers) - 5)
            shape = shape_of(
                Row(0, index, tuple(map(float, numbers[1:]))), self._task, self._layout
            )
        if isinstance(shape, str):
            return shape
        return ListedObject(None, index, shape, {}, is_share=True, at=at)

    def _file_of(self, one: _Image) -> str | None:
        """Where the image is below the root; None where it is not."""
        split = one.split or ""
        for folder in (f"{self._base}/images/{split}", f"images/{split}", "images", split, ""):
            path = PurePosixPath(folder) / one.file
            if ".." in path.parts or path.is_absolute() or "\0" in one.file:
                continue
            try:
                if (self._root / path).is_file():
                    return str(path)
            except OSError:  # a name that no file can have
                continue
        return None

    def _name_classes(self, head: _Head) -> None:
        seen: set[str] = set()
        for index, name in head.class_names.items():
            if not (index.isdecimal() and len(index) < 9) or name in seen:
                text = f"class {index!r} {name!r} has no number or the name of another"
                self._problems.append(Problem(kind="duplicate_id", text=text, at=f"{self._name}:1"))
                continue
            seen.add(name)
            keypoints = head.kpt_names.get(index, ())
            self._classes[int(index)] = FoundClass(name, keypoints=keypoints)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _layout_of(n_numbers: int) -> KeypointLayout:
    """Points of three numbers where they divide evenly, else of two."""
    if n_numbers % 3 == 0:
        return KeypointLayout(n_numbers // 3, 3)
    return KeypointLayout(n_numbers // 2, 2)
