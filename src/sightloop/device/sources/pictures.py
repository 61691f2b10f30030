"""Whether what a camera gave is a picture. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bgr = NDArray[np.uint8]
"""(height, width, 3), blue green red, 0 to 255."""

SMALLEST_SIDE_PX = 8


def usable(frame: object, *, max_pixels: int) -> Bgr | None:
    """The frame as blue, green, red; None when it is garbage.

    Garbage is: no array, an impossible shape or kind of number, more pixels than allowed, and one
    colour all over, which is what decoders give for data that did not arrive. The darkest real
    picture has noise.

    >>> usable(None, max_pixels=100) is None
    True
    """
    if not isinstance(frame, np.ndarray) or frame.dtype not in (np.uint8, np.uint16):
        return None
    if frame.ndim == 2:
        frame = frame[:, :, None]
    if frame.ndim != 3 or frame.shape[2] not in (1, 3, 4):
        return None
    height_px, width_px = frame.shape[:2]
    if min(height_px, width_px) < SMALLEST_SIDE_PX or height_px * width_px > max_pixels:
        return None
    is_deep = frame.dtype == np.uint16
    eight_bits: Bgr = (frame >> 8 if is_deep else frame).astype(np.uint8, copy=False)
    is_colour = frame.shape[2] > 1
    bgr = eight_bits[:, :, :3] if is_colour else np.repeat(eight_bits, 3, axis=2)
    return None if _is_one_colour(bgr) else np.ascontiguousarray(bgr)


def _is_one_colour(bgr: Bgr) -> bool:
    first = bgr[0, 0]
    # Nearly every real picture is told from a few hundred of its pixels.
    step = max(min(bgr.shape[:2]) // 16, 1)
    if (bgr[::step, ::step] != first).any():
        return False
    return not bool((bgr != first).any())
