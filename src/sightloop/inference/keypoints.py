"""Keypoints of objects: from pixels of the model's input to pixels of the picture. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sightloop.contracts.shapes import Keypoints
from sightloop.inference.geometry import Placement, to_image

SHOWN_FROM = 0.5
"""Visibility from which a keypoint is worth showing: a lower one is a guess of the model."""


def keypoints_of(
    extras: NDArray[np.float32], placement: Placement, *, keypoint_shape: tuple[int, int]
) -> list[Keypoints]:
    """The keypoints of each object, clipped to the picture.

    Args:
        extras: (n, count * dims), as `heads.Found` has them.
        placement: where the picture lies in the input.
        keypoint_shape: count, and dims: 2 for x and y, 3 with the visibility.
    """
    count, dims = keypoint_shape
    points = extras.reshape(-1, count, dims)
    # `to_image` moves corners, which are two points each.
    places = points[:, :, [0, 1, 0, 1]].reshape(-1, 4)
    places_px = to_image(places, placement)[:, :2].reshape(-1, count, 2)
    visible = points[:, :, 2] if dims == 3 else np.ones(points.shape[:2], dtype=np.float32)
    return [
        Keypoints([(x, y, seen) for (x, y), seen in zip(object_px, shown, strict=True)])
        for object_px, shown in zip(places_px.tolist(), visible.tolist(), strict=True)
    ]
