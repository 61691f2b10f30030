"""Runs Ultralytics' own loaders in a process of its own and writes down what they find: JSON.

It sets threads, patches OpenCV and PIL and warns while it loads, so no test imports it.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from ultralytics.cfg import get_cfg
from ultralytics.data.converter import convert_ndjson_to_yolo
from ultralytics.data.dataset import ClassificationDataset, YOLODataset
from ultralytics.data.utils import check_cls_dataset, check_det_dataset


def labels_of(yaml: Path, task: str) -> dict[str, Any]:
    """For each split, each image's labels as the loader has them."""
    data = check_det_dataset(str(yaml), autodownload=False)
    found: dict[str, Any] = {"names": data["names"], "task": data.get("task")}
    for split in ("train", "val", "test"):
        if not data.get(split) or not any(Path(data[split]).iterdir()):
            continue
        dataset = YOLODataset(img_path=data[split], data=data, task=task, augment=False, imgsz=32)
        found[split] = {
            Path(one["im_file"]).name: {
                "cls": one["cls"].ravel().tolist(),
                "boxes": one["bboxes"].tolist(),
                "segments": [segment.ravel().tolist() for segment in one["segments"]],
                "keypoints": None if one["keypoints"] is None else one["keypoints"].tolist(),
            }
            for one in dataset.labels
        }
    return found


def classes_of(folder: Path) -> dict[str, Any]:
    """For each split, the class of each image."""
    data = check_cls_dataset(str(folder))
    found: dict[str, Any] = {"names": data["names"]}
    for split in ("train", "val"):
        dataset = ClassificationDataset(str(data[split]), get_cfg(overrides={"imgsz": 32}))
        found[split] = {Path(one[0]).name: one[1] for one in dataset.samples}
    return found


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    found = {
        task: labels_of(folder / task / "data.yaml", task)
        for task in ("detect", "segment", "pose", "obb")
    }
    converted = asyncio.run(
        convert_ndjson_to_yolo(folder / "ndjson/dataset.ndjson", folder / "converted")
    )
    found["ndjson"] = labels_of(converted, "detect")
    found["classify"] = classes_of(folder / "classify")
    (folder / "found.json").write_text(json.dumps(found))
