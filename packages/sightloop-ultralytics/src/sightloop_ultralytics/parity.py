"""What the checkpoint itself answers, so that the exported file can be held to it.

The answers come from torch and from Ultralytics' own pre- and postprocessing. The letterbox is the
exported file's: a full square, where a checkpoint would by default pad no more than it has to.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightloop.contracts.bundle import Detection, Thresholds
from sightloop.contracts.job import Job, Parity, ParityAnswer
from sightloop.contracts.shapes import Keypoints, Mask, OrientedBox, Shape
from sightloop_ultralytics.cancelling import Cancellation
from sightloop_ultralytics.parameters import EngineSettings
from sightloop_ultralytics.training import nms_argument

if TYPE_CHECKING:
    from ultralytics.models import YOLO

SCORE_FLOOR = 0.05
_DEFAULTS = Thresholds(score=SCORE_FLOOR)


def answer_images(
    model: YOLO, job: Job, settings: EngineSettings, *, cancellation: Cancellation
) -> Parity:
    """What the checkpoint finds in the job's parity images, best first, with its shapes."""
    answers = []
    for file in job.parity_images:
        cancellation.check()
        result = _predict(model, Path(job.view) / file, job, settings)
        answers.append(answer_of(result, file=file))
    return Parity(score_floor=SCORE_FLOOR, answers=answers)


def answer_of(result: Any, *, file: str) -> ParityAnswer:  # noqa: ANN401 - Ultralytics' results
    """Ultralytics' result of any task in our words; what lies beside the picture is left out."""
    if result.probs is not None:
        return ParityAnswer(file, _classes_of(result))
    objects = _turned_of(result) if result.obb is not None else _objects_of(result)
    with_area = [one for one in objects if one[0].x1 < one[0].x2 and one[0].y1 < one[0].y2]
    ranked = sorted(with_area, key=lambda one: -one[0].score)
    return ParityAnswer(
        file, [found for found, _ in ranked], [shape for _, shape in ranked if shape is not None]
    )


def _predict(model: YOLO, image: Path, job: Job, settings: EngineSettings) -> Any:  # noqa: ANN401
    results: Any = model.predict(
        str(image),
        imgsz=job.image_size_px,
        rect=False,
        conf=SCORE_FLOOR,
        iou=_DEFAULTS.iou,
        max_det=_DEFAULTS.max_detections,
        nms=nms_argument(settings),
        retina_masks=True,  # at the size of the picture
        device="cpu",
        verbose=False,
        save=False,
    )
    (result,) = results
    return result


def _classes_of(result: Any) -> list[Detection]:  # noqa: ANN401
    """The likely classes as objects as large as the picture."""
    height_px, width_px = result.orig_shape
    ranked = sorted(enumerate(result.probs.data.tolist()), key=lambda one: -one[1])
    return [
        Detection(index, probability, 0.0, 0.0, float(width_px), float(height_px))
        for index, probability in ranked[: _DEFAULTS.max_detections]
        if probability >= SCORE_FLOOR
    ]


def _objects_of(result: Any) -> list[tuple[Detection, Shape | None]]:  # noqa: ANN401
    found = [
        Detection(int(class_index), score, x1, y1, x2, y2)
        for x1, y1, x2, y2, score, class_index in result.boxes.data.tolist()
    ]
    if result.masks is not None:
        shapes: list[Shape | None] = [_mask_of(pixels) for pixels in result.masks.data]
    elif result.keypoints is not None:
        shapes = [_keypoints_of(points) for points in result.keypoints.data.tolist()]
    else:
        shapes = [None] * len(found)
    return list(zip(found, shapes, strict=True))


def _turned_of(result: Any) -> list[tuple[Detection, Shape | None]]:  # noqa: ANN401
    """Turned boxes, each with the box that encloses it within the picture."""
    height_px, width_px = result.orig_shape
    objects: list[tuple[Detection, Shape | None]] = []
    for *box, score, class_index in result.obb.data.tolist():
        shape = OrientedBox(*box)
        xs, ys = zip(*shape.corners(), strict=True)
        corners = (
            max(min(xs), 0.0),
            max(min(ys), 0.0),
            min(max(xs), float(width_px)),
            min(max(ys), float(height_px)),
        )
        objects.append((Detection(int(class_index), score, *corners), shape))
    return objects


def _mask_of(pixels: Any) -> Mask:  # noqa: ANN401 - a tensor
    """The mask as runs down the columns, beginning beside the object."""
    height_px, width_px = pixels.shape
    runs, on_object = [0], 0
    for value, same in groupby(pixels.T.flatten().tolist()):
        if int(value) != on_object:
            runs.append(0)
            on_object = int(value)
        runs[-1] += len(list(same))
    return Mask(height_px, width_px, runs)


def _keypoints_of(points: list[list[float]]) -> Keypoints:
    return Keypoints([(x, y, seen[0] if seen else 1.0) for x, y, *seen in points])
