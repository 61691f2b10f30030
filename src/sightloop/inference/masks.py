"""Masks of objects at the size of the picture, from the model's coefficients and prototypes.

A mask is a weighted sum of prototypes, a quarter as large as the input, enlarged to the picture;
the object is where it is positive, within its box. Only the part inside the box is computed. The
enlarging is Ultralytics' own for masks at the picture's size (its `retina_masks`), first to where
the padding ends on whole pixels and then to the picture; the test `ultralytics` compares pixels.
"""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sightloop.contracts.shapes import Mask
from sightloop.inference.geometry import Corners, Placement

Pixels = NDArray[np.bool_]
"""(height, width), true where the object is."""

_STRIDE = 4
"""Input pixels of a prototype's pixel."""


class Part(NamedTuple):
    """The pixels of a mask that lie in columns `left_px` and rows `top_px` onwards."""

    left_px: int
    top_px: int
    pixels: Pixels


def masks_of(
    coefficients: NDArray[np.float32],
    prototypes: NDArray[np.float32],
    corners_px: Corners,
    placement: Placement,
) -> list[Part]:
    """The pixels of each object inside its box.

    Args:
        coefficients: (n, n_prototypes) of the objects.
        prototypes: (n_prototypes, height, width), a quarter of the model's input.
        corners_px: boxes of the objects in pixels of the picture, clipped to it.
        placement: where the picture lies in the input.
    """
    n_prototypes, height, width = prototypes.shape
    flat = np.ascontiguousarray(prototypes, dtype=np.float32).reshape(n_prototypes, -1)
    sums = (coefficients @ flat).reshape(-1, height, width)
    return [
        _part_of(one, corners, placement)
        for one, corners in zip(sums, corners_px.tolist(), strict=True)
    ]


def encode_mask(part: Part, *, height_px: int, width_px: int) -> Mask:
    """The mask in the whole picture, as runs and as outlines."""
    return Mask(height_px, width_px, _runs(part, height_px, width_px), _rings(part))


def decode_mask(mask: Mask) -> Pixels:
    """The mask as pixels of the whole picture.

    >>> decode_mask(Mask(2, 3, [2, 3, 1])).astype(int).tolist()
    [[0, 1, 1], [0, 1, 0]]
    """
    values = np.arange(len(mask.runs)) % 2 == 1
    columns = np.repeat(values, mask.runs).reshape(mask.width_px, mask.height_px)
    return columns.T


def overlap_of(first: Mask, second: Mask) -> float:
    """Intersection over union of two masks of one picture; 1.0 when both are empty."""
    one, other = decode_mask(first), decode_mask(second)
    union = int((one | other).sum())
    return int((one & other).sum()) / union if union else 1.0


def _part_of(sums: NDArray[np.float32], corners: list[float], placement: Placement) -> Part:
    x1, y1, x2, y2 = (ceil(corner) for corner in corners)
    factor = _enlargement(sums.shape, placement)
    sums = _resized(sums, axis=0, size=factor * sums.shape[0])
    sums = _resized(sums, axis=1, size=factor * sums.shape[1])
    top, left = placement.top_px * factor // _STRIDE, placement.left_px * factor // _STRIDE
    bottom = top + max(round(placement.height_px * factor / _STRIDE), 1)
    right = left + max(round(placement.width_px * factor / _STRIDE), 1)
    sums = sums[top:bottom, left:right]
    sums = _resized(sums, axis=1, size=placement.picture_width_px, start=x1, end=x2)
    sums = _resized(sums, axis=0, size=placement.picture_height_px, start=y1, end=y2)
    return Part(x1, y1, sums > 0)


def _enlargement(shape: tuple[int, ...], placement: Placement) -> int:
    """The least of 1, 2 and 4 at which the padding on every side is whole pixels."""
    padding = (
        _STRIDE * shape[0] - placement.height_px,
        _STRIDE * shape[1] - placement.width_px,
    )
    edges = [edge for total in padding for edge in (total, total // 2)]
    for factor in (1, 2):
        if all(edge * factor % _STRIDE == 0 for edge in edges):
            return factor
    return _STRIDE


def _resized(
    values: NDArray[np.float32],
    *,
    axis: int,
    size: int,
    start: int = 0,
    end: int | None = None,
) -> NDArray[np.float32]:
    """Positions `start` to `end` of the axis resized to `size`, linear between pixel centres."""
    n_before = values.shape[axis]
    if n_before == size:
        return values[start:end] if axis == 0 else values[:, start:end]
    scale = np.float32(n_before / size)
    places = (np.arange(start, size if end is None else end, dtype=np.float32) + 0.5) * scale - 0.5
    places = np.maximum(places, 0)
    below = np.minimum(places.astype(np.int64), n_before - 1)
    above = np.minimum(below + 1, n_before - 1)
    share = (places - below).astype(np.float32)
    resized: NDArray[np.float32]
    if axis == 0:
        share = share[:, np.newaxis]
        resized = values[below] * (1 - share) + values[above] * share
    else:
        resized = values[:, below] * (1 - share) + values[:, above] * share
    return resized


def _runs(part: Part, height_px: int, width_px: int) -> list[int]:
    height, width = part.pixels.shape
    framed = np.zeros((width, height + 2), dtype=np.int8)
    framed[:, 1:-1] = part.pixels.T
    turns = np.diff(framed, axis=1)
    column, row = np.nonzero(turns)
    at = (part.left_px + column) * height_px + part.top_px + row
    starts, ends = at[0::2], at[1::2]
    # A run that reaches the bottom goes on at the top of the next column.
    apart = np.ones(len(starts) + 1, dtype=bool)
    apart[1:-1] = starts[1:] != ends[:-1]
    edges = np.stack([starts[apart[:-1]], ends[apart[1:]]], axis=1).ravel()
    lengths: list[int] = np.diff(np.concatenate([[0], edges, [height_px * width_px]])).tolist()
    return lengths if lengths[-1] or len(lengths) == 1 else lengths[:-1]


def _rings(part: Part) -> list[list[float]]:
    import cv2  # slow to load, and who only compares masks needs no outlines

    found, _ = cv2.findContours(
        part.pixels.astype(np.uint8),
        cv2.RETR_EXTERNAL,
        cv2.CHAIN_APPROX_SIMPLE,
        offset=(part.left_px, part.top_px),
    )
    return [ring.ravel().astype(float).tolist() for ring in found]
