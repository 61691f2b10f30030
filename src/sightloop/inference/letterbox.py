"""A picture as the model wants it: fitted into its input, padded, and turned into a tensor."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sightloop.contracts.bundle import ModelInput
from sightloop.inference.geometry import Placement
from sightloop.inference.images import Picture

Tensor = NDArray[np.float32]
"""(1, 3, height, width): red, green, blue in [0, 1]."""


def letterbox(picture: Picture, placement: Placement, *, into: ModelInput) -> Picture:
    """The picture at its placement, surrounded by `pad_value`: bit for bit as in training."""
    size_px = (placement.width_px, placement.height_px)
    if picture.shape[1::-1] != size_px:
        picture = cv2.resize(picture, size_px, interpolation=cv2.INTER_LINEAR).astype(
            np.uint8, copy=False
        )
    padded = np.full((into.height_px, into.width_px, 3), into.pad_value, dtype=np.uint8)
    bottom_px = placement.top_px + placement.height_px
    right_px = placement.left_px + placement.width_px
    padded[placement.top_px : bottom_px, placement.left_px : right_px] = picture
    return padded


def to_tensor(letterboxed: Picture) -> Tensor:
    """The letterboxed picture as a batch of one.

    Divides instead of multiplying by 1/255: the results differ in their last bit, and training
    divides.
    """
    planes = letterboxed[:, :, ::-1].transpose(2, 0, 1)[np.newaxis]
    return np.ascontiguousarray(planes, dtype=np.float32) / np.float32(255)
