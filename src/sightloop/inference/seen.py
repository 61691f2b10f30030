"""What a model of any task says of one picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from sightloop.contracts.bundle import Detection, GoldenImage, Thresholds
from sightloop.contracts.shapes import Mask, Shape


class Seen(NamedTuple):
    """Objects, best first, in pixels of the picture.

    A model that classifies finds objects too: each class that is likely enough is one, and its box
    is the whole picture. So whatever counts, compares or keeps detections works for it.
    """

    detections: list[Detection]
    shapes: Sequence[Shape] = ()
    """Shape i belongs to detection i; there may be fewer, of the best ones only."""
    probabilities: Sequence[float] = ()
    """Of every class, of a model that classifies."""


def golden_image(file: str, seen: Seen, thresholds: Thresholds) -> GoldenImage:
    """What a bundle promises of this image: the objects a user gets to see, and their shapes.

    Outlines are left out: they follow from the mask.
    """
    told = [one for one in seen.detections if one.score >= thresholds.score]
    shapes = [
        msgspec.structs.replace(shape, rings=[]) if isinstance(shape, Mask) else shape
        for shape in seen.shapes[: len(told)]
    ]
    return GoldenImage(file, told, shapes, list(seen.probabilities))
