"""What a scene shows before anything is wrong with it: tracks, plates and pads on a ground."""

from __future__ import annotations

import cv2
import numpy as np

from sightloop_ultralytics.starter.values import Mask


def draw_structure(rng: np.random.Generator, size_px: int) -> Mask:
    """A mask of one to three kinds of parts over one another; sometimes inverted."""
    mask: Mask = np.zeros((size_px, size_px), np.uint8)
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
