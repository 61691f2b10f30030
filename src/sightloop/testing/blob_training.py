"""Training for the toy detector of `testing.models`: its level is estimated from labelled images.

It is honest in the small: a model estimated from images of one style is blind to a paler one, and
estimating it anew with images of both makes it see both.
"""

from __future__ import annotations

import colorsys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from sightloop.contracts.bundle import Detection, HeadLayout, ModelInput
from sightloop.contracts.job import LabelledBox, ViewImage
from sightloop.inference.geometry import place, to_image, to_input
from sightloop.inference.images import Picture
from sightloop.inference.letterbox import letterbox, to_tensor
from sightloop.testing.models import CELLS_PER_SIDE, DEFAULT_LEVEL, STEEPNESS, write_blob_model


class BlobWeights(msgspec.Struct, frozen=True, kw_only=True):
    """The checkpoint of a toy detector: everything its file is written from."""

    classes: list[str]
    size_px: int
    head: HeadLayout
    level: float = DEFAULT_LEVEL


class Amounts(NamedTuple):
    """How much of a class's hue there is in cells with an object of it, and in empty cells."""

    objects: list[float]
    empty: list[float]


def export_blobs(weights: BlobWeights, path: Path) -> None:
    """Write the ONNX file of these weights."""
    write_blob_model(
        path,
        classes=weights.classes,
        size_px=weights.size_px,
        head=weights.head,
        threshold_level=weights.level,
    )


def estimate_level(amounts: Amounts) -> float:
    """The level between what objects and what the background have, near the fainter objects."""
    if not amounts.objects:
        return DEFAULT_LEVEL
    faint = float(np.quantile(amounts.objects, 0.05))
    noise = float(np.quantile(amounts.empty, 0.99)) if amounts.empty else 0.0
    return max((faint + noise) / 2, 0.01)


def measure_amounts(images: Iterable[tuple[ViewImage, Picture]], weights: BlobWeights) -> Amounts:
    """What the labels of these images say about hues; a repeated image counts as often."""
    measured = Amounts([], [])
    for image, picture in images:
        grid = _amounts_of(picture, weights)
        occupied = np.zeros(len(grid), dtype=bool)
        for box in image.boxes:
            occupied[_cells_touched(box, picture, weights)] = True
            centre = _cell_of_centre(box, picture, weights)
            measured.objects.extend([float(grid[centre, box.class_index])] * image.repeat)
        measured.empty.extend(grid[~occupied].max(axis=1).tolist() * image.repeat)
    return measured


def answer(picture: Picture, weights: BlobWeights, *, score_floor: float) -> list[Detection]:
    """What the weights find, computed here and not by the exported file."""
    height_px, width_px = picture.shape[:2]
    scores = 1 / (1 + np.exp(-STEEPNESS * (_amounts_of(picture, weights) - weights.level)))
    best, classes = scores.max(axis=1), scores.argmax(axis=1)
    cells = np.flatnonzero(best >= score_floor)
    cells = cells[np.argsort(-best[cells], kind="stable")]
    placement = place(width_px, height_px, into=_input_of(weights))
    corners_px = to_image(_corners_of(cells, weights), placement).tolist()
    return [
        Detection(int(classes[cell]), float(best[cell]), *box)
        for cell, box in zip(cells, corners_px, strict=True)
        if box[0] < box[2] and box[1] < box[3]
    ]


def draw_curve(values: list[float]) -> bytes:
    """A chart as engines draw them, as a PNG file."""
    chart = np.full((60, 120, 3), 255, dtype=np.uint8)
    span = max(max(values), 1e-9)
    points = [
        (int(110 * index / max(len(values) - 1, 1)) + 5, 55 - int(50 * value / span))
        for index, value in enumerate(values)
    ]
    cv2.polylines(chart, [np.array(points, dtype=np.int32)], isClosed=False, color=(160, 80, 0))
    return cv2.imencode(".png", chart)[1].tobytes()


def _amounts_of(picture: Picture, weights: BlobWeights) -> NDArray[np.float64]:
    """(n_cells, n_classes): the hue of each class in each cell's mean colour."""
    height_px, width_px = picture.shape[:2]
    into = _input_of(weights)
    tensor = to_tensor(letterbox(picture, place(width_px, height_px, into=into), into=into))
    cell_px = weights.size_px // CELLS_PER_SIDE
    cells = tensor[0].reshape(3, CELLS_PER_SIDE, cell_px, CELLS_PER_SIDE, cell_px).mean((2, 4))
    amounts: NDArray[np.float64] = cells.reshape(3, -1).T @ _hues(len(weights.classes)).T
    return amounts


def _hues(n_classes: int) -> NDArray[np.float64]:
    colours = [colorsys.hsv_to_rgb(index / n_classes, 1.0, 1.0) for index in range(n_classes)]
    hues = np.array(colours) - np.mean(colours, axis=1, keepdims=True)
    units: NDArray[np.float64] = hues / np.linalg.norm(hues, axis=1, keepdims=True)
    return units


def _cell_of_centre(box: LabelledBox, picture: Picture, weights: BlobWeights) -> int:
    x1, y1, x2, y2 = _in_cells(box, picture, weights)
    last = CELLS_PER_SIDE - 1
    row, column = min(int((y1 + y2) / 2), last), min(int((x1 + x2) / 2), last)
    return row * CELLS_PER_SIDE + column


def _cells_touched(box: LabelledBox, picture: Picture, weights: BlobWeights) -> list[int]:
    x1, y1, x2, y2 = _in_cells(box, picture, weights)
    rows = range(int(y1), min(int(np.ceil(y2)), CELLS_PER_SIDE))
    columns = range(int(x1), min(int(np.ceil(x2)), CELLS_PER_SIDE))
    return [row * CELLS_PER_SIDE + column for row in rows for column in columns]


def _in_cells(box: LabelledBox, picture: Picture, weights: BlobWeights) -> list[float]:
    height_px, width_px = picture.shape[:2]
    placement = place(width_px, height_px, into=_input_of(weights))
    corners = np.array([[box.x1, box.y1, box.x2, box.y2]], dtype=np.float32)
    inside = to_input(corners, placement)[0] * CELLS_PER_SIDE / weights.size_px
    return [float(value) for value in inside]


def _corners_of(cells: NDArray[np.int64], weights: BlobWeights) -> NDArray[np.float32]:
    cell_px = weights.size_px // CELLS_PER_SIDE
    top, left = np.divmod(cells, CELLS_PER_SIDE)
    return (np.stack([left, top, left + 1, top + 1], axis=1) * cell_px).astype(np.float32)


def _input_of(weights: BlobWeights) -> ModelInput:
    return ModelInput(width_px=weights.size_px, height_px=weights.size_px)
