"""What exists outside Sightloop in the demo: images, and what is truly in them.

The world is split by split key before anything starts: one part is the folder a user would import,
the rest is what the cameras will see later. Sightloop never reads the truth of the second part;
only the simulated annotator (when asked about an image) and the referee do.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from sightloop.demo.conveyor import DEFECTS, LINES, NEW_LINE, START_LINES, draw_part
from sightloop.demo.errors import UnusableDemoData
from sightloop.inference.images import read_facts
from sightloop.kernel.digests import Digest, digest_of
from sightloop.kernel.progress import Progress

GENERATED_PER_START_LINE = 300
GENERATED_OF_NEW_LINE = 400
GENERATED_IMPORTED_SHARE = 0.6
REAL_IMPORTED_SHARE = 0.8
"""Of the start slices' split keys, as there are fewer real images; the cameras show the others."""
JPEG_QUALITY = 92


class TrueBox(NamedTuple):
    """A labelled object by class name, corners in pixels of the upright image."""

    class_name: str
    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True, slots=True)
class WorldImage:
    """One image, where it lies, what is in it, and which images belong with it."""

    path: Path
    digest: Digest
    key: str
    slice_value: str
    boxes: tuple[TrueBox, ...]


@dataclass(frozen=True, slots=True)
class World:
    """All images of the demo, by who gets to see them."""

    class_names: tuple[str, ...]
    slice_field: str
    key_field: str
    start_slices: tuple[str, ...]
    new_slice: str
    images_folder: Path
    imported: tuple[WorldImage, ...]
    to_show: dict[str, tuple[WorldImage, ...]]
    """What the cameras see, by slice; images of one key never appear on both sides."""

    def by_digest(self) -> dict[Digest, WorldImage]:
        """Every image by the digest of its bytes."""
        shown = (image for images in self.to_show.values() for image in images)
        return {image.digest: image for image in (*self.imported, *shown)}


def generated_world(folder: Path, *, seed: int, progress: Progress) -> World:
    """Draw the conveyor's parts into `folder`; equal seeds give equal bytes."""
    images_folder = folder / "images"
    images: list[WorldImage] = []
    counts = dict.fromkeys(START_LINES, GENERATED_PER_START_LINE)
    counts[NEW_LINE] = GENERATED_OF_NEW_LINE
    total = sum(counts.values())
    for line_index, (name, count) in enumerate(counts.items()):
        (images_folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            rng = np.random.default_rng([seed, line_index, index])
            images.append(_draw(rng, name, index, images_folder / name))
            progress("drawing parts", len(images), total)
    return _divide(
        images,
        class_names=DEFECTS,
        slice_field="product_line",
        key_field="serial_number",
        start_slices=START_LINES,
        new_slice=NEW_LINE,
        images_folder=images_folder,
        imported_share=GENERATED_IMPORTED_SHARE,
    )


def _draw(rng: np.random.Generator, line: str, index: int, folder: Path) -> WorldImage:
    picture, defects = draw_part(rng, LINES[line])
    ok, coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert ok, "an 8-bit picture can always be encoded"
    content = coded.tobytes()
    path = folder / f"{line}-{index:05d}.jpg"
    path.write_bytes(content)
    boxes = tuple(TrueBox(DEFECTS[d.class_index], *d[1:]) for d in defects)
    return WorldImage(path, digest_of(content), f"{line}-{index:05d}", line, boxes)


def coco_world(
    folder: Path,
    *,
    key_field: str,
    slice_field: str,
    start_slices: Sequence[str],
    new_slice: str,
) -> World:
    """A real data set in COCO format (`annotations.json`, `images/`) as the world.

    Raises:
        UnusableDemoData: the file is missing or not COCO, a field is missing on an image, or a
            slice has too few images to show anything.
    """
    document = _read_coco(folder / "annotations.json")
    categories = {c["id"]: str(c["name"]) for c in document["categories"]}
    boxes: dict[Any, list[TrueBox]] = {}
    for annotation in document["annotations"]:
        x, y, width, height = annotation["bbox"]
        box = TrueBox(categories[annotation["category_id"]], x, y, x + width, y + height)
        boxes.setdefault(annotation["image_id"], []).append(box)
    wanted = {*start_slices, new_slice}
    images = []
    for image in document["images"]:
        for field in (key_field, slice_field):
            if field not in image:
                raise UnusableDemoData(
                    where=str(folder), problem=f"image {image.get('id')} has no field {field!r}"
                )
        if str(image[slice_field]) in wanted:
            path = folder / "images" / image["file_name"]
            images.append(
                WorldImage(
                    path=path,
                    digest=digest_of(_bytes_of(path)),
                    key=str(image[key_field]),
                    slice_value=str(image[slice_field]),
                    boxes=tuple(boxes.get(image["id"], ())),
                )
            )
    return _divide(
        images,
        class_names=tuple(categories.values()),
        slice_field=slice_field,
        key_field=key_field,
        start_slices=tuple(start_slices),
        new_slice=new_slice,
        images_folder=folder / "images",
        imported_share=REAL_IMPORTED_SHARE,
    )


def write_import_folder(world: World, folder: Path) -> Path:
    """The COCO file a user would import: the start slices, without what the cameras show."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    categories = [{"id": i + 1, "name": n} for i, n in enumerate(world.class_names)]
    ids = {category["name"]: category["id"] for category in categories}
    for number, image in enumerate(world.imported, start=1):
        facts = read_facts(image.path.read_bytes(), name=str(image.path))
        images.append(
            {
                "id": number,
                "file_name": image.path.relative_to(world.images_folder).as_posix(),
                "width": facts.width_px,
                "height": facts.height_px,
                world.key_field: image.key,
                world.slice_field: image.slice_value,
            }
        )
        annotations += [
            {
                "id": len(annotations) + index + 1,
                "image_id": number,
                "category_id": ids[box.class_name],
                "bbox": [box.x1, box.y1, box.x2 - box.x1, box.y2 - box.y1],
                "area": (box.x2 - box.x1) * (box.y2 - box.y1),
                "iscrowd": 0,
            }
            for index, box in enumerate(image.boxes)
        ]
    path = folder / "annotations.json"
    document = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(document))
    return path


def _divide(
    images: Sequence[WorldImage],
    *,
    class_names: tuple[str, ...],
    slice_field: str,
    key_field: str,
    start_slices: tuple[str, ...],
    new_slice: str,
    images_folder: Path,
    imported_share: float,
) -> World:
    imported = [
        image
        for image in images
        if image.slice_value in start_slices and _share(image.key) < imported_share
    ]
    chosen = {image.digest for image in imported}
    to_show = {
        name: tuple(
            sorted(
                (i for i in images if i.slice_value == name and i.digest not in chosen),
                key=lambda image: hashlib.sha256(image.key.encode()).hexdigest(),
            )
        )
        for name in (*start_slices, new_slice)
    }
    for name, shown in to_show.items():
        if len(shown) < 10:
            raise UnusableDemoData(
                where=str(images_folder),
                problem=f"{slice_field}={name} has only {len(shown)} images to show, 10 are needed",
            )
    return World(
        class_names=class_names,
        slice_field=slice_field,
        key_field=key_field,
        start_slices=start_slices,
        new_slice=new_slice,
        images_folder=images_folder,
        imported=tuple(imported),
        to_show=to_show,
    )


def _share(key: str) -> float:
    return int(hashlib.sha256(b"demo " + key.encode()).hexdigest()[:8], 16) / 2**32


def _read_coco(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text("utf-8"))
        missing = {"images", "annotations", "categories"} - document.keys()
    except (OSError, ValueError, AttributeError) as error:
        raise UnusableDemoData(where=str(path), problem=f"is not a COCO file ({error})") from error
    if missing:
        raise UnusableDemoData(where=str(path), problem=f"has no {', '.join(sorted(missing))}")
    return document  # type: ignore[no-any-return]


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnusableDemoData(where=str(path), problem=str(error)) from error
