"""Where a picture lies inside the model's input, and back from input pixels to image pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sightloop.contracts.bundle import ModelInput

Corners = NDArray[np.float32]
"""(n, 4): x1, y1, x2, y2 of each box."""


class Placement(NamedTuple):
    """A picture of `picture_*_px`, resized to `*_px`, inside the model's input at (left, top)."""

    picture_width_px: int
    picture_height_px: int
    width_px: int
    height_px: int
    left_px: int
    top_px: int


def place(width_px: int, height_px: int, *, into: ModelInput) -> Placement:
    """As large as fits with the sides in proportion, in the middle; an odd pixel goes below, right.

    Source: the geometry of Ultralytics' LetterBox with `auto=False`, which trained the models;
    the test `ultralytics` compares every number.
    """
    scale = min(into.height_px / height_px, into.width_px / width_px)
    resized_width_px = max(round(width_px * scale), 1)
    resized_height_px = max(round(height_px * scale), 1)
    return Placement(
        picture_width_px=width_px,
        picture_height_px=height_px,
        width_px=resized_width_px,
        height_px=resized_height_px,
        left_px=(into.width_px - resized_width_px) // 2,
        top_px=(into.height_px - resized_height_px) // 2,
    )


def to_input(corners_px: Corners, placement: Placement) -> Corners:
    """Boxes of the image, in pixels of the model's input."""
    scale, offset_px = _scale_and_offset(placement)
    return corners_px * scale + offset_px


def to_image(corners_px: Corners, placement: Placement) -> Corners:
    """Boxes of the model's input, in pixels of the image and clipped to it.

    A box beside the image comes back without area.
    """
    scale, offset_px = _scale_and_offset(placement)
    limit_px = np.array(
        [placement.picture_width_px, placement.picture_height_px] * 2, dtype=np.float32
    )
    clipped_px: Corners = np.clip((corners_px - offset_px) / scale, 0, limit_px)
    return clipped_px


def _scale_and_offset(placement: Placement) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    # Each axis has its own scale: rounding to whole pixels changes the two sides differently.
    scale = [
        placement.width_px / placement.picture_width_px,
        placement.height_px / placement.picture_height_px,
    ]
    offset_px = [placement.left_px, placement.top_px]
    return np.array(scale * 2, dtype=np.float32), np.array(offset_px * 2, dtype=np.float32)
