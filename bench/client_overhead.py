"""How much of a YOLO26n training's processor time goes into tracking it.

`python bench/client_overhead.py [EPOCHS] [N_IMAGES]` trains on generated images, tracked by
`sightloop.autolog` into a workspace, and prints the processor seconds of the tracking threads, of
what tracking does on the training's own thread at its begin and end, and of the whole process.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from sightloop.wiring import create_workspace

SIZE_PX = 320
Callback = Callable[[object], None]


class Meter:
    """Processor seconds of tracking, by where they were spent."""

    def __init__(self) -> None:
        self.spent_s: dict[str, float] = {}

    def wrap(self, name: str, callback: Callback) -> Callback:
        """The callback, on the meter: everything that the process does meanwhile counts."""

        def metered(trainer: object) -> None:
            start_s, threads_s = time.thread_time(), thread_seconds()
            whole_s = time.process_time()
            callback(trainer)
            is_end = name == "on_train_end"
            spent_s = (
                time.process_time() - whole_s + threads_s
                if is_end
                else time.thread_time() - start_s
            )
            self.spent_s[name] = self.spent_s.get(name, 0.0) + spent_s

        return metered


def main(epochs: int, n_images: int) -> None:
    with tempfile.TemporaryDirectory(prefix="sightloop-bench-") as folder:
        root = Path(folder)
        os.environ |= {
            "SIGHTLOOP_SPOOL": str(root / "spools"),
            "YOLO_CONFIG_DIR": str(root),
            "YOLO_OFFLINE": "true",
        }
        data = write_data(root / "data", n_images)
        create_workspace(root / "workspace", {}).db.close()
        os.chdir(root / "workspace")
        from ultralytics import YOLO

        from sightloop_ultralytics import autolog

        meter = Meter()
        autolog.CALLBACKS = {k: meter.wrap(k, v) for k, v in autolog.CALLBACKS.items()}
        autolog.install()
        model = YOLO("yolo26n.yaml")
        start_s = time.process_time()
        model.train(
            data=str(data), epochs=epochs, imgsz=SIZE_PX, project=str(root / "runs"), name="run_v1"
        )
        whole_s = time.process_time() - start_s
        tracking_s = sum(meter.spent_s.values())
        for name, spent_s in meter.spent_s.items():
            print(f"{name:28} {spent_s:8.3f} s")
        print(f"{'tracking':28} {tracking_s:8.3f} s")
        print(f"{'training, tracking included':28} {whole_s:8.3f} s")
        print(f"overhead {100 * tracking_s / (whole_s - tracking_s):.2f} %")


def thread_seconds() -> float:
    """Processor seconds of the tracking threads so far."""
    threads = [t for t in threading.enumerate() if t.name.startswith("sightloop-")]
    clocks = [time.pthread_getcpuclockid(t.ident) for t in threads if t.ident is not None]
    return sum(time.clock_gettime(clock) for clock in clocks)


def write_data(root: Path, n_images: int) -> Path:
    rng = np.random.default_rng(0)
    for folder in ("images", "labels"):
        (root / folder / "train").mkdir(parents=True)
    for n in range(n_images):
        picture = rng.integers(0, 60, (SIZE_PX, SIZE_PX, 3), dtype=np.uint8)
        x, y = rng.integers(60, SIZE_PX - 60, 2)
        picture[y - 40 : y + 40, x - 40 : x + 40] = (0, 0, 250)
        cv2.imwrite(str(root / "images" / "train" / f"{n}.png"), picture)
        box = f"0 {x / SIZE_PX} {y / SIZE_PX} {80 / SIZE_PX} {80 / SIZE_PX}\n"
        (root / "labels" / "train" / f"{n}.txt").write_text(box)
    file = root / "data.yaml"
    content = {"path": str(root), "train": "images/train", "val": "images/train", "names": ["b"]}
    file.write_text(json.dumps(content))
    return file


if __name__ == "__main__":
    main(*(int(argument) for argument in (sys.argv[1:] or ["5", "64"])))
