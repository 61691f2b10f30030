"""Tasks and labels as a COCO file, for labelling tools that speak it. Pure.

An image of the file carries its task's id twice: as the field `task`, which most tools drop, and
in its file name, which they keep. Categories are found again by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from sightloop.datasets.errors import NotCoco
from sightloop.datasets.geometry import SizePx
from sightloop.datasets.values import Taxonomy
from sightloop.kernel.digests import Digest
from sightloop.review.boxes import TaskBox
from sightloop.review.values import Task

_TASK_ID = re.compile(r"task_[0-9a-z]{22}")
_EXTENSIONS = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp", "image/bmp": "bmp"}


class CocoImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image; `task`, `slices` and `split_key` are ours."""

    id: int
    file_name: str
    width: int
    height: int
    task: str = ""
    slices: dict[str, str] = {}
    split_key: str | None = None


class CocoAnnotation(msgspec.Struct, frozen=True, kw_only=True):
    """An object: corner, width and height in pixels. A `score` marks what the model proposed."""

    id: int
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    area: float = 0.0
    iscrowd: int = 0
    score: float | None = None


class CocoCategory(msgspec.Struct, frozen=True, kw_only=True):
    """A class."""

    id: int
    name: str


class CocoFile(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file."""

    info: dict[str, str] = {}
    images: list[CocoImage]
    annotations: list[CocoAnnotation]
    categories: list[CocoCategory]


class ImageLabels(NamedTuple):
    """What a file says of one task. `size` is that of the image the boxes were drawn on."""

    task: str
    size: SizePx
    boxes: list[TaskBox]
    slices: dict[str, str]
    split_key: str | None


class FileLabels(NamedTuple):
    """What a file says, and what in it makes no sense."""

    labels: list[ImageLabels]
    problems: list[str]


def image_file_name(task: Task) -> str:
    """Where an exported task's image lies in its folder."""
    return f"images/{task.id}.{file_extension(task.media_type)}"


def file_extension(media_type: str) -> str:
    """How the names of such files end, without the dot."""
    return _EXTENSIONS.get(media_type, "img")


def coco_of(
    tasks: Sequence[Task], *, taxonomy: Taxonomy, bundle_classes: Mapping[Digest, Sequence[str]]
) -> CocoFile:
    """The tasks with their pre-labels; proposals of classes the taxonomy lacks are left out.

    Args:
        bundle_classes: class ids by index, of every bundle that a task's pre-labels are from.
    """
    category_of: dict[str, int] = {
        name: index for index, name in enumerate(taxonomy.class_ids, start=1)
    }
    images = [
        CocoImage(
            id=number,
            file_name=image_file_name(task),
            width=task.width_px,
            height=task.height_px,
            task=task.id,
        )
        for number, task in enumerate(tasks, start=1)
    ]
    proposals = [
        (number, category_of[class_id], detection)
        for number, task in enumerate(tasks, start=1)
        for detection in task.prelabels
        if (class_id := bundle_classes[task.bundle][detection.class_index]) in category_of
    ]
    annotations = [
        CocoAnnotation(
            id=number,
            image_id=image_id,
            category_id=category_id,
            bbox=(found.x1, found.y1, found.x2 - found.x1, found.y2 - found.y1),
            area=(found.x2 - found.x1) * (found.y2 - found.y1),
            score=found.score,
        )
        for number, (image_id, category_id, found) in enumerate(proposals, start=1)
    ]
    categories = [
        CocoCategory(id=number, name=name)
        for number, name in enumerate(taxonomy.class_names, start=1)
    ]
    info = {"description": "Sightloop tasks: correct the boxes, keep the file names"}
    return CocoFile(info=info, images=images, annotations=annotations, categories=categories)


def parse_coco(content: bytes, *, file: str) -> CocoFile:
    """The file's images, boxes and classes.

    Raises:
        NotCoco: it is not JSON, or not of that shape.
    """
    try:
        return msgspec.json.decode(content, type=CocoFile)
    except msgspec.DecodeError as error:  # a ValidationError is one as well
        raise NotCoco(file=file, problem=str(error)) from error


def labels_in(coco: CocoFile) -> FileLabels:
    """What the file says of each task, in the order of its images; problems name the record."""
    problems: list[str] = []
    images = _by_id(coco.images, problems)
    names = {category.id: category.name for category in coco.categories}
    boxes: dict[int, list[TaskBox]] = {number: [] for number in images}
    for annotation in coco.annotations:
        where = f"annotation {annotation.id}"
        if annotation.image_id not in images:
            problems.append(f"{where}: there is no image {annotation.image_id} in the file")
        elif annotation.category_id not in names:
            problems.append(f"{where}: there is no category {annotation.category_id} in the file")
        elif annotation.iscrowd:
            problems.append(f"{where}: it is a crowd; draw a box around each object")
        else:
            boxes[annotation.image_id].append(_box(annotation, names[annotation.category_id]))
    labels: dict[str, ImageLabels] = {}
    for number, image in images.items():
        task = _task_of(image)
        if task is None:
            problems.append(f"image {number} ({image.file_name}): its name holds no task id")
        elif task in labels:
            problems.append(f"image {number} ({image.file_name}): task {task} comes twice")
        else:
            size = SizePx(image.width, image.height)
            labels[task] = ImageLabels(task, size, boxes[number], image.slices, image.split_key)
    return FileLabels(list(labels.values()), problems)


def _by_id(images: Iterable[CocoImage], problems: list[str]) -> dict[int, CocoImage]:
    by_id: dict[int, CocoImage] = {}
    for image in images:
        if image.id in by_id:
            problems.append(f"image {image.id} ({image.file_name}): another image has that id")
        by_id.setdefault(image.id, image)
    return by_id


def _task_of(image: CocoImage) -> str | None:
    if image.task:
        return image.task
    # Tools add folders, prefixes and endings of their own; the id inside stays.
    found = _TASK_ID.search(image.file_name)
    return found.group() if found else None


def _box(annotation: CocoAnnotation, class_name: str) -> TaskBox:
    x1, y1, width, height = annotation.bbox
    return TaskBox(class_name=class_name, x1=x1, y1=y1, x2=x1 + width, y2=y1 + height)
