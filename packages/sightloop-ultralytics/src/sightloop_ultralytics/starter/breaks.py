"""Marks that change the structure itself: broken, joined, bitten, swollen, pierced, left over."""

from __future__ import annotations

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from sightloop_ultralytics.starter.values import CLASSES, Mark, Mask, blob, mark_around


def add_break(rng: np.random.Generator, structure: Mask, taken: Mask) -> Mark | None:
    """Break the structure at one place; None where the chosen kind of mark finds none."""
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
    mark = mark_around(touched, CLASSES.index(kind), taken)
    if mark is not None:
        structure[:] = changed
    return mark


def _inner_depth(structure: Mask) -> MatLike:
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
        bitten = blob(rng, np.array(at) + out * reach * 0.25, reach * 0.6)
        cv2.fillPoly(changed, [bitten], value)
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
        cv2.fillPoly(changed, [blob(rng, np.array(at), reach)], value)
    else:
        direction = rng.uniform(0, 2 * np.pi)
        along = np.array([np.cos(direction), np.sin(direction)]) * reach
        bend = rng.normal(0, reach * 0.25, 2)
        points = np.array([at - along, at + bend, at + along]).astype(np.int32)
        cv2.polylines(changed, [points], False, value, max(2, int(reach * rng.uniform(0.3, 0.9))))
    return changed
