"""YOLO data sets as Ultralytics reads them: a YAML or two folders, a label file beside each image.

A label file that is missing or empty says that nothing is on the image. Nothing that a YAML asks
for is fetched or run.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from sightloop.datasets.errors import NotYolo
from sightloop.datasets.formats.label_files import folder_of, read_labels_file
from sightloop.datasets.formats.listing import ListedImage, ListedObject, Listing, Source
from sightloop.datasets.formats.split_names import split_named
from sightloop.datasets.formats.yolo_files import (
    FoundFile,
    FoundFiles,
    label_path,
    listed_in_splits,
    walk_images,
    without_problems,
)
from sightloop.datasets.formats.yolo_labels import (
    BadRow,
    KeypointLayout,
    Row,
    YoloTask,
    rows_of,
    shape_of,
    task_told_by,
)
from sightloop.datasets.formats.yolo_yaml import (
    DatasetFile,
    is_dataset_yaml,
    read_dataset_yaml,
    why_broken,
)
from sightloop.datasets.problems import Note, Problem, RecordId
from sightloop.datasets.taxonomy import FoundClass
from sightloop.datasets.values import Split
from sightloop.kernel.errors import NotFound

CLASSES_NAME = "classes.txt"
MAX_LABEL_BYTES = 1 << 26
"""Labels of one image beyond 64 MiB are something else."""

_USUAL_YAML = ("data.yaml", "dataset.yaml", "data.yml", "dataset.yml")
_NOTHING = DatasetFile("", {}, None, None, {}, None, [], [])


def find_yolo(path: Path) -> Path | None:
    """The YAML of a YOLO data set, or its folder where there is none; None where nothing fits."""
    if path.is_file():
        return path if is_dataset_yaml(path) else None
    if (found := _yaml_in(path)) is not None:
        return found
    folders = [path, *(path / name for name in ("train", "valid", "val"))]
    has_labels = any(
        (one / "images").is_dir() and _may_hold_rows(one / "labels") for one in folders
    )
    return path if has_labels else None


def _may_hold_rows(folder: Path) -> bool:
    """Whether it is a folder for label files: of text, or with nothing in it yet."""
    if not folder.is_dir():
        return False
    is_empty = True
    with os.scandir(folder) as entries:
        for one in entries:
            if one.name.endswith(".txt") or one.is_dir():
                return True
            is_empty = is_empty and one.name.startswith(".")
    return is_empty


def reader_of(task: YoloTask | None) -> Callable[[Source], Listing]:
    """A reader of labels of that task; None tells it from the YAML and the number of columns."""

    def read(source: Source) -> Listing:
        return read_yolo(source, task)

    return read


def read_yolo(source: Source, task: YoloTask | None = None) -> Listing:
    """The data set that a YAML describes, or that lies in a folder.

    Raises:
        NotFound: a folder is not there.
        NotYolo: the YAML as a whole is something else, or there is no image.
    """
    place = find_yolo(source.path) or source.path
    described = _described(place, source)
    folder = place.parent if place.is_file() else place
    notes = list(described.notes)
    root = _root(folder, described.path, source, notes, name=place.name)
    if described.splits:
        found = listed_in_splits(root, described.splits, at=place.name)
    else:
        found = _usual_places(root)
    if not found.images and not found.problems:
        raise NotYolo(file=str(place), problem="it leads to no image")
    labels = _Labels(root, described, task or described.task)
    listed = [labels.listed(one) for one in _with_progress(found, source)]
    problems = [*described.problems, *found.problems, *without_fields(source)]
    return labels.listing(listed, problems, notes)


def _described(place: Path, source: Source) -> DatasetFile:
    """What the YAML says; of a folder without one, what is the matter with files called so."""
    if place.is_file():
        return read_dataset_yaml(place, within=folder_of(source.path))
    problems = [
        Problem(kind="unreadable_labels", text=f"it describes nothing: {why}", file=name)
        for name in _USUAL_YAML
        if os.path.lexists(place / name) and (why := why_broken(place / name))
    ]
    return _NOTHING._replace(problems=problems)


def without_fields(source: Source) -> list[Problem]:
    """That fields of images were asked for, where images have none."""
    asked = [*([source.wanted.split_key] if source.wanted.split_key else []), *source.wanted.slices]
    text = f"images have no fields in this format, so {', '.join(map(repr, asked))} cannot be read"
    return [Problem(kind="missing_split_key", text=text)] if asked else []


def _root(folder: Path, path: str, source: Source, notes: list[Note], *, name: str) -> Path:
    """The data set's folder: the one that was asked for, that the YAML names, or the YAML's own."""
    if source.images is not None:
        if not source.images.is_dir():
            raise NotFound(what="image folder", name=str(source.images))
        images = source.images.resolve()
        return images.parent if images.name == "images" else images
    folder = folder.resolve()
    if not path:
        return folder
    named = (folder / path).resolve()
    if named.is_dir() and named.is_relative_to(folder):
        return named
    text = f"'path' is {path!r}, no folder below {folder}, which is taken; or name it with --images"
    notes.append(Note(kind="field_left_out", text=text, at=name))
    return folder


def _usual_places(root: Path) -> FoundFiles:
    """Images where they are when no YAML says it: `images/train/`, `train/images/`, `images/`."""
    problems: list[Problem] = []
    images = []
    tops = ["images"] if (root / "images").is_dir() else []
    tops += sorted(f"{one.parent.name}/images" for one in root.glob("*/images") if one.is_dir())
    for top in tops or ["."]:
        paths = without_problems(walk_images(root, top), problems)
        images += [FoundFile(path, _split_in_path(path)) for path in paths]
    return FoundFiles(images, problems)


def _split_in_path(path: str) -> Split | None:
    folders = path.split("/")[:2]
    return next((split for one in folders if (split := split_named(one)) is not None), None)


def _with_progress(found: FoundFiles, source: Source) -> Iterator[FoundFile]:
    for done, one in enumerate(found.images, start=1):
        yield one
        if done % 1000 == 0 or done == len(found.images):
            source.progress("reading labels", done, len(found.images))


def _yaml_in(folder: Path) -> Path | None:
    for name in _USUAL_YAML:
        if is_dataset_yaml(folder / name):
            return folder / name
    found = [one for one in sorted(folder.glob("*.y*ml")) if is_dataset_yaml(one)]
    return found[0] if len(found) == 1 else None


class _LabelFile(NamedTuple):
    """What stands in the label file of one image."""

    path: str
    rows: list[Row]
    bad: list[BadRow]
    problem: str
    """Why it cannot be read at all; empty where it can."""


class _Labels:
    """Reads label files; what they mean is decided when all have been seen."""

    def __init__(self, root: Path, described: DatasetFile, task: YoloTask | None) -> None:
        self._root = root
        self._described = described
        self._task = task
        self._n_rows: Counter[int] = Counter()
        self._max_index = -1

    def listed(self, image: FoundFile) -> tuple[FoundFile, _LabelFile]:
        """The image with its label file."""
        path = label_path(image.path)
        file = _LabelFile(path, [], [], "")
        try:
            text = self._read(path)
        except (OSError, UnicodeError, ValueError) as error:
            return image, file._replace(problem=_why(error))
        for row in rows_of(text):
            if isinstance(row, BadRow):
                file.bad.append(row)
                continue
            file.rows.append(row)
            self._n_rows[row.n_columns] += 1
            self._max_index = max(self._max_index, row.class_index)
        return image, file

    def listing(
        self,
        listed: list[tuple[FoundFile, _LabelFile]],
        problems: list[Problem],
        notes: list[Note],
    ) -> Listing:
        """What all files come to."""
        task, layout = self._decide(notes)
        classes = self._classes(notes)
        base = "images/" if all(one.path.startswith("images/") for one, _ in listed) else ""
        problems = [_moved(one, base) for one in problems]
        images: list[ListedImage] = []
        objects: dict[RecordId, list[ListedObject]] = {}
        for image, file in listed:
            name = image.path.removeprefix(base)
            found, wrong, unlabelled = _objects(file, task, layout, name)
            problems += wrong
            labelled_for = None
            if unlabelled is not None:
                labelled_for = classes.keys() - unlabelled if unlabelled else set()
            images.append(
                ListedImage(
                    name, name, None, None, {}, split=image.split, labelled_for=labelled_for
                )
            )
            if found:
                objects[name] = found
        folder = self._root / "images" if base else self._root
        return Listing(folder, images, objects, classes, problems, notes)

    def _read(self, path: str) -> str:
        file = self._root / path
        if any(one.is_symlink() for one in (file, *file.parents) if one.is_relative_to(self._root)):
            raise ValueError("it is behind a symbolic link")
        try:
            if file.stat().st_size > MAX_LABEL_BYTES:
                raise ValueError(f"it has more than {MAX_LABEL_BYTES} bytes")
            if not file.is_file():
                raise ValueError("it is not a file")
            return file.read_bytes().decode("utf-8-sig")
        except FileNotFoundError:
            return ""

    def _decide(self, notes: list[Note]) -> tuple[YoloTask, KeypointLayout | None]:
        layout = self._described.keypoints
        if self._task == "pose" and layout is None:
            raise NotYolo(file=str(self._root), problem="pose labels need 'kpt_shape' in its YAML")
        if self._task is not None:
            return self._task, layout
        told = task_told_by(self._n_rows, layout)
        if told == "obb":
            text = "labels of nine columns are read as oriented boxes; outlines: yolo-segment"
            notes.append(Note(kind="format_told", text=text))
        return told, layout

    def _classes(self, notes: list[Note]) -> dict[int | str, FoundClass]:
        names = self._described.names
        if names is None:
            names = _class_list(self._root)
        if names is None:
            names = {index: f"class_{index}" for index in range(self._max_index + 1)}
            text = f"nothing names the {len(names)} classes; they are called class_0 and so on"
            notes.append(Note(kind="format_told", text=text))
        keypoints = self._described.keypoint_names
        return {
            index: FoundClass(name, keypoints=keypoints.get(index, ()))
            for index, name in names.items()
        }


def _class_list(root: Path) -> dict[int, str] | None:
    """Names from `classes.txt`, as labelling tools write it: one a line."""
    for path in (root / CLASSES_NAME, root / "labels" / CLASSES_NAME):
        try:
            names = read_labels_file(path, within=root).decode("utf-8-sig").split("\n")
        except (OSError, UnicodeError):
            continue
        return {index: name.strip() for index, name in enumerate(names) if name.strip()}
    return None


def _objects(
    file: _LabelFile, task: YoloTask, layout: KeypointLayout | None, name: str
) -> tuple[list[ListedObject], list[Problem], set[int | str] | None]:
    """Objects, problems, and for which classes the image is not exhaustively labelled.

    None: for all it is; an empty set: for none, because nobody knows of which class the lost
    object is.
    """
    found: list[ListedObject] = []
    bad = list(file.bad)
    for row in file.rows:
        shape = shape_of(row, task, layout)
        if isinstance(shape, str):
            bad.append(BadRow(row.line, shape, row.class_index))
        else:
            at = f"{file.path}:{row.line}"
            found.append(ListedObject(None, row.class_index, shape, {}, is_share=True, at=at))
    problems = [
        Problem(kind="wrong_shape", text=one.text, file=name, at=f"{file.path}:{one.line}")
        for one in bad
    ]
    if file.problem:
        text = f"its labels cannot be read: {file.problem}"
        problems.append(Problem(kind="unreadable_labels", text=text, file=name, at=file.path))
    if not problems:
        return found, problems, None
    unknown = file.problem or any(one.class_index is None for one in bad)
    lost: set[int | str] = {one.class_index for one in bad if one.class_index is not None}
    return found, problems, set() if unknown else lost


def _moved(problem: Problem, base: str) -> Problem:
    """The problem with its file as images are called."""
    return msgspec.structs.replace(problem, file=problem.file.removeprefix(base))


def _why(error: Exception) -> str:
    if isinstance(error, UnicodeError):
        return "it is not UTF-8 text"
    if isinstance(error, OSError):
        return error.strerror or "it cannot be read"
    return str(error)
