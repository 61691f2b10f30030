"""What the engine refuses, it refuses in its last line and before it imports torch."""

import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from sightloop.contracts.decode import encode
from sightloop.contracts.job import FailedLine, Job, JobLine, View, ViewImage
from sightloop.testing.models import draw_blob_image

pytestmark = pytest.mark.processes

# Whatever is imported first cannot be torch: this one makes its import an error.
_WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from sightloop_ultralytics.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def refusal(folder: Path, *, n_train: int = 1, labelled: bool = True, **job: object) -> FailedLine:
    """The last line of a job that must not begin."""
    rng = np.random.default_rng(0)
    splits = ["train"] * n_train + ["val"]
    images = []
    (folder / "view").mkdir()
    (folder / "output").mkdir()
    for index, split in enumerate(splits):
        drawn = draw_blob_image(rng)
        (folder / "view" / f"{index}.jpg").write_bytes(drawn.content)
        boxes = drawn.boxes if labelled else []
        images.append(
            ViewImage(file=f"{index}.jpg", width_px=64, height_px=64, split=split, boxes=boxes)
        )
    view = View(dataset_commit="c", class_names=["a", "b"], images=images)
    (folder / "view" / "view.json").write_bytes(encode(view))
    fields = {
        "id": "run_1",
        "view": str(folder / "view"),
        "output": str(folder / "output"),
        "weights": "yolo26n.yaml",
        "epochs": 1,
        "image_size_px": 64,
        "batch_size": 4,
        "seed": 0,
        "threads": 1,
    }
    (folder / "job.json").write_bytes(encode(Job(**(fields | job))))
    command = [sys.executable, "-c", _WITHOUT_TORCH, folder / "job.json"]
    done = subprocess.run(command, check=False, capture_output=True)
    assert done.returncode == 1, done.stderr.decode()
    lines = (folder / "output" / "events.jsonl").read_bytes().splitlines()
    last: JobLine = msgspec.json.decode(lines[-1], type=JobLine)
    assert isinstance(last, FailedLine)
    return last


@pytest.mark.parametrize(
    ("job", "code", "words"),
    [
        ({"parameters": {"lr": 1}}, "ENGINE-001", "did you mean lrf or lr0"),
        ({"parameters": {"epochs": 3}}, "ENGINE-002", "set the job's epochs"),
        ({"parameters": {"validate_every": 0}}, "ENGINE-003", "validate_every is 0"),
        ({"image_size_px": 100}, "ENGINE-003", "is 100, not a multiple of 32"),
        ({"n_train": 0}, "ENGINE-010", "no image in its train split"),
        ({"labelled": False}, "ENGINE-011", "none of the 1 training images"),
        ({"weights": "yolo26nn.pt"}, "ENGINE-020", "did you mean yolo26n.pt"),
    ],
)
def test_a_job_that_cannot_be_done_is_refused_at_once(
    tmp_path: Path, job: dict[str, object], code: str, words: str
):
    last = refusal(tmp_path, **job)
    assert last.code == code
    assert words in last.message


def test_a_call_without_a_job_is_a_usage_error():
    done = subprocess.run(
        [sys.executable, "-m", "sightloop_ultralytics"], check=False, capture_output=True
    )
    assert done.returncode == 2
    assert b"usage:" in done.stderr
