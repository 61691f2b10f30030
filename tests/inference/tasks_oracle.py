"""Makes small models of every task, exports them, and writes down what Ultralytics reads from them.

Run in a process of its own, like `ultralytics_oracle`. Leaves `TASK-HEAD.onnx` and `tasks.npz`.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from ultralytics import YOLO
from ultralytics.utils import ROOT

ARCHITECTURES = {
    "detect": "yolo26.yaml",
    "segment": "yolo26-seg.yaml",
    "pose": "yolo26-pose.yaml",
    "obb": "yolo26-obb.yaml",
    "classify": "yolo26-cls.yaml",
}
SIZES_PX = [(150, 90), (64, 64), (61, 200)]
"""(width, height) of the pictures."""
INPUT_PX = 64
N_CLASSES = 3
SCORE, IOU = 0.01, 0.3


def make_model(folder: Path, task: str) -> YOLO:
    """A yolo26n of the task with strewn weights, which finds much."""
    text = (ROOT / "cfg/models/26" / ARCHITECTURES[task]).read_text()
    for known in ("nc: 80", "nc: 1000"):
        text = text.replace(known, f"nc: {N_CLASSES}")
    path = folder / ARCHITECTURES[task].replace("yolo26", "yolo26n")
    path.write_text(text.replace("kpt_shape: [17, 3]", "kpt_shape: [5, 3]"))
    torch.manual_seed(0)
    model = YOLO(path)
    with torch.no_grad():
        for name, weights in model.model.named_parameters():
            if "cv3" in name and name.endswith("bias"):
                weights += 4
            elif weights.ndim == 4:
                weights += weights.std() * torch.randn_like(weights)
    return model


def export(model: YOLO, folder: Path, task: str, head: str) -> Path:
    options = {"nms": False} if head == "end_to_end" else {}
    written = Path(model.export(format="onnx", imgsz=INPUT_PX, device="cpu", **options))
    return written.rename(folder / f"{task}-{head}.onnx")


def told(result) -> dict[str, np.ndarray]:
    """The parts of a result as arrays."""
    parts = {}
    if result.boxes is not None:
        parts["rows"] = result.boxes.data.numpy()
    if result.masks is not None:
        parts["masks"] = result.masks.data.numpy().astype(bool)
    if result.keypoints is not None:
        parts["keypoints"] = result.keypoints.data.numpy()
    if result.obb is not None:
        parts["turned"] = result.obb.data.numpy()
        parts["turned_corners"] = result.obb.xyxyxyxy.numpy()
    if result.probs is not None:
        parts["probabilities"] = result.probs.data.numpy()
    return parts


def main(folder: Path) -> None:
    rng = np.random.default_rng(0)
    answers = {}
    pictures = []
    for index, (width_px, height_px) in enumerate(SIZES_PX):
        coarse = rng.integers(0, 256, (-(-height_px // 5), -(-width_px // 5), 3))
        pictures.append(np.kron(coarse, np.ones((5, 5, 1)))[:height_px, :width_px].astype(np.uint8))
        answers[f"picture{index}"] = pictures[-1]
    for task in ARCHITECTURES:
        heads = ("probabilities",) if task == "classify" else ("raw", "end_to_end")
        for head in heads:
            file = export(make_model(folder, task), folder, task, head)
            reader = YOLO(file, task=task)
            for index, picture in enumerate(pictures):
                (result,) = reader.predict(
                    picture,
                    conf=SCORE,
                    iou=IOU,
                    imgsz=INPUT_PX,
                    device="cpu",
                    retina_masks=True,
                    verbose=False,
                )
                for name, array in told(result).items():
                    answers[f"{task}-{head}-{index}-{name}"] = array
    np.savez(folder / "tasks.npz", **answers)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
