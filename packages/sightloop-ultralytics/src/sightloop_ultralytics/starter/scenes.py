"""Generated pictures of marks on made things: what the starter checkpoint learns to see.

A scene is a *structure* (tracks, plates, pads on a ground) with *marks* on it: places where the
structure is broken, joined, bitten, swollen, pierced or soiled. Which shapes, sizes, tones,
textures, light and noise appear is drawn at random, so that there is nothing to memorise.
Nothing here is copied from a data set, and no demo or test of Sightloop draws from this module.
"""

from __future__ import annotations

import cv2
import numpy as np
from cv2.typing import MatLike

from sightloop_ultralytics.starter.breaks import add_break
from sightloop_ultralytics.starter.paint import add_painted_mark, render
from sightloop_ultralytics.starter.structures import draw_structure
from sightloop_ultralytics.starter.values import CLASSES, Mark, Picture

__all__ = ["CLASSES", "Mark", "draw_scene"]


def draw_scene(rng: np.random.Generator, size_px: int) -> tuple[Picture, list[Mark]]:
    """One square picture and the marks in it; about one in ten carries no mark at all."""
    structure = draw_structure(rng, size_px)
    marks: list[Mark] = []
    taken = np.zeros_like(structure)
    n_marks = 0 if rng.random() < 0.1 else int(rng.integers(1, 5))
    for _ in range(n_marks):
        mark = add_break(rng, structure, taken) if rng.random() < 0.7 else None
        if mark is not None:
            marks.append(mark)
    picture = render(rng, structure)
    for _ in range(max(0, n_marks - len(marks))):
        mark = add_painted_mark(rng, picture, taken)
        if mark is not None:
            marks.append(mark)
    return _photograph(rng, picture), marks


def _photograph(rng: np.random.Generator, picture: Picture) -> Picture:
    """Uneven light, blur, sensor noise and JPEG, each only sometimes."""
    shot: MatLike = picture.astype(np.float32)
    size = picture.shape[0]
    if rng.random() < 0.4:
        light = rng.uniform(0.6, 1.3, (2, 2)).astype(np.float32)
        shot = shot * cv2.resize(light, (size, size), interpolation=cv2.INTER_LINEAR)[..., None]
    if rng.random() < 0.3:
        shot = cv2.GaussianBlur(shot, (0, 0), rng.uniform(0.3, 1.4))
    if rng.random() < 0.4:
        noise = rng.normal(0, rng.uniform(1, 14), size=shot.shape)
        shot = shot + np.asarray(noise, np.float32)
    developed = np.clip(shot, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        quality = int(rng.integers(40, 96))
        ok, coded = cv2.imencode(".jpg", developed, [cv2.IMWRITE_JPEG_QUALITY, quality])
        decoded = cv2.imdecode(coded, cv2.IMREAD_COLOR)
        assert ok, "an 8-bit picture can always be encoded"
        assert decoded is not None, "what was just encoded can be decoded"
        return decoded
    return developed
