"""Decode, letterbox, run, read: what a careful user writes around an ONNX file. Peers serve this.

Stands alone (OpenCV, NumPy, ONNX Runtime), since peers live in environments without Sightloop. Runs
the session with the settings our workers use.
"""

from __future__ import annotations

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import cv2
import numpy as np
import onnxruntime

SIZE_PX = 320
SCORE = 0.25


class Pipeline:
    """Bytes of an image to a list of objects."""

    def __init__(self) -> None:
        """Load the file that `MODEL_FILE` names, with `THREADS` threads; ORT's choice if empty."""
        options = onnxruntime.SessionOptions()
        if os.environ["THREADS"]:  # else as most people leave them
            cv2.setNumThreads(1)
            options.intra_op_num_threads = int(os.environ["THREADS"])
            options.inter_op_num_threads = 1
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(
            os.environ["MODEL_FILE"], options, providers=["CPUExecutionProvider"]
        )
        self.input_name = self.session.get_inputs()[0].name

    def __call__(self, content: bytes) -> list[dict]:
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        height, width = picture.shape[:2]
        scale = min(SIZE_PX / width, SIZE_PX / height)
        size = round(width * scale), round(height * scale)
        left, top = (SIZE_PX - size[0]) // 2, (SIZE_PX - size[1]) // 2
        padded = np.full((SIZE_PX, SIZE_PX, 3), 114, np.uint8)
        padded[top : top + size[1], left : left + size[0]] = cv2.resize(picture, size)
        planes = np.ascontiguousarray(padded[:, :, ::-1].transpose(2, 0, 1)[None], np.float32) / 255
        rows = self.session.run(None, {self.input_name: planes})[0][0]
        found = []
        for x1, y1, x2, y2, score, index in rows[rows[:, 4] >= SCORE].tolist():
            corners = [(x1 - left) / scale, (y1 - top) / scale, (x2 - left) / scale]
            corners.append((y2 - top) / scale)
            found.append({"class": int(index), "score": score, "box": corners})
        return found
