"""What the scene's makers hand to one another."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

Mask = MatLike
"""(height, width) uint8, 0 or 255."""
Picture = MatLike
"""(height, width, 3) uint8, BGR."""

CLASSES = (
    "gap",  # a track cut through
    "bridge",  # two parts of the structure joined
    "notch",  # a bite out of an edge
    "bump",  # an edge swollen outwards
    "hole",  # ground showing inside the structure
    "island",  # structure where ground should be
    "scratch",
    "stain",
    "disc",
    "ring",
    "bar",
    "triangle",
    "star",
    "glyph",
)


class Mark(NamedTuple):
    """One labelled object: index into `CLASSES` and a box in pixels, half-open."""

    class_index: int
    x1: float
    y1: float
    x2: float
    y2: float


def mark_around(touched: Mask, class_index: int, taken: Mask) -> Mark | None:
    """The box around what changed, or None when it is too small or overlaps another mark."""
    x, y, width, height = cv2.boundingRect(touched)
    if width * height < 16 or max(width, height) > 0.6 * touched.shape[0]:
        return None
    if min(width, height) < 2 or int(np.count_nonzero(touched)) < 8:
        return None
    window = taken[y : y + height, x : x + width]
    if window.any():
        return None
    window[:] = 255
    return Mark(class_index, float(x), float(y), float(x + width), float(y + height))


def blob(
    rng: np.random.Generator, center: NDArray[np.floating], radius: float
) -> NDArray[np.int32]:
    """(n, 2) corners of an irregular round shape, (x, y) in pixels."""
    n = int(rng.integers(6, 14))
    angles = np.linspace(0, 2 * np.pi, n, endpoint=False)
    radii = radius * rng.uniform(0.6, 1.2, n)
    squeeze = rng.uniform(0.5, 1.0)
    points = np.stack([np.cos(angles) * radii, np.sin(angles) * radii * squeeze], 1)
    turn = rng.uniform(0, np.pi)
    spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    turned: NDArray[np.int32] = (points @ spin.T + center).astype(np.int32)
    return turned
