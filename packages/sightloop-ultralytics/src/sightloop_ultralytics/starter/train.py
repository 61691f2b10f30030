"""Makes the starter checkpoint anew: `python -m sightloop_ultralytics.starter.train --out FOLDER`.

Any hardware will do; two processor cores take two hours. The scenes are drawn from fixed seeds, so
a repetition on the same versions sees the same pictures. `starter.json` beside the weights holds
what was asked and what came out.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sightloop_ultralytics.starter.scenes import CLASSES, Mark, draw_scene

SIZE_PX = 160
SEEDS = {"train": 1, "val": 2}
ARCHITECTURE = "yolo26n.yaml"
RECIPE: dict[str, Any] = {
    "imgsz": SIZE_PX,
    "batch": 32,
    "optimizer": "AdamW",
    "lr0": 0.002,
    "warmup_epochs": 1,
    "close_mosaic": 6,
    "flipud": 0.5,
    "cache": "ram",
    "workers": 1,
    "seed": 0,
    "plots": False,
}
LIMIT_BYTES = 6_000_000
"""The checkpoint travels inside the wheel."""


def main() -> None:
    """Draw the scenes, train on them, write `starter.pt` and `starter.json`."""
    arguments = _arguments()
    out = arguments.out.resolve()
    counts = {"train": arguments.images, "val": max(arguments.images // 16, 1)}
    data = write_scenes(out / "scenes", counts)
    started_s = time.monotonic()
    best, metrics = _train(data, out, arguments)
    shipped = out / "starter.pt"
    without_places(best, shipped)
    size_bytes = shipped.stat().st_size
    assert size_bytes <= LIMIT_BYTES, f"{size_bytes} bytes are too many to ship"
    facts = {
        "architecture": ARCHITECTURE,
        "classes": CLASSES,
        "images": counts,
        "epochs": arguments.epochs,
        "recipe": RECIPE,
        "metrics_on_unseen_scenes": metrics,
        "size_bytes": size_bytes,
        "minutes": round((time.monotonic() - started_s) / 60),
        "hardware": f"{arguments.device}, {arguments.threads} threads, {platform.machine()}",
        "versions": {name: version(name) for name in ("ultralytics", "torch", "numpy")},
    }
    (out / "starter.json").write_text(json.dumps(facts, indent=2) + "\n")


def write_scenes(folder: Path, counts: dict[str, int]) -> Path:
    """Draw that many scenes of each split with their labels; returns the data set's YAML."""
    for split, count in counts.items():
        images, labels = folder / "images" / split, folder / "labels" / split
        images.mkdir(parents=True, exist_ok=True)
        labels.mkdir(parents=True, exist_ok=True)
        for index in range(count):
            picture, marks = draw_scene(np.random.default_rng([SEEDS[split], index]), SIZE_PX)
            cv2.imwrite(str(images / f"{index:06d}.png"), picture)
            (labels / f"{index:06d}.txt").write_text("".join(_label_lines(marks)))
    names = json.dumps(dict(enumerate(CLASSES)))
    data = folder / "data.yaml"
    data.write_text(f"path: {folder}\ntrain: images/train\nval: images/val\nnames: {names}\n")
    return data


def without_places(checkpoint: Path, shipped: Path) -> None:
    """The same checkpoint without the folders of the machine that trained it."""
    import torch  # Not before it is needed: `--help` must come at once.

    content = torch.load(checkpoint, map_location="cpu", weights_only=False)
    for settings in (content["train_args"], content["model"].args):
        for name in ("data", "project", "save_dir"):
            settings.pop(name, None)
    torch.save(content, shipped)


def _label_lines(marks: list[Mark]) -> Iterator[str]:
    for mark in marks:
        center_x, center_y = (mark.x1 + mark.x2) / 2 / SIZE_PX, (mark.y1 + mark.y2) / 2 / SIZE_PX
        width, height = (mark.x2 - mark.x1) / SIZE_PX, (mark.y2 - mark.y1) / SIZE_PX
        yield f"{mark.class_index} {center_x:.5f} {center_y:.5f} {width:.5f} {height:.5f}\n"


def _train(data: Path, out: Path, arguments: argparse.Namespace) -> tuple[Path, dict[str, float]]:
    import torch  # Not before it is needed: `--help` must come at once.
    from ultralytics.models import YOLO

    model = YOLO(str(arguments.weights))
    model.add_callback("on_train_start", lambda _: torch.set_num_threads(arguments.threads))
    model.train(
        data=str(data),
        epochs=arguments.epochs,
        project=str(out),
        name="run",
        exist_ok=True,
        device=arguments.device,
        **RECIPE,
    )
    trainer: Any = model.trainer  # typed as None until train() has run
    metrics = {name: round(float(value), 4) for name, value in trainer.metrics.items()}
    return Path(trainer.best), metrics


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="make the starter checkpoint anew")
    parser.add_argument("--out", type=Path, required=True, help="where scenes and weights go")
    parser.add_argument("--images", type=int, default=10_000, help="scenes to learn from")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--device", default="cpu", help="as Ultralytics names it: cpu, 0, mps")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--weights", default=ARCHITECTURE, help="to go on from an earlier starter")
    return parser.parse_args()


if __name__ == "__main__":
    main()
