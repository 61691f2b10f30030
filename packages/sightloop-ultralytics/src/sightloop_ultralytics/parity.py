"""What the checkpoint itself answers, so that the exported file can be held to it.

The answers come from torch and from Ultralytics' own pre- and postprocessing. The letterbox is the
exported file's: a full square, where a checkpoint would by default pad no more than it has to.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightloop.contracts.bundle import Detection, Thresholds
from sightloop.contracts.job import ExportJob, Job, Parity, ParityAnswer
from sightloop_ultralytics.cancelling import Cancellation
from sightloop_ultralytics.parameters import EngineSettings
from sightloop_ultralytics.training import nms_argument

if TYPE_CHECKING:
    from ultralytics.models import YOLO

SCORE_FLOOR = 0.05
_DEFAULTS = Thresholds(score=SCORE_FLOOR)


def answer_images(
    model: YOLO, job: Job | ExportJob, settings: EngineSettings, *, cancellation: Cancellation
) -> Parity:
    """The checkpoint's detections in the job's parity images, best first."""
    answers = []
    for file in job.parity_images:
        cancellation.check()
        answers.append(ParityAnswer(file, _detect(model, Path(job.view) / file, job, settings)))
    return Parity(score_floor=SCORE_FLOOR, answers=answers)


def _detect(
    model: YOLO, image: Path, job: Job | ExportJob, settings: EngineSettings
) -> list[Detection]:
    results: Any = model.predict(
        str(image),
        imgsz=job.image_size_px,
        rect=False,
        conf=SCORE_FLOOR,
        iou=_DEFAULTS.iou,
        max_det=_DEFAULTS.max_detections,
        nms=nms_argument(settings),
        device="cpu",
        verbose=False,
        save=False,
    )
    (result,) = results
    return _detections_of(result.boxes)


def _detections_of(boxes: Any) -> list[Detection]:  # noqa: ANN401 - Ultralytics' boxes
    found = [
        Detection(int(class_index), score, x1, y1, x2, y2)
        for x1, y1, x2, y2, score, class_index in boxes.data.tolist()
        if x1 < x2 and y1 < y2  # clipped to the picture, a box in the padding has no area left
    ]
    return sorted(found, key=lambda detection: -detection.score)
