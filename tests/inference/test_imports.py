"""The room's door is light, and a device can open all of it without a database."""

import subprocess
import sys

import pytest

import sightloop.inference

EVERYTHING = ", ".join(f"sightloop.inference.{name}" for name in sightloop.inference.__all__)


@pytest.mark.parametrize(
    ("imported", "unwanted"),
    [
        ("sightloop.inference", {"numpy", "cv2", "onnxruntime"}),
        ("sightloop.inference.heads, sightloop.inference.histograms", {"cv2", "onnxruntime"}),
        (EVERYTHING, {"sqlalchemy", "onnx", "torch"}),
    ],
)
def test_importing_loads_no_more_than_it_needs(imported, unwanted):
    program = f"import sys, {imported}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not unwanted & set(loaded.stdout.split())
