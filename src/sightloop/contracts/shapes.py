"""What a model finds beyond a box, in pixels of the upright image: mask, keypoints, turned box.

A shape stands beside its detection, whose box encloses it: whatever works with boxes works with
every task, and a model that finds boxes only carries none of this. Specification:
docs/formats/shapes.md.
"""

from __future__ import annotations

import math

import msgspec


class Mask(msgspec.Struct, frozen=True, array_like=True, tag="mask"):
    """The object's own pixels.

    `runs` are lengths down the columns of the whole image, alternately beside and on the object,
    beginning beside it: what COCO calls an uncompressed mask.
    """

    height_px: int
    width_px: int
    runs: list[int]
    rings: list[list[float]] = []
    """Outer outlines, each x, y, x, y, ... through the pixels of the border. A manifest leaves
    them out."""

    @property
    def n_pixels(self) -> int:
        """How many pixels are on the object."""
        return sum(self.runs[1::2])


class Keypoints(msgspec.Struct, frozen=True, array_like=True, tag="keypoints"):
    """Named places of the object, in the order of the model."""

    points: list[tuple[float, float, float]]
    """x, y and visibility in [0, 1]; 1.0 where the model does not tell it."""


class OrientedBox(msgspec.Struct, frozen=True, array_like=True, tag="oriented_box"):
    """A box turned about its centre; `angle_rad` from the x axis towards the y axis."""

    center_x: float
    center_y: float
    width: float
    height: float
    angle_rad: float

    def corners(self) -> list[tuple[float, float]]:
        """The four corners in order round the box, beginning with the end of both axes.

        >>> OrientedBox(5, 5, 4, 2, 0.0).corners()
        [(7.0, 6.0), (7.0, 4.0), (3.0, 4.0), (3.0, 6.0)]
        """
        cos, sin = math.cos(self.angle_rad), math.sin(self.angle_rad)
        along = (self.width / 2 * cos, self.width / 2 * sin)
        across = (-self.height / 2 * sin, self.height / 2 * cos)
        return [
            (
                self.center_x + i * along[0] + j * across[0],
                self.center_y + i * along[1] + j * across[1],
            )
            for i, j in ((1, 1), (1, -1), (-1, -1), (-1, 1))
        ]


Shape = Mask | Keypoints | OrientedBox
