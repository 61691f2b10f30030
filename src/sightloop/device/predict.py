"""`POST /predict`: an image in, boxes out. The route for people and simple programs."""

from __future__ import annotations

from typing import Literal

import msgspec

from sightloop.device.image_request import Prediction
from sightloop.kernel.digests import Digest

MEDIA_TYPES = frozenset(
    {"", "application/octet-stream", "image/jpeg", "image/png", "image/webp", "image/bmp"}
)
"""Bodies that are an image; what it really is, its bytes say."""

WANTED = "an image (JPEG, PNG, WebP or BMP), or multipart/form-data with one file"


class FoundObject(msgspec.Struct, frozen=True, rename={"class_name": "class"}):
    """One object in the image."""

    class_name: str
    class_index: int
    score: float
    box_px: tuple[float, float, float, float]
    """x1, y1, x2, y2 in pixels of the upright image."""


class PredictReply(msgspec.Struct, frozen=True, kw_only=True):
    """Everything found, best first, and by which version."""

    format: Literal["sightloop.prediction/1"] = "sightloop.prediction/1"
    model: str
    version: int
    bundle: Digest
    stream: str
    width_px: int
    height_px: int
    detections: list[FoundObject]
    duration_ms: float
    """From the arrival of the whole image to its answer, waiting included."""


def reply_of(prediction: Prediction, *, stream: str, duration_ms: float) -> PredictReply:
    """The prediction as this route tells it."""
    return PredictReply(
        model=prediction.by.model,
        version=prediction.by.version,
        bundle=prediction.by.bundle,
        stream=stream,
        width_px=prediction.width_px,
        height_px=prediction.height_px,
        detections=[
            FoundObject(
                prediction.class_names[found.class_index],
                found.class_index,
                round(found.score, 4),
                (
                    round(found.x1, 2),
                    round(found.y1, 2),
                    round(found.x2, 2),
                    round(found.y2, 2),
                ),
            )
            for found in prediction.detections
        ],
        duration_ms=round(duration_ms, 3),
    )
