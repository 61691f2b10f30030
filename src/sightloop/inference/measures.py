"""Numbers about one image and the model's answers to it, which profiles count and monitors test.

| measure | what it is | range |
|---|---|---|
| `top_score` | highest score, also below the reporting threshold | 0, or floor to 1 |
| `mean_score` | mean score of the reported detections | 0, or threshold to 1 |
| `n_detections` | number of reported detections | 0 to `max_detections` |
| `ambiguous_fraction` | share of all detections whose score is in the ambiguous band | 0 to 1 |
| `mean_box_area` | mean area of the reported boxes, as a share of the image's | 0 to 1 |
| `brightness` | mean grey level, 1 is white | 0 to 1 |
| `contrast` | standard deviation of the grey level | 0 to 0.5 |
| `sharpness` | log(1 + variance of the Laplacian of the grey level in 0..255) | 0 to about 14 |
| `saturation` | mean saturation (HSV), 0 is grey | 0 to 1 |
| `edge_density` | share of pixels at a step of more than about 32 grey levels | 0 to 1 |
| `bytes_per_pixel` | size of the image file over its number of pixels | above 0 |

Reported means: at or above the threshold. Where there is no detection to take a mean, a maximum or
a share of, the value is `NOTHING_FOUND`, which no detection gives to the scores and areas: those
are above zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from sightloop.contracts.bundle import Detection, Thresholds
from sightloop.inference.images import Picture
from sightloop.inference.thumbnail import thumbnail
from sightloop.inference.uncertainty import is_ambiguous, uncertainty

__all__ = ["MEASURES", "NOTHING_FOUND", "measure", "uncertainty"]

NOTHING_FOUND = 0.0

MEASURES: tuple[str, ...] = (
    "top_score",
    "mean_score",
    "n_detections",
    "ambiguous_fraction",
    "mean_box_area",
    "brightness",
    "contrast",
    "sharpness",
    "saturation",
    "edge_density",
    "bytes_per_pixel",
)

# The gradient below answers a step of d grey levels with 4 d.
_EDGE_RESPONSE = 4 * 32


def measure(
    picture: Picture, *, n_bytes: int, detections: Sequence[Detection], thresholds: Thresholds
) -> dict[str, float]:
    """Every measure of one image, under the names of `MEASURES` and in their order.

    Takes 0.4 ms for 640 x 480 pixels on one core.

    Args:
        picture: the whole picture; pixel measures are taken on a thumbnail of it.
        n_bytes: size of the image file.
        detections: as `detect` returns them, so down to its floor.
        thresholds: the bundle's.
    """
    height_px, width_px = picture.shape[:2]
    n_pixels = height_px * width_px
    values = _of_answers(detections, thresholds, n_pixels=n_pixels) | _of_pixels(picture)
    values["bytes_per_pixel"] = n_bytes / n_pixels
    return {name: values[name] for name in MEASURES}


def _of_answers(
    detections: Sequence[Detection], thresholds: Thresholds, *, n_pixels: int
) -> dict[str, float]:
    shown = [one for one in detections if one.score >= thresholds.score]
    areas = [(one.x2 - one.x1) * (one.y2 - one.y1) / n_pixels for one in shown]
    return {
        "top_score": max((one.score for one in detections), default=NOTHING_FOUND),
        "mean_score": _mean([one.score for one in shown]),
        "n_detections": float(len(shown)),
        "ambiguous_fraction": _mean([is_ambiguous(one.score, thresholds) for one in detections]),
        "mean_box_area": _mean(areas),
    }


def _of_pixels(picture: Picture) -> dict[str, float]:
    small = thumbnail(picture)
    grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
    mean, deviation = (float(part.item()) for part in cv2.meanStdDev(grey))
    _, roughness = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))
    across, down = cv2.spatialGradient(grey)
    edges = np.abs(across) + np.abs(down) > _EDGE_RESPONSE
    return {
        "brightness": mean / 255,
        "contrast": deviation / 255,
        "sharpness": math.log1p(float(roughness.item()) ** 2),
        "saturation": cv2.mean(cv2.cvtColor(small, cv2.COLOR_BGR2HSV))[1] / 255,
        "edge_density": float(edges.mean()),
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else NOTHING_FOUND
