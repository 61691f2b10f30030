"""Label Studio's JSON export: a list of tasks, each with the annotations that people made.

Source: Label Studio's documentation, "Label Studio JSON format of annotated tasks". Coordinates
are percent of the image's sides; a rectangle is turned about its upper left corner. What one
object is made of hangs below its first region (`parentID`): keypoints below a rectangle, further
outlines below a polygon. Of several annotations of a task the newest counts that nobody
cancelled; predictions do not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from sightloop.datasets.errors import WrongFormat
from sightloop.datasets.formats.brushes import pixels_in
from sightloop.datasets.formats.gathering import Gathering, with_wanted
from sightloop.datasets.formats.label_files import folder_of, open_labels, read_labels_file
from sightloop.datasets.formats.label_studio_images import find_image, image_address
from sightloop.datasets.formats.label_studio_labels import CONFIG_NAME, classes_in
from sightloop.datasets.formats.label_studio_regions import Region, Results, results_in, size_of
from sightloop.datasets.formats.listing import (
    Box,
    Keypoints,
    ListedImage,
    ListedObject,
    Listing,
    Mask,
    OfWholeImage,
    OrientedBox,
    Polygon,
    Shape,
    Source,
)
from sightloop.datasets.formats.outlines import keypoints_in_box
from sightloop.datasets.formats.plain_texts import text_of
from sightloop.datasets.formats.split_names import split_named
from sightloop.datasets.formats.turned_boxes import TurnedBox
from sightloop.datasets.geometry import SizePx
from sightloop.datasets.masks import encoded
from sightloop.datasets.problems import ProblemKind, RecordId
from sightloop.datasets.taxonomy import FoundClass
from sightloop.inference.images import MAX_PIXELS
from sightloop.kernel.errors import NotFound

TASKS_NAME = "tasks.json"
IMAGES_NAME = "images"
SPLIT = "split"
"""The task's field that says in which split it is."""

_TITLE = "Label Studio JSON"
_FAR = 1e12
"""Percent beyond this, or what is no number, is no place on any image."""


class _Task(msgspec.Struct):
    data: dict[str, Any]
    id: RecordId | None = None
    annotations: list[dict[str, Any]] | None = None
    completions: list[dict[str, Any]] | None = None
    predictions: list[Any] | None = None


def find_label_studio(path: Path) -> Path | None:
    """The tasks file: the path itself, or `tasks.json` in it; told by how its first task begins."""
    return _told(path / TASKS_NAME if path.is_dir() else path)


def find_loose_label_studio(path: Path) -> Path | None:
    """The only JSON file in a folder, as the tool names its exports, if it is one of tasks."""
    files = [one for one in path.glob("*.json") if one.is_file()] if path.is_dir() else []
    return _told(files[0]) if len(files) == 1 else None


def _told(found: Path) -> Path | None:
    if found.suffix.lower() != ".json" or not found.is_file():
        return None
    with open_labels(found) as file:
        start = file.read(1 << 16)
    is_list = start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")
    return found if is_list and (b'"data"' in start or b'"annotations"' in start) else None


def read_label_studio(source: Source) -> Listing:
    """The data set in a file, with images in `images/` beside it or in its folder.

    Raises:
        NotFound: there is no such file.
        WrongFormat: the file is something else.
    """
    path = source.path / TASKS_NAME if source.path.is_dir() else source.path
    if not path.is_file():
        path = find_loose_label_studio(source.path) or path
    folder = source.images
    if folder is None:
        beside = path.parent / IMAGES_NAME
        folder = beside if beside.is_dir() else path.parent
    reader = _Reader(source, path, folder)
    tasks = _tasks_in(path, within=folder_of(source.path))
    for index, task in enumerate(tasks):
        reader.read(index, task)
        source.progress("reading tasks", index + 1, len(tasks))
    reader.place_keypoints()
    return reader.gathering.listing(folder)


def _tasks_in(path: Path, *, within: Path | None) -> list[Any]:
    try:
        content = read_labels_file(path, within=within)
    except OSError as error:
        why = error.strerror or "it cannot be read"
        raise NotFound(what="tasks file", name=str(path), hint=why) from error
    try:
        tasks = msgspec.json.decode(content)
    except (msgspec.DecodeError, ValueError, RecursionError):
        tasks = _lenient_json(content, path)
    if not isinstance(tasks, list) or not tasks:
        raise WrongFormat(file=str(path), wanted=_TITLE, problem="it is no list of tasks")
    if not any(isinstance(one, dict) and isinstance(one.get("data"), dict) for one in tasks):
        text = "no task has its `data`; export it as JSON, not as JSON-MIN"
        raise WrongFormat(file=str(path), wanted=_TITLE, problem=text)
    return tasks


def _lenient_json(content: bytes, path: Path) -> Any:  # noqa: ANN401 - any JSON value
    # NaN is not JSON, but Python writes it: one bad region must not hide where it is.
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise WrongFormat(file=str(path), wanted=_TITLE, problem=f"no JSON ({error})") from error


class _Impossible(Exception):
    """A region's numbers make no sense; the text says why."""


class _Pose(NamedTuple):
    """Keypoints of one object: their order is known when all tasks are read."""

    image: RecordId
    found: ListedObject
    points: dict[str, tuple[float, float, int]]


class _Reader:
    def __init__(self, source: Source, path: Path, folder: Path) -> None:
        self.gathering = Gathering()
        self._wanted = source.wanted
        self._path = path
        self._folder = folder
        self._poses: list[_Pose] = []
        for one in classes_in(path.parent / CONFIG_NAME):
            self.gathering.add_class(one)

    def read(self, index: int, found: Any) -> None:  # noqa: ANN401 - any JSON value
        """A task of the file."""
        at = f"{self._path.name}[{index}]"
        try:
            task = msgspec.convert(found, _Task)
        except msgspec.ValidationError as error:
            self.gathering.problem("wrong_shape", str(error), at=at)
            return
        versions = task.annotations or task.completions or []
        chosen = _newest(versions)
        image = self._image(task, index, at, versions[chosen] if chosen is not None else {})
        if image is None:
            return
        self.gathering.images[image.id] = image
        self._note_others(task, image, versions, at)
        if chosen is None:
            self.gathering.set_unlabelled(image.id)
            return
        list_name = "annotations" if task.annotations else "completions"
        place = f"{at}.{list_name}[{chosen}].result"
        found_results = versions[chosen].get("result")
        self._read_results(image, results_in(found_results or []), place)

    def place_keypoints(self) -> None:
        """Put every object's keypoints into the order of its class."""
        names: dict[str, list[str]] = {}
        for pose in self._poses:
            key = str(pose.found.class_key)
            known = names.setdefault(key, list(self.gathering.classes[key].keypoints))
            known += [one for one in pose.points if one not in known]
        for key, known in names.items():
            one = self.gathering.classes[key]
            self.gathering.classes[key] = one._replace(keypoints=tuple(known))
        for pose in self._poses:
            order = names[str(pose.found.class_key)]
            points = [each for one in order for each in pose.points.get(one, (0.0, 0.0, 0))]
            shape = pose.found.shape
            if isinstance(shape, Keypoints):
                placed = pose.found._replace(shape=shape._replace(points=points))
                self.gathering.objects.setdefault(pose.image, []).append(placed)

    def _image(
        self, task: _Task, index: int, at: str, annotation: Mapping[str, Any]
    ) -> ListedImage | None:
        gathering = self.gathering
        address = image_address(task.data)
        if address is None:
            gathering.problem("wrong_shape", "its data has no image", at=at)
            return None
        found = find_image(address, tasks_folder=self._path.parent, images=self._folder)
        if found.is_remote:
            text = f"{address[:200]} is not fetched; put the file below {self._folder}"
            gathering.problem("not_fetched", text, at=at, file=found.name)
            return None
        new_id = _id_of(task, index)
        results = annotation.get("result")
        sizes = (size_of(one) for one in _dicts(results))
        size = next((one for one in sizes if one is not None), None)
        split = split_named(str(task.data.get(SPLIT, "")))
        image = ListedImage(new_id, found.name, size, None, {}, split=split)
        if new_id in gathering.images:
            gathering.problem("duplicate_id", "another task has this id", at=at, image=image)
            return None
        if found.is_guess:
            text = f"{address!r} was found under this name"
            gathering.note("other_name", text, at=at, image=image)
        self._count_fields(task, address)
        return with_wanted(gathering, image, _fields_of(task.data), self._wanted)

    def _count_fields(self, task: _Task, address: str) -> None:
        wanted = {self._wanted.split_key, *self._wanted.slices, SPLIT}
        for key, value in task.data.items():
            if key not in wanted and value != address:
                self.gathering.count_left_out(f"task field {key!r}")

    def _note_others(
        self, task: _Task, image: ListedImage, versions: Sequence[Mapping[str, Any]], at: str
    ) -> None:
        n_predictions = len(task.predictions or ())
        n_cancelled = sum(bool(one.get("was_cancelled")) for one in versions)
        n_older = max(len(versions) - n_cancelled - 1, 0)
        for n, what in (
            (n_older, "older annotations stay behind; the newest was taken"),
            (n_cancelled, "cancelled annotations stay behind"),
            (n_predictions, "predictions of models stay behind; they are no truth"),
        ):
            if n:
                self.gathering.note("other_labels", f"{n} {what}", at=at, image=image)

    def _read_results(self, image: ListedImage, results: Results, place: str) -> None:
        for at, text, labels in results.unsupported:
            self._refuse("unsupported_shape", text, image, f"{place}[{at}]", labels)
        for name in results.left_out:
            self.gathering.count_left_out(f"a result of type {name!r}")
        for name in results.choices:
            found = ListedObject(None, name, OfWholeImage(), {}, at=place)
            self.gathering.add_object(image.id, found)
        parts = _parts_of(results.regions)
        inner = {one.id for each in parts.values() for one in each}
        for region in results.regions.values():
            if region.id not in inner:
                self._read_region(image, region, parts.get(region.id, []), place)

    def _read_region(
        self, image: ListedImage, region: Region, parts: Sequence[Region], place: str
    ) -> None:
        at = f"{place}[{region.index}]"
        if not region.labels:
            self._refuse("wrong_shape", "it has no label", image, at, [], region.id)
            return
        try:
            shape, is_share = _shape_of(region, parts)
            points = _points_of(parts, region) if region.kind == "rectangle" and parts else {}
        except _Impossible as error:
            self._refuse("wrong_shape", str(error), image, at, region.labels, region.id)
            return
        for name in region.labels:
            found = ListedObject(region.id, name, shape, region.attributes, is_share, at)
            if points:
                self.gathering.add_class(FoundClass(name))
                self._poses.append(_Pose(image.id, found, points))
            else:
                self.gathering.add_object(image.id, found)

    def _refuse(
        self,
        kind: ProblemKind,
        text: str,
        image: ListedImage,
        at: str,
        labels: Sequence[str],
        region: str | None = None,
    ) -> None:
        self.gathering.problem(kind, text, at=at, image=image, annotation_id=region)
        for name in labels or (None,):
            self.gathering.leave_out(image.id, name)


def _id_of(task: _Task, index: int) -> RecordId:
    """The task's id; its position when it has none, or one that no number type holds."""
    if task.id is None or (isinstance(task.id, int) and abs(task.id) >= 2**63):
        return index
    return task.id


def _newest(versions: Sequence[Mapping[str, Any]]) -> int | None:
    """The position of the annotation that counts."""
    dated = [
        (str(one.get("updated_at") or one.get("created_at") or ""), at)
        for at, one in enumerate(versions)
        if not one.get("was_cancelled")
    ]
    return max(dated)[1] if dated else None


def _parts_of(regions: Mapping[str, Region]) -> dict[str, list[Region]]:
    """Regions that are parts of another: keypoints of a rectangle, outlines of a polygon."""
    parts: dict[str, list[Region]] = {}
    for one in regions.values():
        parent = regions.get(one.parent)
        if parent is None or parent is one:
            continue
        is_point = (parent.kind, one.kind) == ("rectangle", "keypoint")
        is_outline = parent.kind == one.kind == "polygon" and parent.labels == one.labels
        if is_point or (is_outline and not parent.parent):
            parts.setdefault(parent.id, []).append(one)
    return parts


def _shape_of(region: Region, parts: Sequence[Region]) -> tuple[Shape, bool]:
    """The region's shape, and whether its numbers are shares of the image's sides."""
    is_share = region.size is None
    size = region.size or SizePx(1, 1)
    if region.kind == "rectangle":
        return _rectangle(region, size, parts), is_share
    if region.kind == "polygon":
        return Polygon([_ring(one, size) for one in (region, *parts)]), is_share
    if region.kind == "keypoint":
        x, y = _scaled(region, size, "x", "y")
        return keypoints_in_box([x, y, 1 if region.is_hidden else 2]), is_share
    return _brush(region), False


def _rectangle(region: Region, size: SizePx, parts: Sequence[Region]) -> Shape:
    x, y, width, height = _scaled(region, size, "x", "y", "width", "height")
    degrees = _numbers(region, "rotation")[0] if region.value.get("rotation") else 0.0
    if degrees % 360 == 0:
        box = Box((x, y, width, height), "bbox")
        return Keypoints((), box) if parts else box
    if region.size is None:
        raise _Impossible("a turned rectangle needs original_width and original_height")
    if parts:
        raise _Impossible("keypoints lie in a turned rectangle; they need an upright one")
    if width <= 0 or height <= 0:
        raise _Impossible(f"x, y, width, height {[x, y, width, height]} has no area")
    return OrientedBox(TurnedBox(x, y, width, height, degrees).corners)


def _points_of(parts: Sequence[Region], parent: Region) -> dict[str, tuple[float, float, int]]:
    points: dict[str, tuple[float, float, int]] = {}
    for one in parts:
        if len(one.labels) != 1 or one.labels[0] in points:
            raise _Impossible(f"its keypoint {one.id} has no label of its own")
        x, y = _scaled(one, parent.size or SizePx(1, 1), "x", "y")
        points[one.labels[0]] = (x, y, 1 if one.is_hidden else 2)
    return points


def _ring(region: Region, size: SizePx) -> list[float]:
    points = region.value.get("points")
    if not isinstance(points, list):
        raise _Impossible("its points are no list")
    try:
        pairs = msgspec.convert(points, list[tuple[float, float]])
    except msgspec.ValidationError as error:
        raise _Impossible(f"points: {error}") from error
    return list(
        chain.from_iterable((x / 100 * size.width_px, y / 100 * size.height_px) for x, y in pairs)
    )


def _brush(region: Region) -> Mask:
    if region.size is None:
        raise _Impossible("a brush needs original_width and original_height")
    if region.size.width_px * region.size.height_px > MAX_PIXELS:
        raise _Impossible(f"an image of more than {MAX_PIXELS} pixels is not read")
    stream = region.value.get("rle")
    if not isinstance(stream, list):
        raise _Impossible("its rle is no list")
    try:
        return Mask(encoded(pixels_in(stream, region.size)), region.size)
    except ValueError as error:
        raise _Impossible(str(error)) from error


def _scaled(region: Region, size: SizePx, *keys: str) -> tuple[float, ...]:
    """Percent as pixels, or as shares of a size of 1 x 1; x and widths first, then y."""
    numbers = _numbers(region, *keys)
    sides = (size.width_px if at % 2 == 0 else size.height_px for at in range(len(keys)))
    return tuple(number / 100 * side for number, side in zip(numbers, sides, strict=True))


def _numbers(region: Region, *keys: str) -> tuple[float, ...]:
    found = [region.value.get(key) for key in keys]
    for key, one in zip(keys, found, strict=True):
        if isinstance(one, bool) or not isinstance(one, int | float) or not abs(one) < _FAR:
            raise _Impossible(f"{key} is {str(one)[:40]!r}, no number")
    return tuple(float(one) for one in found if one is not None)


def _fields_of(data: Mapping[str, Any]) -> dict[str, str]:
    return {
        key: value if isinstance(value, str) else text_of(value)
        for key, value in data.items()
        if isinstance(value, str | int | float)
    }


def _dicts(results: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(results, list):
        yield from (one for one in results if isinstance(one, dict))
