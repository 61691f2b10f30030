"""Pictures as a classifier takes them, and its probabilities as answers.

The picture is resized until its shorter side fits and cut to its middle, pixel for pixel as in
training: there Pillow resizes, whose arithmetic this repeats in whole numbers. OpenCV's own would
differ by several grey levels wherever a picture shrinks.

Source: Pillow's two-pass resampling with a triangle filter; the test `ultralytics` compares bits.
"""

from __future__ import annotations

from math import ceil

import numpy as np
from numpy.typing import NDArray

from sightloop.contracts.bundle import Detection, ModelInput, Thresholds
from sightloop.inference.errors import BrokenAnswer
from sightloop.inference.images import Picture
from sightloop.inference.seen import Seen

_BITS = 22
"""Weights are whole multiples of 2**-22, so that a sum of them fits into 32 bits."""


def center_crop(picture: Picture, *, into: ModelInput) -> Picture:
    """The middle of the picture, filling the input; a wide input takes the whole, out of shape."""
    height_px, width_px = picture.shape[:2]
    resized_width_px, resized_height_px = _resized_size(width_px, height_px, into)
    left_px = round((resized_width_px - into.width_px) / 2)
    top_px = round((resized_height_px - into.height_px) / 2)
    # Turned on its side, a row is a column of the picture: gathering rows is what memory likes.
    columns = _resampled(
        np.ascontiguousarray(picture.transpose(1, 0, 2)).reshape(width_px, -1),
        resized_width_px,
        start=left_px,
        n=into.width_px,
    )
    upright = columns.reshape(into.width_px, height_px, 3).transpose(1, 0, 2)
    rows = _resampled(
        np.ascontiguousarray(upright).reshape(height_px, -1),
        resized_height_px,
        start=top_px,
        n=into.height_px,
    )
    return rows.reshape(into.height_px, into.width_px, 3)


def seen_classes(
    output: NDArray[np.float32],
    *,
    width_px: int,
    height_px: int,
    score_floor: float,
    thresholds: Thresholds,
) -> Seen:
    """The classes with at least `score_floor` as objects as large as the picture, best first.

    Args:
        output: (1, n_classes), the probabilities.
        width_px: of the picture.
        height_px: of the picture.
        score_floor: lowest probability of interest.
        thresholds: `max_detections` limits how many are listed.

    Raises:
        BrokenAnswer: a probability is no number in [0, 1].
    """
    probabilities = output[0]
    if not ((probabilities >= 0) & (probabilities <= 1.001)).all():
        raise BrokenAnswer(problem="probabilities outside 0 to 1")
    order = np.argsort(-probabilities, kind="stable")[: thresholds.max_detections]
    listed = [int(index) for index in order if probabilities[index] >= score_floor]
    return Seen(
        [
            Detection(
                index, float(probabilities[index]), 0.0, 0.0, float(width_px), float(height_px)
            )
            for index in listed
        ],
        probabilities=[float(one) for one in probabilities],
    )


def _resized_size(width_px: int, height_px: int, into: ModelInput) -> tuple[int, int]:
    """Width and height before the cut."""
    if into.width_px != into.height_px:
        return into.width_px, into.height_px
    if width_px <= height_px:
        return into.width_px, int(into.height_px * height_px / width_px)
    return int(into.width_px * width_px / height_px), into.height_px


def _resampled(rows: NDArray[np.uint8], size: int, *, start: int, n: int) -> NDArray[np.uint8]:
    """Rows `start` to `start + n` of the array resized to `size` rows."""
    n_before = len(rows)
    if size == n_before:
        return rows[start : start + n]
    first, weights = _triangle_weights(n_before, size)
    first, weights = first[start : start + n], weights[start : start + n]
    total = np.full((n, rows.shape[1]), 1 << (_BITS - 1), dtype=np.int32)
    for tap in range(weights.shape[1]):
        weight = weights[:, tap, np.newaxis]
        if weight.any():
            total += rows[np.minimum(first + tap, n_before - 1)] * weight
    resampled: NDArray[np.uint8] = np.minimum(total >> _BITS, 255).astype(np.uint8)
    return resampled


def _triangle_weights(n_before: int, n_after: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """For each new position, the first old one it draws from, and the weights from there on."""
    scale = n_before / n_after
    reach = max(scale, 1.0)
    center = (np.arange(n_after) + 0.5) * scale
    first = np.maximum((center - reach + 0.5).astype(np.int64), 0)
    last = np.minimum((center + reach + 0.5).astype(np.int64), n_before)
    taps = np.arange(2 * ceil(reach) + 1)
    place = first[:, np.newaxis] + taps
    height = 1 - np.abs((place - center[:, np.newaxis] + 0.5) / reach)
    height = np.where(place < last[:, np.newaxis], np.maximum(height, 0), 0)
    shares = height / height.sum(axis=1, keepdims=True)
    return first, (shares * (1 << _BITS) + 0.5).astype(np.int32)
