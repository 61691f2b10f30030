"""Generated pictures of marks on made things: what the starter checkpoint learns to see.

A scene is a *structure* (tracks, plates, pads on a ground) with *marks* on it: places where the
structure is broken, joined, bitten, swollen, pierced or soiled. Which shapes, sizes, tones,
textures, light and noise appear is drawn at random, so that there is nothing to memorise.
Nothing here is copied from a data set, and no demo or test of Sightloop draws from this module.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8]
"""(height, width), 0 or 255."""
Picture = NDArray[np.uint8]
"""(height, width, 3), BGR."""

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


def draw_scene(rng: np.random.Generator, size_px: int) -> tuple[Picture, list[Mark]]:
    """One square picture and the marks in it; about one in ten carries no mark at all."""
    structure = _draw_structure(rng, size_px)
    marks: list[Mark] = []
    taken = np.zeros_like(structure)
    n_marks = 0 if rng.random() < 0.1 else int(rng.integers(1, 5))
    for _ in range(n_marks):
        mark = _add_structural_mark(rng, structure, taken) if rng.random() < 0.7 else None
        if mark is not None:
            marks.append(mark)
    picture = _render(rng, structure)
    for _ in range(max(0, n_marks - len(marks))):
        mark = _add_painted_mark(rng, picture, taken)
        if mark is not None:
            marks.append(mark)
    return _photograph(rng, picture), marks


# --- structure -----------------------------------------------------------------------------


def _draw_structure(rng: np.random.Generator, size_px: int) -> Mask:
    mask = np.zeros((size_px, size_px), np.uint8)
    for _ in range(int(rng.integers(1, 4))):
        kind = rng.choice(["tracks", "plate", "pads", "bent"], p=[0.35, 0.25, 0.2, 0.2])
        if kind == "tracks":
            _draw_tracks(rng, mask)
        elif kind == "plate":
            _draw_plate(rng, mask)
        elif kind == "pads":
            _draw_pads(rng, mask)
        else:
            _draw_bent_tracks(rng, mask)
    if rng.random() < 0.15:
        mask = cv2.bitwise_not(mask)
    return mask


def _draw_tracks(rng: np.random.Generator, mask: Mask) -> None:
    size = mask.shape[0]
    width = int(rng.integers(3, 36))
    pitch = width + int(rng.integers(4, 40))
    angle = (
        float(rng.choice([0.0, 90.0, 45.0, 135.0])) if rng.random() < 0.8 else rng.random() * 180
    )
    start = int(rng.integers(0, pitch))
    layer = np.zeros((size * 2, size * 2), np.uint8)
    for x in range(start, size * 2, pitch):
        if rng.random() < 0.85:
            layer[:, x : x + width] = 255
    turn = cv2.getRotationMatrix2D((float(size), float(size)), angle, 1.0)
    layer = cv2.warpAffine(layer, turn, (size * 2, size * 2), flags=cv2.INTER_NEAREST)
    part = layer[size // 2 : size // 2 + size, size // 2 : size // 2 + size]
    np.maximum(mask, part, out=mask)


def _draw_plate(rng: np.random.Generator, mask: Mask) -> None:
    size = mask.shape[0]
    center = rng.uniform(0, size, 2)
    if rng.random() < 0.5:
        half = rng.uniform(size * 0.12, size * 0.5, 2)
        corner = min(half) * rng.uniform(0, 0.6)
        x1, y1 = (center - half).astype(int)
        x2, y2 = (center + half).astype(int)
        c = int(corner)
        octagon = [(x1 + c, y1), (x2 - c, y1), (x2, y1 + c), (x2, y2 - c)]
        octagon += [(x2 - c, y2), (x1 + c, y2), (x1, y2 - c), (x1, y1 + c)]
        cv2.fillPoly(mask, [np.array(octagon, np.int32)], 255)
    else:
        n = int(rng.integers(5, 9))
        angles = np.sort(rng.uniform(0, 2 * np.pi, n))
        radii = rng.uniform(size * 0.15, size * 0.5, n)
        points = center + np.stack([np.cos(angles), np.sin(angles)], 1) * radii[:, None]
        cv2.fillPoly(mask, [points.astype(np.int32)], 255)


def _draw_pads(rng: np.random.Generator, mask: Mask) -> None:
    size = mask.shape[0]
    radius = int(rng.integers(6, 34))
    drill = int(radius * rng.uniform(0.3, 0.75)) if rng.random() < 0.6 else 0
    step = radius * 2 + int(rng.integers(4, 40))
    grid = rng.random() < 0.5
    for _ in range(int(rng.integers(1, 6))):
        center = rng.integers(0, size, 2)
        if grid:
            center = center // step * step
        at = (int(center[0]), int(center[1]))
        shape = rng.random()
        if shape < 0.6:
            cv2.circle(mask, at, radius, 255, -1)
        elif shape < 0.8:
            cv2.ellipse(mask, at, (radius, radius // 2 + 2), 0, 0, 360, 255, -1)
        else:
            cv2.rectangle(
                mask,
                (at[0] - radius, at[1] - radius // 2),
                (at[0] + radius, at[1] + radius // 2),
                255,
                -1,
            )
        if drill:
            cv2.circle(mask, at, drill, 0, -1)


def _draw_bent_tracks(rng: np.random.Generator, mask: Mask) -> None:
    size = mask.shape[0]
    width = int(rng.integers(3, 24))
    gap = width + int(rng.integers(5, 30))
    first = rng.uniform(0, size, 2)
    steps = np.array([(1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1)], float)
    heading = int(rng.integers(0, 8))
    path = [first - steps[heading] * size]
    for _ in range(int(rng.integers(2, 5))):
        path.append(path[-1] + steps[heading] * rng.uniform(size * 0.3, size * 0.9))
        heading = (heading + int(rng.choice([-1, 1]))) % 8
    path.append(path[-1] + steps[heading] * size)
    side = np.array([-steps[heading][1], steps[heading][0]])
    for index in range(int(rng.integers(1, 5))):
        points = (np.array(path) + side * gap * index).astype(np.int32)
        cv2.polylines(mask, [points], False, 255, width)


# --- marks that change the structure ---------------------------------------------------------


def _add_structural_mark(rng: np.random.Generator, structure: Mask, taken: Mask) -> Mark | None:
    kind = CLASSES[int(rng.integers(0, 6))]
    changed = {
        "gap": _cut_gap,
        "bridge": _join_bridge,
        "notch": _bite_notch,
        "bump": _swell_bump,
        "hole": _pierce_hole,
        "island": _leave_island,
    }[kind](rng, structure)
    if changed is None:
        return None
    touched = cv2.bitwise_xor(changed, structure)
    mark = _mark_around(touched, CLASSES.index(kind), taken)
    if mark is not None:
        structure[:] = changed
    return mark


def _mark_around(touched: Mask, class_index: int, taken: Mask) -> Mark | None:
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


def _inner_depth(structure: Mask) -> NDArray[np.float32]:
    """How deep each pixel lies inside the structure, in px; 0 outside."""
    return cv2.distanceTransform(structure, cv2.DIST_L2, 3)


def _pick(rng: np.random.Generator, where: NDArray[np.bool_]) -> tuple[int, int] | None:
    """A random (x, y) where the condition holds, at least 4 px from the border."""
    inner = where.copy()
    inner[:4] = inner[-4:] = False
    inner[:, :4] = inner[:, -4:] = False
    ys, xs = np.nonzero(inner)
    if len(xs) == 0:
        return None
    index = int(rng.integers(0, len(xs)))
    return int(xs[index]), int(ys[index])


def _outward(structure: Mask, at: tuple[int, int]) -> NDArray[np.float64]:
    """Unit vector from structure to ground at an edge point."""
    x, y = at
    patch = structure[max(0, y - 4) : y + 5, max(0, x - 4) : x + 5].astype(float)
    dy, dx = np.gradient(cv2.GaussianBlur(patch, (0, 0), 1.5))
    towards = -np.array([dx.mean(), dy.mean()])
    length = float(np.hypot(*towards))
    return towards / length if length > 1e-6 else np.array([1.0, 0.0])


def _cut_gap(rng: np.random.Generator, structure: Mask) -> Mask | None:
    depth = _inner_depth(structure)
    ridge = (depth >= 1.5) & (depth <= 18) & (depth >= cv2.dilate(depth, np.ones((3, 3))) - 1e-6)
    at = _pick(rng, ridge)
    if at is None:
        return None
    half = float(depth[at[1], at[0]])
    return _stroke_across(rng, structure, at, length=half * 2 + 10, value=0)


def _join_bridge(rng: np.random.Generator, structure: Mask) -> Mask | None:
    ground = cv2.bitwise_not(structure)
    depth = _inner_depth(ground)
    ridge = (depth >= 2) & (depth <= 20) & (depth >= cv2.dilate(depth, np.ones((3, 3))) - 1e-6)
    at = _pick(rng, ridge)
    if at is None:
        return None
    half = float(depth[at[1], at[0]])
    return _stroke_across(rng, structure, at, length=half * 2 + 8, value=255)


def _stroke_across(
    rng: np.random.Generator, structure: Mask, at: tuple[int, int], *, length: float, value: int
) -> Mask | None:
    """Paint a stroke over the narrowest direction at `at`; only what lies across is touched."""
    target = structure if value == 0 else cv2.bitwise_not(structure)
    best, best_run = 0.0, np.inf
    for angle in np.arange(0, np.pi, np.pi / 8):
        run = _run_length(target, at, angle, int(length) + 6)
        if run < best_run:
            best, best_run = float(angle), run
    angle = best + rng.normal(0, 0.25)
    reach = best_run / 2 + 2
    thickness = int(rng.integers(2, max(3, min(14, int(best_run)) + 3)))
    start = np.array(at) - reach * np.array([np.cos(angle), np.sin(angle)])
    end = np.array(at) + reach * np.array([np.cos(angle), np.sin(angle)])
    changed = structure.copy()
    for _ in range(int(rng.integers(1, 3))):
        wobble = rng.normal(0, 1.5, (4, 2))
        points = np.linspace(start, end, 4) + wobble
        cv2.polylines(changed, [points.astype(np.int32)], False, value, thickness)
    return changed


def _run_length(mask: Mask, at: tuple[int, int], angle: float, limit: int) -> float:
    total = 0.0
    for sign in (-1, 1):
        for step in range(1, limit):
            x = int(at[0] + sign * step * np.cos(angle))
            y = int(at[1] + sign * step * np.sin(angle))
            if not (0 <= x < mask.shape[1] and 0 <= y < mask.shape[0]) or mask[y, x] == 0:
                break
            total += 1
    return total


def _edge_point(rng: np.random.Generator, structure: Mask) -> tuple[int, int] | None:
    edge = cv2.morphologyEx(structure, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    return _pick(rng, edge)


def _bite_notch(rng: np.random.Generator, structure: Mask) -> Mask | None:
    return _shape_at_edge(rng, structure, value=0)


def _swell_bump(rng: np.random.Generator, structure: Mask) -> Mask | None:
    return _shape_at_edge(rng, structure, value=255)


def _shape_at_edge(rng: np.random.Generator, structure: Mask, *, value: int) -> Mask | None:
    at = _edge_point(rng, structure)
    if at is None:
        return None
    out = _outward(structure, at) * (1 if value else -1)
    reach = float(rng.uniform(4, 22))
    changed = structure.copy()
    if rng.random() < 0.5:
        tip = np.array(at) + out * reach + rng.normal(0, 2, 2)
        middle = (np.array(at) + tip) / 2 + rng.normal(0, 2, 2)
        points = np.array([np.array(at) - out * 2, middle, tip]).astype(np.int32)
        cv2.polylines(changed, [points], False, value, int(rng.integers(2, 9)))
    else:
        blob = _blob(rng, np.array(at) + out * reach * 0.25, reach * 0.6)
        cv2.fillPoly(changed, [blob], value)
    return changed


def _pierce_hole(rng: np.random.Generator, structure: Mask) -> Mask | None:
    return _shape_inside(rng, structure, structure, value=0)


def _leave_island(rng: np.random.Generator, structure: Mask) -> Mask | None:
    return _shape_inside(rng, structure, cv2.bitwise_not(structure), value=255)


def _shape_inside(
    rng: np.random.Generator, structure: Mask, room: Mask, *, value: int
) -> Mask | None:
    depth = _inner_depth(room)
    at = _pick(rng, depth > 5)
    if at is None:
        return None
    reach = min(float(depth[at[1], at[0]]) - 2, float(rng.uniform(2.5, 16)))
    changed = structure.copy()
    if rng.random() < 0.5:
        cv2.fillPoly(changed, [_blob(rng, np.array(at), reach)], value)
    else:
        direction = rng.uniform(0, 2 * np.pi)
        along = np.array([np.cos(direction), np.sin(direction)]) * reach
        bend = rng.normal(0, reach * 0.25, 2)
        points = np.array([at - along, at + bend, at + along]).astype(np.int32)
        cv2.polylines(changed, [points], False, value, max(2, int(reach * rng.uniform(0.3, 0.9))))
    return changed


def _blob(
    rng: np.random.Generator, center: NDArray[np.floating], radius: float
) -> NDArray[np.int32]:
    n = int(rng.integers(6, 14))
    angles = np.linspace(0, 2 * np.pi, n, endpoint=False)
    radii = radius * rng.uniform(0.6, 1.2, n)
    squeeze = rng.uniform(0.5, 1.0)
    points = np.stack([np.cos(angles) * radii, np.sin(angles) * radii * squeeze], 1)
    turn = rng.uniform(0, np.pi)
    spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return (points @ spin.T + center).astype(np.int32)


# --- from structure to picture ----------------------------------------------------------------


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


def _render(rng: np.random.Generator, structure: Mask) -> Picture:
    size = structure.shape[0]
    if rng.random() < 0.3:  # a binarised scan
        dark_first = rng.random() < 0.5
        grey = structure if dark_first else cv2.bitwise_not(structure)
        return cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    front, ground = _tone(rng), _tone(rng)
    if np.abs(front - ground).mean() < 35:
        ground = np.where(front > 127, front - 70, front + 70).astype(np.float32)
    alpha = structure.astype(np.float32) / 255
    if rng.random() < 0.7:
        alpha = cv2.GaussianBlur(alpha, (0, 0), rng.uniform(0.4, 1.6))
    alpha = alpha[..., None]
    picture = _surface(rng, size, front) * alpha + _surface(rng, size, ground) * (1 - alpha)
    return np.clip(picture, 0, 255).astype(np.uint8)


def _add_painted_mark(rng: np.random.Generator, picture: Picture, taken: Mask) -> Mark | None:
    class_index = int(rng.integers(6, len(CLASSES)))
    size = picture.shape[0]
    layer = np.zeros((size, size), np.uint8)
    center = rng.uniform(0.08 * size, 0.92 * size, 2)
    _PAINTERS[CLASSES[class_index]](rng, layer, center, float(rng.uniform(0.03, 0.2)) * size)
    if not layer.any():
        return None
    mark = _mark_around(layer, class_index, taken)
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
    cv2.fillPoly(layer, [_blob(rng, center, radius)], 255)
    soft = cv2.GaussianBlur(layer, (0, 0), max(1.0, radius * 0.2))
    layer[:] = np.where(soft > 20, soft, 0)


def _paint_disc(
    rng: np.random.Generator, layer: Mask, center: NDArray[np.floating], radius: float
) -> None:
    cv2.circle(layer, (int(center[0]), int(center[1])), max(2, int(radius)), 255, -1, cv2.LINE_AA)


def _paint_ring(
    rng: np.random.Generator, layer: Mask, center: NDArray[np.floating], radius: float
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


def _photograph(rng: np.random.Generator, picture: Picture) -> Picture:
    """Uneven light, blur, sensor noise and JPEG, each only sometimes."""
    shot = picture.astype(np.float32)
    size = picture.shape[0]
    if rng.random() < 0.4:
        light = rng.uniform(0.6, 1.3, (2, 2)).astype(np.float32)
        shot *= cv2.resize(light, (size, size), interpolation=cv2.INTER_LINEAR)[..., None]
    if rng.random() < 0.3:
        shot = cv2.GaussianBlur(shot, (0, 0), rng.uniform(0.3, 1.4))
    if rng.random() < 0.4:
        shot += rng.normal(0, rng.uniform(1, 14), shot.shape).astype(np.float32)
    shot8 = np.clip(shot, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        ok, coded = cv2.imencode(
            ".jpg", shot8, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 96))]
        )
        assert ok, "OpenCV always encodes an 8-bit picture as JPEG"
        shot8 = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    return shot8
