"""Floats as they travel in JSON, which has no word for NaN or infinity: those go as strings."""

from __future__ import annotations

import math
from typing import Literal

Number = float | Literal["NaN", "Infinity", "-Infinity"]
"""What a field of a contract holds where a measured value may be anything a float can be."""


def to_wire(value: float) -> Number:
    """The value as JSON can carry it.

    >>> [to_wire(0.5), to_wire(float("nan")), to_wire(float("-inf"))]
    [0.5, 'NaN', '-Infinity']
    """
    if math.isfinite(value):
        return float(value)
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def from_wire(number: Number) -> float:
    """The float that was meant.

    >>> from_wire("Infinity") == math.inf and from_wire(2) == 2.0
    True
    """
    return float(number)
