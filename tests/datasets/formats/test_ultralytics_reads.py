"""Ultralytics' own loaders find in our files what the commit holds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sightloop.datasets.exporting import ExportDataset, export_dataset
from sightloop.datasets.geometry import (
    BoxPx,
    KeypointsPx,
    OrientedBoxPx,
    PolygonPx,
    WholeImage,
)
from sightloop.testing.workspaces import LOCAL_CALL

pytestmark = pytest.mark.torch

LABELS = {
    "detect": BoxPx(3.3, 4.2, 16.5, 10.5),
    "segment": PolygonPx(3.3, 4.2, 16.5, 10.5, ((3.3, 4.2, 16.5, 4.2, 16.5, 10.5),)),
    "pose": KeypointsPx(3.3, 4.2, 16.5, 10.5, (6.6, 6.3, 2, 0, 0, 0)),
    "obb": OrientedBoxPx((9.9, 2.1, 16.5, 8.4, 9.9, 14.7, 3.3, 8.4)),
    "ndjson": BoxPx(3.3, 4.2, 16.5, 10.5),
    "classify": WholeImage(),
}
"""One object of each task, on images of 33 x 21 px."""
BOX = [0.3, 0.35, 0.4, 0.3]
"""The box of all of these as centre and size in shares."""


@pytest.fixture(scope="module")
def found(tmp_path_factory, jpeg, new_round):
    folder = tmp_path_factory.mktemp("oracle")
    for task, shape in LABELS.items():
        write(new_round(folder / f"{task}-workspace"), folder / task, f"yolo-{task}", shape)
    quiet = {"YOLO_CONFIG_DIR": str(folder), "YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
    script = Path(__file__).parent / "ultralytics_reads.py"
    command = [sys.executable, script, folder]
    subprocess.run(command, cwd=folder, env=os.environ | quiet, check=True, timeout=200)
    return json.loads((folder / "found.json").read_text())


def write(way, folder, format_, shape):
    """Export a commit: one object on an image of train and of val each, none on a third."""
    samples = [
        way.sample(n, [("spot", shape, {})] if n < 2 else [], reserved=split)
        for n, split in enumerate(["train", "val", "train"])
    ]
    way.commit(samples)
    request = ExportDataset(ref="main", folder=str(folder), format=format_)
    export_dataset(way.workspace, LOCAL_CALL, request)
    way.close()


@pytest.mark.parametrize("task", ["detect", "segment", "pose", "ndjson"])
def test_boxes_lie_where_they_were_drawn(found, task):
    assert found[task]["names"] == {"0": "hole", "1": "spot"}
    splits = [list(found[task][split].values()) for split in ("train", "val")]
    objects = [one for images in splits for one in images if one["cls"]]
    assert [len(one) for one in splits] == [2, 1]
    assert [one["cls"] for one in objects] == [[1], [1]]
    for one in objects:
        assert one["boxes"][0] == pytest.approx(BOX, abs=1e-6)


def test_outlines_keypoints_and_turned_corners_are_theirs_too(found):
    outline = found["segment"]["train"]["0.jpg"]["segments"][0]
    assert outline == pytest.approx([0.1, 0.2, 0.5, 0.2, 0.5, 0.5], abs=1e-6)
    points = found["pose"]["val"]["1.jpg"]["keypoints"][0]
    assert points[0] == pytest.approx([0.2, 0.3, 2], abs=1e-6)
    assert points[1] == [0, 0, 0]
    corners = found["obb"]["train"]["0.jpg"]["segments"][0]
    assert corners == pytest.approx([0.3, 0.1, 0.5, 0.4, 0.3, 0.7, 0.1, 0.4], abs=1e-6)


def test_class_folders_are_their_classes(found):
    assert found["classify"]["names"] == {"0": "hole", "1": "spot"}
    assert found["classify"]["train"] == {"0.jpg": 1}
    assert found["classify"]["val"] == {"1.jpg": 1}
