"""Image files that cost what photographs cost: valid headers around bytes that do not compress.

Equal arguments give equal bytes, on every machine: each file is drawn from its own seed.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

WIDTH_PX, HEIGHT_PX = 640, 480
CLASSES = [f"class {number:02}" for number in range(20)]
RARE = CLASSES[-1]
"""On one image of a hundred; what a sparse checkout asks for."""

N_BOXES = 3
_PER_FOLDER, _FOLDER_DIGITS = 1000, 3
_JPEG_HEAD = (
    b"\xff\xd8\xff\xe0" + struct.pack(">H5sBBBHHBB", 16, b"JFIF\0", 1, 1, 0, 1, 1, 0, 0)
    + b"\xff\xc0" + struct.pack(">HBHHBBBB", 11, 8, HEIGHT_PX, WIDTH_PX, 1, 1, 0x11, 0)
    + b"\xff\xda" + struct.pack(">HBBBBBB", 8, 1, 1, 0, 0, 63, 0)
)  # fmt: skip
_PNG_HEAD = b"\x89PNG\r\n\x1a\n"


def jpeg(seed: int, size_bytes: int) -> bytes:
    """A JPEG file of that size: a picture to whoever reads its structure, noise to a decoder."""
    n_noise = size_bytes - len(_JPEG_HEAD) - 2
    noise = np.random.default_rng([1, seed]).bytes(n_noise).replace(b"\xff", b"\xfe")
    return _JPEG_HEAD + noise + b"\xff\xd9"


def png(seed: int, size_bytes: int) -> bytes:
    """A PNG file of that size; the smallest has 65 bytes, eight of them its own."""
    n_noise = size_bytes - 65
    noise = np.random.default_rng([2, seed]).bytes(n_noise) if n_noise > 0 else b""
    header = struct.pack(">IIBBBBB", WIDTH_PX, HEIGHT_PX, 8, 0, 0, 0, 0)
    data = struct.pack(">Q", seed) + noise
    chunks = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
    return _PNG_HEAD + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def image_name(number: int, ending: str = "jpg") -> str:
    """Where the image of that number lies: a thousand in a folder."""
    return f"{number // _PER_FOLDER:03}/{number:07}.{ending}"


def write_images(
    folder: Path,
    numbers: Iterable[int],
    size_bytes: int,
    *,
    version: int = 0,
    make: Callable[[int, int], bytes] = jpeg,
    ending: str = "jpg",
) -> None:
    """Write the images of those numbers; another version has other bytes under the same name."""
    made, root = set(), str(folder)
    for number in numbers:
        name = image_name(number, ending)
        if name[:_FOLDER_DIGITS] not in made:
            made.add(name[:_FOLDER_DIGITS])
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        # Not through Path: a million of them take half a minute longer.
        with open(f"{root}/{name}", "wb", buffering=0) as file:  # noqa: PTH123
            file.write(make(number + version * 100_000_000, size_bytes))


def class_of(number: int, box: int) -> str:
    """The class of a box: the rare one for the first box of every hundredth image."""
    if box == 0 and number % 100 == 0:
        return RARE
    return CLASSES[(number * 7 + box) % (len(CLASSES) - 1)]


def corners_of(number: int, box: int) -> tuple[int, int, int, int]:
    """x1, y1, x2, y2 in pixels; inside the image."""
    x1, y1 = (number * 31 + box * 97) % 500, (number * 17 + box * 71) % 340
    return x1, y1, x1 + 20 + (number + box) % 100, y1 + 20 + (number + box * 3) % 100


def write_coco(folder: Path, n: int, *, n_boxes: int = N_BOXES, ending: str = "jpg") -> None:
    """`annotations.json` for images in `images/`, written in pieces: a million fit in memory."""
    with (folder / "annotations.json").open("w") as file:
        categories = [{"id": at + 1, "name": name} for at, name in enumerate(CLASSES)]
        file.write(f'{{"categories": {json.dumps(categories)}, "images": [\n')
        for number in range(n):
            file.write("," if number else "")
            name = image_name(number, ending)
            file.write(
                f'{{"id": {number}, "file_name": "{name}", '
                f'"width": {WIDTH_PX}, "height": {HEIGHT_PX}}}\n'
            )
        file.write('], "annotations": [\n')
        for number in range(n):
            for box in range(n_boxes):
                file.write("," if number or box else "")
                x1, y1, x2, y2 = corners_of(number, box)
                category = CLASSES.index(class_of(number, box)) + 1
                file.write(
                    f'{{"id": {number * n_boxes + box}, "image_id": {number}, '
                    f'"category_id": {category}, "bbox": [{x1}, {y1}, {x2 - x1}, {y2 - y1}]}}\n'
                )
        file.write("]}\n")


def write_labels(folder: Path, numbers: Iterable[int], *, shift_px: int = 0) -> None:
    """One JSON file per image: labels as a file tool sees them."""
    for number in numbers:
        path = folder / (image_name(number) + ".json")
        path.parent.mkdir(parents=True, exist_ok=True)
        boxes = [
            {
                "class": class_of(number, box),
                "box": [value + shift_px for value in corners_of(number, box)],
            }
            for box in range(N_BOXES)
        ]
        path.write_text(json.dumps({"image": image_name(number), "annotations": boxes}, indent=1))
