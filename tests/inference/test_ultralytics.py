"""Our pixels, boxes and suppression are those of the library that trained the models."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sightloop.contracts.bundle import ModelInput, Thresholds
from sightloop.inference.detector import open_model
from sightloop.inference.geometry import place, to_image
from sightloop.inference.letterbox import letterbox
from sightloop.inference.suppression import suppress

pytestmark = pytest.mark.torch
INPUT = ModelInput(width_px=96, height_px=64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("oracle")
    quiet = {"YOLO_CONFIG_DIR": str(made), "YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
    script = Path(__file__).parent / "ultralytics_oracle.py"
    subprocess.run(
        [sys.executable, script, made], cwd=made, env=os.environ | quiet, check=True, timeout=200
    )
    return made


@pytest.fixture(scope="module")
def oracle(folder):
    return dict(np.load(folder / "oracle.npz"))


def each(oracle, name):
    """Pairs of index and array for `name0`, `name1`, ..."""
    return [(i, oracle[f"{name}{i}"]) for i in range(20) if f"{name}{i}" in oracle]


def placement_of(picture):
    return place(picture.shape[1], picture.shape[0], into=INPUT)


def test_letterboxed_pixels_are_the_same_bits(oracle):
    for index, picture in each(oracle, "picture"):
        ours = letterbox(picture, placement_of(picture), into=INPUT)
        assert np.array_equal(ours, oracle[f"letterboxed{index}"]), picture.shape


def test_boxes_are_mapped_back_to_the_same_corners(oracle):
    for index, picture in each(oracle, "picture"):
        ours = to_image(oracle[f"boxes{index}"], placement_of(picture))
        assert np.allclose(ours, oracle[f"scaled{index}"], rtol=1e-6, atol=1e-3), picture.shape


def test_the_same_boxes_of_each_class_survive_suppression(oracle):
    for index, corners in each(oracle, "corners"):
        scores, classes = oracle[f"scores{index}"], oracle[f"classes{index}"]
        kept = suppress(corners, scores, classes, iou=0.5, max_detections=10_000)
        assert sorted(kept) == sorted(oracle[f"kept{index}"])


@pytest.mark.parametrize("head", ["raw", "end_to_end"])
def test_an_exported_file_gives_the_same_detections(folder, oracle, head):
    thresholds = Thresholds(score=0.01, iou=0.3)
    detector = open_model(folder / f"{head}.onnx", thresholds=thresholds, threads=1)
    ours = detector.detect(oracle["picture"], score_floor=0.01)
    rows = [(one.x1, one.y1, one.x2, one.y2, one.score, one.class_index) for one in ours]
    theirs = oracle[f"{head}_rows"]
    assert detector.facts.head == head
    assert len(rows) == len(theirs) > 10
    assert np.allclose(rows, theirs, atol=1e-3)
