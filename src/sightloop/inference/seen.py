"""What a model of any task says of one picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sightloop.contracts.bundle import Detection
from sightloop.contracts.shapes import Shape


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
