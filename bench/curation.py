"""How well and how fast curation works: `python bench/curation.py [FOLDER...]`.

For every FOLDER of real images: pairs of different images that count as look-alikes, and how many
planted copies of them are known again. Then generated data: planted label errors, and the time of
each part, as processor seconds, since others may use the machine. Prints tables in Markdown.
Offline; takes about two minutes on one core.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from sightloop.datasets.curation.columns import Columns, columns_from
from sightloop.datasets.curation.fingerprints import fingerprints_for, thumbnail_of
from sightloop.datasets.curation.image_hash import (
    MAX_COARSE,
    Fingerprints,
    fingerprints_of,
    look_alike,
)
from sightloop.datasets.curation.near import joined, near_pairs
from sightloop.datasets.curation.suspicions import RULES, all_suspicions
from sightloop.datasets.geometry import BoxPx
from sightloop.datasets.keys import object_key
from sightloop.datasets.splits import SplitRule
from sightloop.datasets.values import (
    ClassId,
    LabelledObject,
    Sample,
    imported_annotations,
    sample_id,
)
from sightloop.kernel.digests import digest_of
from sightloop.wiring import create_workspace

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
N_COPIED = 400
USUAL_PX = (24.0, 60.0, 130.0)
WIDTH_PX, HEIGHT_PX = 1280, 720
Copy = Callable[[np.ndarray], np.ndarray]


def main() -> None:
    for folder in sys.argv[1:]:
        real_images(Path(folder))
    label_errors(range(20))
    timings()


def as_jpeg(picture: np.ndarray, quality: int = 92) -> bytes:
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def reencoded(picture: np.ndarray) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(as_jpeg(picture, 60), np.uint8), cv2.IMREAD_COLOR)


def resized(picture: np.ndarray) -> np.ndarray:
    return cv2.resize(picture, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA)


def brightened(picture: np.ndarray) -> np.ndarray:
    return np.clip(picture * 1.1, 0, 255).astype(np.uint8)


def cropped(picture: np.ndarray) -> np.ndarray:
    y, x = (max(round(side * 0.01), 1) for side in picture.shape[:2])
    return picture[y:-y, x:-x]


def cropped_aside(picture: np.ndarray) -> np.ndarray:
    y, x = (max(round(side * 0.02), 1) for side in picture.shape[:2])
    return picture[y:, x:]


COPIES: dict[str, Copy] = {
    "JPEG quality 60": reencoded,
    "80 % of the size": resized,
    "10 % brighter": brightened,
    "all three": lambda picture: reencoded(brightened(resized(picture))),
    "2 % cropped evenly": cropped,
    "2 % cropped from one corner": cropped_aside,
}


def alike_among(prints: Fingerprints) -> tuple[int, list[tuple[int, int]]]:
    """How many pairs the coarse hash alone finds, and those that are left."""
    pairs = joined(list(near_pairs(prints.coarse, within=MAX_COARSE)))
    kept = look_alike(prints, pairs.first, pairs.second)
    left = zip(pairs.first[kept].tolist(), pairs.second[kept].tolist(), strict=True)
    return len(kept), list(left)


def real_images(folder: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    contents = list({digest_of(c): c for c in (path.read_bytes() for path in files)}.values())
    thumbs = np.stack([thumbnail_of(one, name="") for one in contents])
    prints = fingerprints_of(thumbs)
    n_coarse, left = alike_among(prints)
    n = len(contents)
    print(f"\n### {folder.name}: {n:,} different images, {n * (n - 1) // 2:,} pairs\n")
    print("| | |\n|---|---:|")
    print(f"| images without a look | {int((~prints.has_look).sum()):,} |")
    print(f"| pairs by the 64-bit hash alone | {n_coarse:,} |")
    print(f"| pairs that count as look-alikes | {len(left):,} |")
    with_look = np.flatnonzero(prints.has_look)
    rng = np.random.default_rng(0)
    chosen = rng.choice(with_look, min(N_COPIED, len(with_look)), replace=False)
    pictures = [
        cv2.imdecode(np.frombuffer(contents[at], np.uint8), cv2.IMREAD_COLOR) for at in chosen
    ]
    print("\n| planted copies | known again | alike to another image |\n|---|---:|---:|")
    for name, copy in COPIES.items():
        copies = np.stack([thumbnail_of(as_jpeg(copy(one)), name="") for one in pictures])
        _, found = alike_among(fingerprints_of(np.concatenate([thumbs, copies])))
        own = {(int(at), n + place) for place, at in enumerate(chosen)}
        across = {(a, b) for a, b in found if a < n <= b}
        known = {frozenset(pair) for pair in left}
        strange = [
            (a, b) for a, b in across - own if frozenset((a, int(chosen[b - n]))) not in known
        ]
        print(f"| {name} | {len(across & own) / len(own):.1%} | {len(strange)} |")


def label_errors(seeds: Sequence[int]) -> None:
    """Planted errors that are found, and alarms on labels without any."""
    n_found = dict.fromkeys(PLANTS, 0)
    n_alarms = dict.fromkeys(RULES, 0)
    n_labels, n_planted = 0, 0
    planted = {sample_id(digest_of(b"%d" % number), None) for number in range(50)}
    for seed in seeds:
        honest = boxes_of(seed)
        found = {one.rule: one for one in all_suspicions(columns_of_boxes(honest))}
        for rule, one in found.items():
            n_alarms[rule] += len(one.samples)
        n_labels += sum(len(one) for one in honest)
        n_planted += 50
        for rule, plant in PLANTS.items():
            spoilt = [[*one, plant(one)] if at < 50 else one for at, one in enumerate(honest)]
            columns = columns_of_boxes(spoilt)
            told = {one.rule: one for one in all_suspicions(columns)}[rule]
            n_found[rule] += len(set(columns.ids_of(told.samples)) & planted)
    print(f"\n### Label errors: {n_planted:,} planted per rule, {n_labels:,} honest labels\n")
    print("| rule | planted errors found | false alarms per 1,000 labels |\n|---|---:|---:|")
    for rule in PLANTS:
        alarms = 1000 * n_alarms[rule] / n_labels
        print(f"| {rule} | {n_found[rule] / n_planted:.1%} | {alarms:.2f} |")


Boxes = list[tuple[str, BoxPx]]


def boxes_of(seed: int, n_images: int = 500) -> list[Boxes]:
    """Boxes of three classes, log-normal in size and shape, some cut by the border."""
    rng = np.random.default_rng(seed)
    return [[_honest(rng) for _ in range(5)] for _ in range(n_images)]


def _honest(rng: np.random.Generator) -> tuple[str, BoxPx]:
    kind = int(rng.integers(3))
    side, stretch = USUAL_PX[kind] * np.exp(rng.normal(0, 0.35)), np.exp(rng.normal(0, 0.2))
    wide, high = min(side * stretch, 900), min(side / stretch, 600)
    x = rng.uniform(-wide / 3, WIDTH_PX - 2 * wide / 3)
    y = rng.uniform(-high / 3, HEIGHT_PX - 2 * high / 3)
    x2, y2 = min(x + wide, WIDTH_PX), min(y + high, HEIGHT_PX)
    return f"class {kind}", BoxPx(max(x, 0), max(y, 0), x2, y2)


def _again(boxes: Boxes, name: str | None = None) -> tuple[str, BoxPx]:
    kind, box = boxes[0]
    less = 0.03 * (box.x2 - box.x1)
    return name or kind, BoxPx(box.x1, box.y1, box.x2 - less, box.y2)


PLANTS: dict[str, Callable[[Boxes], tuple[str, BoxPx]]] = {
    "two classes": lambda boxes: _again(
        boxes, "class 0" if boxes[0][0] != "class 0" else "class 1"
    ),
    "double": _again,
    "size": lambda _: ("class 2", BoxPx(600, 300, 612, 311)),
    "shape": lambda _: ("class 1", BoxPx(300, 300, 620, 312)),
    "sliver": lambda _: ("class 2", BoxPx(0, 300, 6, 420)),
}


def columns_of_boxes(images: Sequence[Boxes]) -> Columns:
    return columns_from(samples_of(images), SplitRule())


def samples_of(images: Sequence[Boxes]) -> Iterator[Sample]:
    made = []
    for number, boxes in enumerate(images):
        image = digest_of(b"%d" % number)
        identity = sample_id(image, None)
        found = [LabelledObject(ClassId(name.replace(" ", "-")), box, {}) for name, box in boxes]
        made.append(
            Sample(
                id=identity,
                image=image,
                width_px=WIDTH_PX,
                height_px=HEIGHT_PX,
                media_type="image/jpeg",
                file_name=f"{number}.jpg",
                split_key=str(number),
                annotations=imported_annotations(identity, found),
            )
        )
    yield from sorted(made, key=lambda one: one.id)


def timings() -> None:
    print("\n### Time of each part, processor seconds\n\n| | s |\n|---|---:|")
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        workspace = create_workspace(Path(folder) / "plant", {})
        with workspace.blobs.batch() as batch:
            keys = [object_key(batch.put(photograph(rng))) for _ in range(1_000)]
        with spent("fingerprints of 1,000 JPEG files of 50 kB, 640 x 480"):
            fingerprints_for(workspace, keys)
        with spent("the same again, from the file"):
            fingerprints_for(workspace, keys)
    hashes = rng.integers(0, 2**64, 100_000, dtype=np.uint64)
    with spent("all near pairs of 100,000 hashes"):
        joined(list(near_pairs(hashes, within=MAX_COARSE)))
    boxes = [boxes for seed in range(200) for boxes in boxes_of(seed)]
    samples = list(samples_of(boxes))
    with spent("columns of 100,000 samples with 500,000 boxes, from rows in memory"):
        columns = columns_from(samples, SplitRule())
    with spent("all suspicions among them"):
        all_suspicions(columns)


def photograph(rng: np.random.Generator) -> bytes:
    """Smooth shapes with noise: some 50 kB."""
    small = rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)
    large = cv2.resize(small, (640, 480), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    noisy = large + rng.normal(0, 9, large.shape)
    return as_jpeg(np.clip(noisy, 0, 255).astype(np.uint8), 76)


@contextmanager
def spent(what: str) -> Iterator[None]:
    began = time.process_time()
    yield
    print(f"| {what} | {time.process_time() - began:.2f} |", flush=True)


if __name__ == "__main__":
    main()
