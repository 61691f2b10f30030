"""Every task's answers are those of the library that trained the models, number by number."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sightloop.contracts.bundle import Thresholds
from sightloop.inference.detector import open_model
from sightloop.inference.masks import decode_mask

pytestmark = pytest.mark.torch
SCORE, IOU = 0.01, 0.3
PICTURES = range(3)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("tasks")
    quiet = {"YOLO_CONFIG_DIR": str(made), "YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
    script = Path(__file__).parent / "tasks_oracle.py"
    subprocess.run(
        [sys.executable, script, made], cwd=made, env=os.environ | quiet, check=True, timeout=250
    )
    return made


@pytest.fixture(scope="session")
def oracle(folder):
    return dict(np.load(folder / "tasks.npz"))


@pytest.fixture(scope="session")
def seen(folder, oracle):
    """What we make of picture `index` with the file of a task and a head."""
    opened = {}

    def look(task, head, index):
        if (task, head) not in opened:
            thresholds = Thresholds(score=SCORE, iou=IOU)
            path = folder / f"{task}-{head}.onnx"
            opened[task, head] = open_model(path, thresholds=thresholds, threads=1)
        picture = oracle[f"picture{index}"]
        return opened[task, head].look(picture, score_floor=SCORE, shapes_from=SCORE)

    return look


def rows_of(seen):
    return [(d.x1, d.y1, d.x2, d.y2, d.score, d.class_index) for d in seen.detections]


def has_area(rows):
    """Clipped to the picture, a box in the padding has no area; we leave it out."""
    return (rows[:, 0] < rows[:, 2]) & (rows[:, 1] < rows[:, 3])


@pytest.mark.parametrize("index", PICTURES)
@pytest.mark.parametrize("head", ["raw", "end_to_end"])
@pytest.mark.parametrize("task", ["segment", "pose"])
def test_boxes_beside_masks_and_keypoints_are_the_same(oracle, seen, task, head, index):
    theirs = oracle[f"{task}-{head}-{index}-rows"]
    theirs = theirs[has_area(theirs)]
    ours = rows_of(seen(task, head, index))
    assert len(ours) == len(theirs) > 3
    assert np.allclose(ours, theirs, atol=2e-3)


@pytest.mark.parametrize("index", PICTURES)
@pytest.mark.parametrize("head", ["raw", "end_to_end"])
def test_masks_at_the_size_of_the_picture_are_the_same_pixels(oracle, seen, head, index):
    theirs = oracle[f"segment-{head}-{index}-masks"]
    ours = np.stack([decode_mask(mask) for mask in seen("segment", head, index).shapes])
    assert ours.shape == theirs.shape
    # A pixel whose sum is within rounding of zero may fall on either side.
    assert (ours != theirs).mean() < 1e-4
    assert 0.01 < theirs.mean() < 0.99


@pytest.mark.parametrize("index", PICTURES)
@pytest.mark.parametrize("head", ["raw", "end_to_end"])
def test_keypoints_and_their_visibility_are_the_same(oracle, seen, head, index):
    theirs = oracle[f"pose-{head}-{index}-keypoints"]
    theirs = theirs[has_area(oracle[f"pose-{head}-{index}-rows"])]
    ours = np.array([shape.points for shape in seen("pose", head, index).shapes])
    assert np.allclose(ours, theirs, atol=2e-3)


@pytest.mark.parametrize("index", PICTURES)
@pytest.mark.parametrize("head", ["raw", "end_to_end"])
def test_turned_boxes_and_their_corners_are_the_same(oracle, seen, head, index):
    theirs = oracle[f"obb-{head}-{index}-turned"]
    answer = seen("obb", head, index)
    ours = [
        (s.center_x, s.center_y, s.width, s.height, s.angle_rad, d.score, d.class_index)
        for s, d in zip(answer.shapes, answer.detections, strict=True)
    ]
    corners = [shape.corners() for shape in answer.shapes]
    inside = in_picture(oracle[f"obb-{head}-{index}-turned_corners"], oracle[f"picture{index}"])
    assert len(ours) == inside.sum() > 3
    assert np.allclose(ours, theirs[inside], rtol=1e-4, atol=2e-3)
    assert np.allclose(
        corners, oracle[f"obb-{head}-{index}-turned_corners"][inside], rtol=1e-4, atol=1e-2
    )


def in_picture(corners, picture):
    """Which of their boxes reach into the picture: we leave out the others."""
    low, high = corners.min(axis=1), corners.max(axis=1)
    limit = np.array(picture.shape[1::-1])
    return ((low < limit) & (high > 0)).all(axis=1)


@pytest.mark.parametrize("index", PICTURES)
def test_probabilities_of_classes_are_the_same(oracle, seen, index):
    theirs = oracle[f"classify-probabilities-{index}-probabilities"]
    answer = seen("classify", "probabilities", index)
    assert np.allclose(answer.probabilities, theirs, atol=1e-5)
    assert answer.detections[0].class_index == theirs.argmax()
