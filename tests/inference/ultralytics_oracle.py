"""Runs Ultralytics in a process of its own and writes down its answers: `oracle.npz`, two models.

It sets threads, patches OpenCV and PIL and warns while it loads, so no test imports it.
"""

import sys
from pathlib import Path

import numpy as np
import torch
import torchvision
from ultralytics import YOLO
from ultralytics.data.augment import LetterBox
from ultralytics.utils import ROOT
from ultralytics.utils.ops import scale_boxes

SIZES_PX = [
    (30, 20),
    (97, 64),
    (64, 97),
    (33, 64),
    (3, 500),
    (500, 3),
    (96, 64),
    (1, 1),
    (640, 480),
]
"""(width, height) of the pictures that are letterboxed."""
INPUT_PX = (64, 96)
"""(height, width) of the input they are fitted into."""
N_SUPPRESSIONS = 12


def letterboxes(rng: np.random.Generator) -> dict[str, np.ndarray]:
    answers = {}
    for index, (width_px, height_px) in enumerate(SIZES_PX):
        picture = rng.integers(0, 256, (height_px, width_px, 3)).astype(np.uint8)
        boxes = (rng.random((20, 4)) * 140 - 20).astype(np.float32)
        answers[f"picture{index}"] = picture
        answers[f"letterboxed{index}"] = LetterBox(INPUT_PX)(image=picture)
        answers[f"boxes{index}"] = boxes
        answers[f"scaled{index}"] = scale_boxes(INPUT_PX, boxes.copy(), picture.shape)
    return answers


def suppressions(rng: np.random.Generator) -> dict[str, np.ndarray]:
    answers = {}
    for index in range(N_SUPPRESSIONS):
        n_boxes, n_classes = 40 * index, 1 + index % 4
        corners = (rng.random((n_boxes, 2)) * 60).repeat(2, axis=1)[:, [0, 2, 1, 3]]
        corners[:, 2:] += rng.random((n_boxes, 2)) * 30
        corners = np.round(corners).astype(np.float32)  # whole numbers: equal overlaps occur
        scores = (rng.integers(0, 50, n_boxes) / 50).astype(np.float32)  # ties occur
        classes = rng.integers(0, n_classes, n_boxes)
        kept = [
            rows[torchvision.ops.nms(*map(torch.from_numpy, (corners[rows], scores[rows])), 0.5)]
            for one_class in range(n_classes)
            if len(rows := np.flatnonzero(classes == one_class))
        ]
        answers |= {
            f"corners{index}": corners,
            f"scores{index}": scores,
            f"classes{index}": classes,
            f"kept{index}": np.concatenate([np.atleast_1d(rows) for rows in kept])
            if kept
            else np.zeros(0, dtype=np.int64),
        }
    return answers


def models(folder: Path, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A yolo26n with strewn weights in both layouts, and what Ultralytics reads from each file."""
    picture = rng.integers(0, 256, (90, 150, 3)).astype(np.uint8)
    answers = {"picture": picture}
    architecture = (ROOT / "cfg/models/26/yolo26.yaml").read_text()
    (folder / "yolo26n.yaml").write_text(architecture.replace("nc: 80", "nc: 3"))
    for head, options in (("raw", {}), ("end_to_end", {"nms": False})):
        torch.manual_seed(0)
        model = YOLO(folder / "yolo26n.yaml")
        with torch.no_grad():
            for name, weights in model.model.named_parameters():
                if "cv3" in name and name.endswith("bias"):
                    weights += 4
                elif weights.ndim == 4:
                    weights += weights.std() * torch.randn_like(weights)
        exported = Path(model.export(format="onnx", imgsz=64, device="cpu", **options))
        file = exported.rename(folder / f"{head}.onnx")
        results = YOLO(file, task="detect").predict(
            picture, conf=0.01, iou=0.3, imgsz=64, device="cpu", verbose=False
        )
        answers[f"{head}_rows"] = results[0].boxes.data.numpy()
    return answers


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    rng = np.random.default_rng(0)
    answers = letterboxes(rng) | suppressions(rng) | models(folder, rng)
    np.savez(folder / "oracle.npz", **answers)
