"""A conveyor with parts of several product lines, drawn by code: the demo's world.

Every line has its own part, material, belt and light, and every part its own texture, pose, noise
and defects, all drawn at random; no two pictures are alike. A detector has to learn what a
scratch or a dent is, and what it learnt on steel does not carry over to rubber: that is what
makes a new line drift.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Layer = NDArray[np.float32]
Shape = Literal["disc", "bracket", "gear", "seal"]

DEFECTS = ("scratch", "dent", "stain", "chip")


class Defect(NamedTuple):
    """A labelled defect: index into `DEFECTS`, corners in pixels, half-open."""

    class_index: int
    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True, slots=True)
class ProductLine:
    """What one line makes and how its camera sees it; tones are grey levels in 0..255."""

    name: str
    shape: Shape
    surface_tone: tuple[float, float]
    """Range from which a part's tone is drawn."""
    tint: tuple[float, float, float]
    """Added to blue, green and red."""
    belt_tone: tuple[float, float]
    grain: Literal["brushed", "cast", "painted", "rubber"]
    defect_contrast: tuple[float, float]
    """How far a scratch or stain stands out; negative is darker than the surface."""
    noise: float


LINES: dict[str, ProductLine] = {
    line.name: line
    for line in (
        ProductLine("disc", "disc", (150, 190), (6, 2, 0), (35, 60), "brushed", (45, 80), 4.0),
        ProductLine(
            "bracket", "bracket", (110, 150), (22, 4, -8), (50, 80), "painted", (40, 75), 5.0
        ),
        ProductLine("gear", "gear", (170, 210), (-12, 0, 10), (70, 100), "cast", (-85, -45), 4.0),
        ProductLine("seal", "seal", (45, 85), (-4, 0, 8), (185, 225), "rubber", (22, 48), 7.0),
    )
}
START_LINES = ("disc", "bracket", "gear")
NEW_LINE = "seal"


def draw_part(
    rng: np.random.Generator, line: ProductLine, *, size_px: int = 160
) -> tuple[Picture, list[Defect]]:
    """One photograph of one part, (size, size, 3) BGR, and its defects; a quarter have none."""
    mask = _part_mask(rng, line.shape, size_px)
    tone = rng.uniform(*line.surface_tone)
    surface = tone + _grain(rng, line.grain, size_px)
    belt = rng.uniform(*line.belt_tone) + _belt_grain(rng, size_px)
    defects: list[Defect] = []
    taken = np.zeros((size_px, size_px), np.uint8)
    n_defects = 0 if rng.random() < 0.25 else int(rng.integers(1, 4))
    for _ in range(n_defects):
        class_index = int(rng.integers(0, len(DEFECTS)))
        defect = _add_defect(
            rng, DEFECTS[class_index], line, mask=mask, surface=surface, taken=taken
        )
        if defect is not None:
            defects.append(Defect(class_index, *defect))
    return _photograph(rng, line, mask=mask, surface=surface, belt=belt), defects


# --- parts -----------------------------------------------------------------------------------


def _part_mask(rng: np.random.Generator, shape: Shape, size_px: int) -> NDArray[np.uint8]:
    mask = np.zeros((size_px, size_px), np.uint8)
    center = (size_px / 2 + rng.uniform(-0.06, 0.06, 2) * size_px).astype(float)
    turn = float(rng.uniform(0, 2 * np.pi))
    radius = size_px * float(rng.uniform(0.38, 0.46))
    drawer = {"disc": _disc, "bracket": _bracket, "gear": _gear, "seal": _seal}[shape]
    drawer(mask, center, radius, turn)
    return mask


def _disc(mask: NDArray[np.uint8], center: NDArray[np.float64], radius: float, turn: float) -> None:
    at = _point(center)
    cv2.circle(mask, at, int(radius), 255, -1, cv2.LINE_AA)
    cv2.circle(mask, at, int(radius * 0.22), 0, -1, cv2.LINE_AA)
    for index in range(5):
        angle = turn + index * 2 * np.pi / 5
        hole = center + radius * 0.66 * np.array([np.cos(angle), np.sin(angle)])
        cv2.circle(mask, _point(hole), int(radius * 0.09), 0, -1, cv2.LINE_AA)


def _bracket(
    mask: NDArray[np.uint8], center: NDArray[np.float64], radius: float, turn: float
) -> None:
    ell = [(-1, -1), (1, -1), (1, -0.1), (0.15, -0.1), (0.15, 1), (-1, 1)]
    points = center + np.array(ell) @ _rotation(turn).T * radius * 0.85
    cv2.fillPoly(mask, [points.astype(np.int32)], 255, cv2.LINE_AA)
    for hole in ((0.55, -0.55), (-0.45, 0.55), (-0.45, -0.55)):
        at = center + _rotation(turn) @ np.array(hole) * radius * 0.85
        cv2.circle(mask, _point(at), int(radius * 0.11), 0, -1, cv2.LINE_AA)


def _gear(mask: NDArray[np.uint8], center: NDArray[np.float64], radius: float, turn: float) -> None:
    n_teeth = 14
    angles = turn + np.linspace(0, 2 * np.pi, n_teeth * 4, endpoint=False)
    radii = np.where((np.arange(n_teeth * 4) // 2) % 2 == 0, radius, radius * 0.82)
    points = center + np.stack([np.cos(angles), np.sin(angles)], 1) * radii[:, None]
    cv2.fillPoly(mask, [points.astype(np.int32)], 255, cv2.LINE_AA)
    cv2.circle(mask, _point(center), int(radius * 0.28), 0, -1, cv2.LINE_AA)


def _seal(mask: NDArray[np.uint8], center: NDArray[np.float64], radius: float, turn: float) -> None:
    axes = (int(radius), int(radius * 0.86))
    cv2.ellipse(mask, _point(center), axes, float(np.degrees(turn)), 0, 360, 255, -1, cv2.LINE_AA)
    inner = (int(radius * 0.34), int(radius * 0.26))
    cv2.ellipse(mask, _point(center), inner, float(np.degrees(turn)), 0, 360, 0, -1, cv2.LINE_AA)
    for index in range(3):
        angle = turn + index * 2 * np.pi / 3
        lug = center + radius * 0.98 * np.array([np.cos(angle), np.sin(angle)])
        cv2.circle(mask, _point(lug), int(radius * 0.2), 255, -1, cv2.LINE_AA)


def _rotation(turn: float) -> NDArray[np.float64]:
    return np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])


def _point(at: NDArray[np.floating]) -> tuple[int, int]:
    return int(at[0]), int(at[1])


# --- materials -------------------------------------------------------------------------------


def _grain(rng: np.random.Generator, kind: str, size_px: int) -> Layer:
    if kind == "brushed":
        lines = rng.normal(0, 14, (size_px, 1)).astype(np.float32)
        return _layer(cv2.GaussianBlur(np.repeat(lines, size_px, axis=1), (0, 0), 0.8))
    if kind == "cast":
        return _cloud(rng, size_px, cells=40, depth=7) + _cloud(rng, size_px, cells=8, depth=6)
    if kind == "painted":
        return _cloud(rng, size_px, cells=5, depth=8) + _cloud(rng, size_px, cells=80, depth=3)
    ribs = np.sin(np.arange(size_px) * rng.uniform(0.5, 0.8) + rng.uniform(0, 6)) * 10
    pattern = np.repeat(ribs[:, None], size_px, axis=1).astype(np.float32)
    turned = cv2.getRotationMatrix2D((size_px / 2, size_px / 2), rng.uniform(0, 180), 1.5)
    turned_pattern = cv2.warpAffine(
        pattern, turned, (size_px, size_px), borderMode=cv2.BORDER_REFLECT
    )
    return _layer(turned_pattern) + _cloud(rng, size_px, cells=50, depth=8)


def _belt_grain(rng: np.random.Generator, size_px: int) -> Layer:
    return _cloud(rng, size_px, cells=60, depth=5) + _cloud(rng, size_px, cells=4, depth=6)


def _cloud(rng: np.random.Generator, size_px: int, *, cells: int, depth: float) -> Layer:
    coarse = rng.normal(0, depth, (cells, cells)).astype(np.float32)
    return _layer(cv2.resize(coarse, (size_px, size_px), interpolation=cv2.INTER_CUBIC))


def _layer(values: NDArray[Any]) -> Layer:
    return values.astype(np.float32)


# --- defects ---------------------------------------------------------------------------------


def _add_defect(
    rng: np.random.Generator,
    name: str,
    line: ProductLine,
    *,
    mask: NDArray[np.uint8],
    surface: Layer,
    taken: NDArray[np.uint8],
) -> tuple[float, float, float, float] | None:
    """Change surface or mask; the box of what changed, or None where it found no free place."""
    changed, shading = mask, np.zeros_like(surface)
    if name == "chip":
        changed = _chip(rng, mask)
        touched = cv2.bitwise_xor(changed, mask)
    else:
        at = _place_on_part(rng, mask)
        if at is None:
            return None
        alpha, delta = {"scratch": _scratch, "dent": _dent, "stain": _stain}[name](
            rng, line, mask, at
        )
        alpha = alpha * (mask > 127)
        touched = ((alpha > 0.25) * 255).astype(np.uint8)
        shading = _layer(alpha * delta)
    x, y, width, height = cv2.boundingRect(touched)
    if width < 4 or height < 4 or taken[y : y + height, x : x + width].any():
        return None
    taken[y : y + height, x : x + width] = 1
    mask[:] = changed
    surface += shading
    return float(x), float(y), float(x + width), float(y + height)


def _place_on_part(rng: np.random.Generator, mask: NDArray[np.uint8]) -> tuple[int, int] | None:
    depth = cv2.distanceTransform((mask > 127).astype(np.uint8), cv2.DIST_L2, 3)
    ys, xs = np.nonzero(depth > 5)
    if len(xs) == 0:
        return None
    index = int(rng.integers(0, len(xs)))
    return int(xs[index]), int(ys[index])


def _scratch(
    rng: np.random.Generator, line: ProductLine, mask: NDArray[np.uint8], at: tuple[int, int]
) -> tuple[Layer, float | Layer]:
    length = mask.shape[0] * rng.uniform(0.08, 0.2)
    direction = rng.uniform(0, np.pi)
    along = np.array([np.cos(direction), np.sin(direction)])
    across = np.array([-along[1], along[0]])
    steps = np.linspace(-1, 1, 9)
    bend = rng.normal(0, 0.18)
    points = (
        np.array(at)
        + steps[:, None] * along * length
        + (steps**2)[:, None] * across * bend * length
    )
    layer = np.zeros(mask.shape, np.uint8)
    cv2.polylines(
        layer, [points.astype(np.int32)], False, 255, int(rng.integers(1, 3)), cv2.LINE_AA
    )
    return _layer(layer) / np.float32(255), float(rng.uniform(*line.defect_contrast)) * 1.1


def _dent(
    rng: np.random.Generator, line: ProductLine, mask: NDArray[np.uint8], at: tuple[int, int]
) -> tuple[Layer, float | Layer]:
    radius = mask.shape[0] * rng.uniform(0.04, 0.09)
    ys, xs = np.mgrid[: mask.shape[0], : mask.shape[1]].astype(np.float32)
    squeeze = rng.uniform(0.7, 1.0)
    dx, dy = (xs - at[0]) / radius, (ys - at[1]) / (radius * squeeze)
    inside = np.clip(1 - (dx**2 + dy**2), 0, 1) ** 0.5
    light = rng.uniform(0, 2 * np.pi)
    slope = (dx * np.cos(light) + dy * np.sin(light)).astype(np.float32)
    depth = abs(float(rng.uniform(*line.defect_contrast))) * 1.2
    return (inside > 0.1).astype(np.float32), (slope * inside * depth).astype(np.float32)


def _stain(
    rng: np.random.Generator, line: ProductLine, mask: NDArray[np.uint8], at: tuple[int, int]
) -> tuple[Layer, float | Layer]:
    n = int(rng.integers(7, 13))
    angles = np.linspace(0, 2 * np.pi, n, endpoint=False)
    radii = mask.shape[0] * rng.uniform(0.05, 0.11) * rng.uniform(0.6, 1.25, n)
    points = np.array(at) + np.stack([np.cos(angles), np.sin(angles)], 1) * radii[:, None]
    layer = np.zeros(mask.shape, np.uint8)
    cv2.fillPoly(layer, [points.astype(np.int32)], 255)
    soft = _layer(cv2.GaussianBlur(layer, (0, 0), rng.uniform(1.0, 2.5))) / np.float32(255)
    return soft, -float(rng.uniform(*line.defect_contrast)) * 0.9


def _chip(rng: np.random.Generator, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    outline, _ = cv2.findContours(
        (mask > 127).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    edge = max(outline, key=len)[:, 0, :]
    at = edge[int(rng.integers(0, len(edge)))]
    radius = mask.shape[0] * rng.uniform(0.04, 0.08)
    n = int(rng.integers(5, 9))
    angles = np.sort(rng.uniform(0, 2 * np.pi, n))
    points = (
        at
        + np.stack([np.cos(angles), np.sin(angles)], 1)
        * (radius * rng.uniform(0.7, 1.3, n))[:, None]
    )
    changed = mask.copy()
    cv2.fillPoly(changed, [points.astype(np.int32)], 0, cv2.LINE_AA)
    return changed


# --- camera ----------------------------------------------------------------------------------


def _photograph(
    rng: np.random.Generator,
    line: ProductLine,
    *,
    mask: NDArray[np.uint8],
    surface: Layer,
    belt: Layer,
) -> Picture:
    size_px = mask.shape[0]
    alpha = cv2.GaussianBlur(mask, (0, 0), 0.7).astype(np.float32)[..., None] / 255
    tinted = surface[..., None] + np.array(line.tint, np.float32)
    shadow = cv2.GaussianBlur(np.roll(mask, (4, 5), (0, 1)), (0, 0), 3).astype(np.float32) / 255
    ground = (belt * (1 - 0.35 * shadow))[..., None] * np.ones(3, np.float32)
    shot: NDArray[Any] = tinted * alpha + ground * (1 - alpha)
    corners = rng.uniform(0.82, 1.16, (2, 2)).astype(np.float32)
    shot *= cv2.resize(corners, (size_px, size_px), interpolation=cv2.INTER_LINEAR)[..., None]
    shot = _layer(cv2.GaussianBlur(shot, (0, 0), rng.uniform(0.3, 0.8)))
    shot += rng.normal(0, line.noise, shot.shape).astype(np.float32)
    return np.clip(shot, 0, 255).astype(np.uint8)
