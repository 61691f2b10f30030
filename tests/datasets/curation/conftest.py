"""Generated scenes, and data sets with planted copies of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sightloop.datasets.commits import CommitSamples, commit_samples
from sightloop.datasets.geometry import BoxPx
from sightloop.datasets.values import (
    Capture,
    ClassId,
    LabelledObject,
    Sample,
    imported_annotations,
    sample_id,
)
from sightloop.kernel.workspace import Workspace
from sightloop.testing.workspaces import LOCAL_CALL

Picture = NDArray[np.uint8]


def scene(seed: int) -> Picture:
    """Shapes of random shades on a gradient, with noise: unlike the scene of any other seed."""
    rng = np.random.default_rng(seed)
    width_px, height_px = 320, 240
    ramp = np.linspace(*rng.integers(20, 230, 2), width_px)
    picture = np.repeat(ramp[None], height_px, 0).astype(np.uint8)
    for _ in range(14):
        centre = (int(rng.integers(width_px)), int(rng.integers(height_px)))
        shade = int(rng.integers(256))
        if rng.random() < 0.5:
            cv2.circle(picture, centre, int(rng.integers(10, 70)), shade, -1)
        else:
            end = (int(rng.integers(width_px)), int(rng.integers(height_px)))
            cv2.rectangle(picture, centre, end, shade, -1)
    noisy = picture + rng.normal(0, 4, picture.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def as_jpeg(picture: Picture, *, quality: int = 92) -> bytes:
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def reencoded(picture: Picture) -> Picture:
    return cv2.imdecode(np.frombuffer(as_jpeg(picture, quality=60), np.uint8), 0)


def resized(picture: Picture) -> Picture:
    return cv2.resize(picture, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA)


def brightened(picture: Picture) -> Picture:
    return np.clip(picture * 1.1, 0, 255).astype(np.uint8)


def cropped(picture: Picture) -> Picture:
    """Two per cent less in each direction."""
    y, x = (max(round(side * 0.01), 1) for side in picture.shape)
    return picture[y:-y, x:-x]


COPIES: dict[str, Callable[[Picture], Picture]] = {
    "re-encoded at quality 60": reencoded,
    "resized to 80 %": resized,
    "10 % brighter": brightened,
    "cropped by 2 %": cropped,
    "all but the crop": lambda picture: reencoded(brightened(resized(picture))),
}

DENT = ClassId("dent")


class Plant:
    """A workspace to put samples into; `commit` makes them the head of main."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.samples: list[Sample] = []

    def add(
        self,
        picture: Picture | bytes,
        split: str | None,
        *,
        capture: int | None = None,
        boxes: list[BoxPx] | None = None,
        **fields: Any,
    ) -> Sample:
        """A sample that stands in this split, whatever its key."""
        content = picture if isinstance(picture, bytes) else as_jpeg(picture)
        image = self.workspace.blobs.put(content)
        taken = None if capture is None else Capture("cam", "line", capture)
        new_id = sample_id(image, taken)
        found = [LabelledObject(DENT, box, {}) for box in boxes or []]
        values = {
            "width_px": 320,
            "height_px": 240,
            "media_type": "image/jpeg",
            "file_name": f"{len(self.samples)}.jpg",
            "split_key": f"key {len(self.samples)}",
            "labelled_for": [DENT],
            "annotations": imported_annotations(new_id, found),
            "reserved": split,
        }
        self.samples.append(Sample(id=new_id, image=image, capture=taken, **{**values, **fields}))
        return self.samples[-1]

    def commit(self) -> str:
        request = CommitSamples(
            branch="main", message="plant", upserts=self.samples, new_classes=["dent", "scratch"]
        )
        return commit_samples(self.workspace, LOCAL_CALL, request).commit


@pytest.fixture
def plant(workspace: Workspace) -> Plant:
    return Plant(workspace)
