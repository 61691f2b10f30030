"""Events as TensorBoard reads them: scalars, images, histograms. Pure.

Values are written as TensorBoard writes them, as floats of 32 bits: what it shows of a double is
its nearest float.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sightloop.tracking.tensorboard.events import Histogram
from sightloop.tracking.tensorboard.wire import (
    double_field,
    length_field,
    varint,
    varint_field,
)

_COLOURS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
"""Channels by the colour type in a PNG's header; TensorBoard only passes them on."""


def version_event(wall_time_s: float) -> bytes:
    """What a file begins with."""
    return double_field(1, wall_time_s) + length_field(3, b"brain.Event:2")


def scalar_events(
    tag: str,
    steps: NDArray[np.int64],
    wall_times_s: NDArray[np.float64],
    values: NDArray[np.float64],
) -> list[bytes]:
    """An event for each point of one metric."""
    with np.errstate(over="ignore"):  # beyond the floats lies infinity
        singles = values.astype(np.float32).tolist()
    name = length_field(1, tag.encode())
    # All but time, step and value is the same in each: it is put together once.
    size = len(name) + 5
    value = varint(1 << 3 | 2) + varint(size) + name + b"\x15"
    head = b"\x2a" + varint(len(value) + 4) + value
    time, number = struct.Struct("<Bd").pack, struct.Struct("<f").pack
    return [
        time(9, wall_time_s) + b"\x10" + varint(step) + head + number(single)
        for step, wall_time_s, single in zip(
            steps.tolist(), wall_times_s.tolist(), singles, strict=True
        )
    ]


def image_event(tag: str, step: int, wall_time_s: float, content: bytes) -> bytes:
    """An encoded image, as it is."""
    width, height, channels = image_size(content) or (0, 0, 3)
    image = varint_field(1, height) + varint_field(2, width) + varint_field(3, channels)
    value = length_field(1, tag.encode()) + length_field(4, image + length_field(4, content))
    return _summary_event(step, wall_time_s, value)


def histogram_event(tag: str, step: int, wall_time_s: float, histogram: Histogram) -> bytes:
    """A histogram; its sums are those of the buckets' middles."""
    limits, counts = np.array(histogram.limits), np.array(histogram.counts)
    middles = (limits[:-1] + limits[1:]) / 2
    parts = [
        double_field(1, float(limits[0])) + double_field(2, float(limits[-1])),
        double_field(3, float(counts.sum())),
        double_field(4, float((middles * counts).sum())),
        double_field(5, float((middles**2 * counts).sum())),
        length_field(6, _doubles(histogram.limits[1:])),
        length_field(7, _doubles(histogram.counts)),
    ]
    value = length_field(1, tag.encode()) + length_field(5, b"".join(parts))
    return _summary_event(step, wall_time_s, value)


def image_size(content: bytes) -> tuple[int, int, int] | None:
    """Width, height and channels of a PNG or JPEG by its header; None for anything else."""
    if content.startswith(b"\x89PNG\r\n\x1a\n") and len(content) >= 26:
        width, height, _, colours = struct.unpack_from(">IIBB", content, 16)
        return width, height, _COLOURS.get(colours, 3)
    if not content.startswith(b"\xff\xd8"):
        return None
    at = 2
    while at + 10 <= len(content) and content[at] == 0xFF:
        marker, length = content[at + 1], int.from_bytes(content[at + 2 : at + 4], "big")
        is_frame = 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)
        if is_frame:
            height, width, channels = struct.unpack_from(">HHB", content, at + 5)
            return width, height, channels
        at += 2 + max(length, 2)
    return None


def _summary_event(step: int, wall_time_s: float, value: bytes) -> bytes:
    summary = length_field(5, length_field(1, value))
    return double_field(1, wall_time_s) + varint_field(2, step) + summary


def _doubles(values: Sequence[float]) -> bytes:
    return struct.pack(f"<{len(values)}d", *values)
