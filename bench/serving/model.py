"""The one ONNX file that everybody serves: the starter weights of the YOLO26 engine at 320 px."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
STARTER = ROOT / "packages/sightloop-ultralytics/src/sightloop_ultralytics/starter/starter.pt"
SIZE_PX = 320

_EXPORT = """
import shutil, sys
from ultralytics import YOLO
weights, size_px, target = sys.argv[1:]
# A copy: the exporter writes beside the weights.
shutil.copy(weights, target + ".pt")
written = YOLO(target + ".pt").export(format="onnx", imgsz=int(size_px), nms=False)
shutil.move(written, target)
"""


def exported_model(folder: Path) -> Path:
    """The file, exported when it is not there yet (about a minute, needs torch).

    Raises:
        SystemExit: it cannot be exported here.
    """
    model_file = folder / f"yolo26n-{SIZE_PX}.onnx"
    if not model_file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        quiet = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
        environment = {**os.environ, **quiet, "YOLO_CONFIG_DIR": str(folder)}
        command = [sys.executable, "-c", _EXPORT, str(STARTER), str(SIZE_PX), str(model_file)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"the model cannot be exported:\n{done.stderr[-2000:]}")
    return model_file
