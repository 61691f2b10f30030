"""`POST /predict`: an image in, objects out. The route for people and simple programs."""

from __future__ import annotations

from typing import Literal

import msgspec

from sightloop.contracts.bundle import Task
from sightloop.contracts.shapes import Keypoints, Mask, OrientedBox, Shape
from sightloop.device.image_request import Prediction
from sightloop.kernel.digests import Digest

MEDIA_TYPES = frozenset(
    {"", "application/octet-stream", "image/jpeg", "image/png", "image/webp", "image/bmp"}
)
"""Bodies that are an image; what it really is, its bytes say."""

WANTED = "an image (JPEG, PNG, WebP or BMP), or multipart/form-data with files"


N_LIKELY = 5
"""Classes whose probability is told; the Open Inference Protocol tells all."""


class CocoMask(msgspec.Struct, frozen=True):
    """The object's pixels as COCO writes an uncompressed mask: runs down the columns."""

    size: tuple[int, int]
    """Height and width of the image."""
    counts: list[int]


class TurnedBox(msgspec.Struct, frozen=True):
    """A box turned about its centre."""

    xywhr: tuple[float, float, float, float, float]
    """Centre, width and height in pixels, angle in radians."""
    corners_px: list[tuple[float, float]]


class ClassProbability(msgspec.Struct, frozen=True, rename={"class_name": "class"}):
    """How likely a class is, to a model that classifies."""

    class_name: str
    class_index: int
    probability: float


class FoundObject(msgspec.Struct, frozen=True, rename={"class_name": "class"}):
    """One object in the image; beside its box, what the task of the model tells of it."""

    class_name: str
    class_index: int
    score: float
    box_px: tuple[float, float, float, float]
    """x1, y1, x2, y2 in pixels of the upright image."""
    mask: CocoMask | msgspec.UnsetType = msgspec.UNSET
    polygons_px: list[list[float]] | msgspec.UnsetType = msgspec.UNSET
    """Outlines of the mask, each x, y, x, y, ..."""
    keypoints_px: list[tuple[float, float, float]] | msgspec.UnsetType = msgspec.UNSET
    """x, y and visibility in [0, 1] of each keypoint."""
    oriented_box: TurnedBox | msgspec.UnsetType = msgspec.UNSET


class PredictReply(msgspec.Struct, frozen=True, kw_only=True):
    """Everything found, best first, and by which version."""

    format: Literal["sightloop.prediction/1"] = "sightloop.prediction/1"
    model: str
    version: int
    bundle: Digest
    stream: str
    width_px: int
    height_px: int
    task: Task
    detections: list[FoundObject]
    probabilities: list[ClassProbability] | msgspec.UnsetType = msgspec.UNSET
    """The likeliest classes of a model that classifies."""
    duration_ms: float
    """From the arrival of the whole image to its answer, waiting included."""


class UnansweredImage(msgspec.Struct, frozen=True, tag="error", tag_field="outcome"):
    """What was wrong with one of several images."""

    name: str
    """Of the form's field."""
    error: str
    code: str


class AnsweredImage(msgspec.Struct, frozen=True, tag="answer", tag_field="outcome"):
    """What was found in one of several images."""

    name: str
    prediction: PredictReply
    drawn_jpeg: str | msgspec.UnsetType = msgspec.UNSET
    """The image with the answer in it, in base64."""


class PredictionsReply(msgspec.Struct, frozen=True, kw_only=True):
    """Of every image of a form, in its order."""

    format: Literal["sightloop.predictions/1"] = "sightloop.predictions/1"
    images: list[AnsweredImage | UnansweredImage]


def reply_of(prediction: Prediction, *, stream: str, duration_ms: float) -> PredictReply:
    """The prediction as this route tells it."""
    return PredictReply(
        model=prediction.by.model,
        version=prediction.by.version,
        bundle=prediction.by.bundle,
        stream=stream,
        width_px=prediction.width_px,
        height_px=prediction.height_px,
        task=prediction.task,
        detections=_objects(prediction),
        probabilities=_likely(prediction) if prediction.probabilities else msgspec.UNSET,
        duration_ms=round(duration_ms, 3),
    )


def _objects(prediction: Prediction) -> list[FoundObject]:
    objects = [
        FoundObject(
            prediction.class_names[found.class_index],
            found.class_index,
            round(found.score, 4),
            (round(found.x1, 2), round(found.y1, 2), round(found.x2, 2), round(found.y2, 2)),
        )
        for found in prediction.detections
    ]
    for index, shape in enumerate(prediction.shapes):
        objects[index] = msgspec.structs.replace(objects[index], **_shape_fields(shape))
    return objects


def _shape_fields(shape: Shape) -> dict[str, object]:
    match shape:
        case Mask():
            mask = CocoMask((shape.height_px, shape.width_px), shape.runs)
            return {"mask": mask, "polygons_px": shape.rings}
        case Keypoints():
            points = [(round(x, 2), round(y, 2), round(seen, 4)) for x, y, seen in shape.points]
            return {"keypoints_px": points}
        case OrientedBox():
            center = round(shape.center_x, 2), round(shape.center_y, 2)
            size = round(shape.width, 2), round(shape.height, 2)
            corners = [(round(x, 2), round(y, 2)) for x, y in shape.corners()]
            turned = TurnedBox((*center, *size, round(shape.angle_rad, 5)), corners)
            return {"oriented_box": turned}


def _likely(prediction: Prediction) -> list[ClassProbability]:
    ranked = sorted(enumerate(prediction.probabilities), key=lambda one: -one[1])
    return [
        ClassProbability(prediction.class_names[index], index, round(probability, 4))
        for index, probability in ranked[:N_LIKELY]
    ]
