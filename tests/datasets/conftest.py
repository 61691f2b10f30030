"""Small data sets, as rows and as COCO folders."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from sightloop.datasets.geometry import BoxPx
from sightloop.datasets.importing import ImportDataset
from sightloop.datasets.values import (
    Capture,
    ClassId,
    LabelledObject,
    Sample,
    imported_annotations,
    sample_id,
)
from sightloop.kernel.digests import Digest, digest_of
from sightloop.kernel.workspace import Workspace

SPOT = ClassId("spot")


def jpeg(seed: int, *, width_px: int = 32, height_px: int = 24) -> bytes:
    """A small image that differs from those of other seeds."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 255, (height_px, width_px, 3), dtype=np.uint8)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


def make_sample(seed: int, *, image: Digest | None = None, **fields: Any) -> Sample:
    """A sample with one box; its image exists only if the caller stored one."""
    image = image or digest_of(jpeg(seed))
    capture: Capture | None = fields.pop("capture", None)
    new_id = sample_id(image, capture)
    boxes = fields.pop("boxes", [BoxPx(1, 2, 11, 12)])
    found = [LabelledObject(SPOT, box, {}) for box in boxes]
    values = {
        "width_px": 32,
        "height_px": 24,
        "media_type": "image/jpeg",
        "file_name": f"{seed}.jpg",
        "split_key": f"key {seed}",
        "labelled_for": [SPOT],
        "annotations": imported_annotations(new_id, found),
    }
    return Sample(id=new_id, image=image, capture=capture, **{**values, **fields})


@pytest.fixture(scope="session", name="jpeg")
def jpeg_fixture() -> Callable[..., bytes]:
    return jpeg


@pytest.fixture(scope="session", name="make_sample")
def make_sample_fixture() -> Callable[..., Sample]:
    return make_sample


@pytest.fixture
def stored(workspace: Workspace) -> Callable[..., Sample]:
    """Makes samples whose images are in the workspace's blob store."""

    def make(seed: int, **fields: Any) -> Sample:
        return make_sample(seed, image=workspace.blobs.put(jpeg(seed)), **fields)

    return make


class CocoFolder:
    """A COCO data set on disk that a test can spoil before it is imported."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []
        self.categories: list[dict[str, Any]] = [
            {"id": 3, "name": "Spot"},
            {"id": 7, "name": "hole"},
        ]
        (root / "images").mkdir(parents=True)

    def add(self, name: str, content: bytes | None = None, **fields: Any) -> int:
        """Add an image file and its entry; returns the image's id."""
        image_id = len(self.images) + 1
        path = self.root / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(image_id) if content is None else content)
        values = {"width": 32, "height": 24, "board": f"b{image_id}", "line": "A"}
        self.images.append({"id": image_id, "file_name": name, **values, **fields})
        return image_id

    def label(self, image_id: int, bbox: Any, category_id: int = 3, **fields: Any) -> None:
        """Add an annotation entry."""
        annotation_id = 100 + len(self.annotations)
        values = {"id": annotation_id, "image_id": image_id, "bbox": bbox}
        self.annotations.append({**values, "category_id": category_id, **fields})

    def request(self, **fields: Any) -> ImportDataset:
        """Write the file and ask for its import."""
        content = {key: getattr(self, key) for key in ("images", "annotations", "categories")}
        (self.root / "annotations.json").write_text(json.dumps(content))
        values = {"split_key": "board", "slice_fields": ["line"], "strict": True, **fields}
        return ImportDataset(
            source=str(self.root / "annotations.json"),
            images=str(self.root / "images"),
            **values,
        )


@pytest.fixture
def coco(tmp_path: Path) -> CocoFolder:
    """Three images on two lines, three boxes."""
    folder = CocoFolder(tmp_path / "coco")
    first = folder.add("a/1.jpg")
    second = folder.add("a/2.jpg", line="B")
    folder.add("3.jpg")
    folder.label(first, [1, 2, 10, 10])
    folder.label(first, [5.5, 2.25, 8, 9], category_id=7)
    folder.label(second, [0, 0, 32, 24])
    return folder
