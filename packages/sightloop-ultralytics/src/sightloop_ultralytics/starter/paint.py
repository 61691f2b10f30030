"""From structure to picture, and marks painted over it."""

from __future__ import annotations

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from sightloop_ultralytics.starter.values import CLASSES, Mark, Mask, Picture, blob, mark_around


def _tone(rng: np.random.Generator) -> NDArray[np.float32]:
    grey = rng.uniform(0, 255)
    tint = rng.normal(0, 25, 3) if rng.random() < 0.5 else np.zeros(3)
    return np.clip(grey + tint, 0, 255).astype(np.float32)


def _surface(rng: np.random.Generator, size: int, tone: NDArray[np.float32]) -> NDArray[np.float32]:
    surface = np.broadcast_to(tone, (size, size, 3)).astype(np.float32).copy()
    if rng.random() < 0.6:
        coarse = max(2, int(size / 2 ** rng.integers(1, 6)))
        grain = rng.normal(0, rng.uniform(3, 25), (coarse, coarse)).astype(np.float32)
        if rng.random() < 0.3:  # brushed: the grain runs one way
            grain[:] = grain[:, :1]
        surface += cv2.resize(grain, (size, size), interpolation=cv2.INTER_CUBIC)[..., None]
    return surface


def render(rng: np.random.Generator, structure: Mask) -> Picture:
    """The structure in colours and textures, or as a binarised scan."""
    size = structure.shape[0]
    if rng.random() < 0.3:  # a binarised scan
        dark_first = rng.random() < 0.5
        grey = structure if dark_first else cv2.bitwise_not(structure)
        return cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    front, ground = _tone(rng), _tone(rng)
    if np.abs(front - ground).mean() < 35:
        ground = np.where(front > 127, front - 70, front + 70).astype(np.float32)
    alpha: MatLike = structure.astype(np.float32) / 255
    if rng.random() < 0.7:
        alpha = cv2.GaussianBlur(alpha, (0, 0), rng.uniform(0.4, 1.6))
    alpha = alpha[..., None]
    picture = _surface(rng, size, front) * alpha + _surface(rng, size, ground) * (1 - alpha)
    return np.clip(picture, 0, 255).astype(np.uint8)


def add_painted_mark(rng: np.random.Generator, picture: Picture, taken: Mask) -> Mark | None:
    """Paint a mark over the picture; None where it overlaps another or is too small."""
    class_index = int(rng.integers(6, len(CLASSES)))
    size = picture.shape[0]
    layer = np.zeros((size, size), np.uint8)
    center = rng.uniform(0.08 * size, 0.92 * size, 2)
    _PAINTERS[CLASSES[class_index]](rng, layer, center, float(rng.uniform(0.03, 0.2)) * size)
    if not layer.any():
        return None
    mark = mark_around(layer, class_index, taken)
    if mark is None:
        return None
    under = cv2.mean(picture, layer)[:3]
    tone = _tone(rng)
    if np.abs(tone - np.array(under)).mean() < 30:
        tone = np.array([255.0 - value for value in under], np.float32)
    strength = rng.uniform(0.45, 1.0)
    alpha = (
        cv2.GaussianBlur(layer, (0, 0), rng.uniform(0.4, 1.2)).astype(np.float32)[..., None] / 255
    )
    mixed = picture * (1 - alpha * strength) + tone * alpha * strength
    picture[:] = np.clip(mixed, 0, 255).astype(np.uint8)
    return mark


def _paint_scratch(
    rng: np.random.Generator, layer: Mask, center: NDArray[np.floating], radius: float
) -> None:
    direction = rng.uniform(0, 2 * np.pi)
    along = np.array([np.cos(direction), np.sin(direction)])
    steps = np.linspace(-radius * 1.6, radius * 1.6, 7)
    points = center + steps[:, None] * along + rng.normal(0, radius * 0.08, (7, 2))
    cv2.polylines(
        layer, [points.astype(np.int32)], False, 255, int(rng.integers(1, 3)), cv2.LINE_AA
    )


def _paint_stain(
    rng: np.random.Generator, layer: Mask, center: NDArray[np.floating], radius: float
) -> None:
    cv2.fillPoly(layer, [blob(rng, center, radius)], 255)
    soft = cv2.GaussianBlur(layer, (0, 0), max(1.0, radius * 0.2))
    layer[:] = np.where(soft > 20, soft, 0)


def _paint_disc(
    _rng: np.random.Generator, layer: Mask, center: NDArray[np.floating], radius: float
) -> None:
    cv2.circle(layer, (int(center[0]), int(center[1])), max(2, int(radius)), 255, -1, cv2.LINE_AA)


def _paint_ring(
    _rng: np.random.Generator, layer: Mask, center: NDArray[np.floating], radius: float
) -> None:
    at = (int(center[0]), int(center[1]))
    cv2.circle(layer, at, max(4, int(radius)), 255, max(1, int(radius * 0.3)), cv2.LINE_AA)


def _polygon(
    layer: Mask, center: NDArray[np.floating], radii: NDArray[np.floating], turn: float
) -> None:
    angles = turn + np.linspace(0, 2 * np.pi, len(radii), endpoint=False)
    points = center + np.stack([np.cos(angles), np.sin(angles)], 1) * radii[:, None]
    cv2.fillPoly(layer, [points.astype(np.int32)], 255, cv2.LINE_AA)


def _paint_bar(
    rng: np.random.Generator, layer: Mask, center: NDArray[np.floating], radius: float
) -> None:
    box = (
        tuple(map(float, center)),
        (radius * 2, radius * rng.uniform(0.4, 1.6)),
        rng.uniform(0, 180),
    )
    cv2.fillPoly(layer, [cv2.boxPoints(box).astype(np.int32)], 255, cv2.LINE_AA)


def _paint_triangle(
    rng: np.random.Generator, layer: Mask, center: NDArray[np.floating], radius: float
) -> None:
    _polygon(layer, center, radius * rng.uniform(0.8, 1.4, 3), rng.uniform(0, 2 * np.pi))


def _paint_star(
    rng: np.random.Generator, layer: Mask, center: NDArray[np.floating], radius: float
) -> None:
    n = int(rng.integers(4, 8))
    radii = np.where(np.arange(n * 2) % 2 == 0, radius * 1.2, radius * rng.uniform(0.35, 0.6))
    _polygon(layer, center, radii, rng.uniform(0, 2 * np.pi))


def _paint_glyph(
    rng: np.random.Generator, layer: Mask, center: NDArray[np.floating], radius: float
) -> None:
    text = chr(int(rng.integers(ord("A"), ord("Z") + 1)))
    scale = radius / 11
    at = (int(center[0] - radius * 0.9), int(center[1] + radius * 0.9))
    cv2.putText(
        layer,
        text,
        at,
        int(rng.integers(0, 8)),
        scale,
        255,
        max(1, int(radius * 0.18)),
        cv2.LINE_AA,
    )


_PAINTERS = {
    "scratch": _paint_scratch,
    "stain": _paint_stain,
    "disc": _paint_disc,
    "ring": _paint_ring,
    "bar": _paint_bar,
    "triangle": _paint_triangle,
    "star": _paint_star,
    "glyph": _paint_glyph,
}
