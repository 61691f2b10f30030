"""From the bytes of an image file to upright pixels, the same way for every reader of the system.

What OpenCV 5.0 does, and the tests hold it to: the EXIF orientation of JPEG, PNG and WebP is
applied; grey, palette and CMYK become blue, green, red; of 16-bit samples the high byte is kept; an
alpha channel is dropped without blending, so hidden colours show; of an animation the first frame
is read. The YOLO26 engine reads its training images by the same call.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from sightloop.inference.containers import MediaType, Outline, read_outline
from sightloop.inference.errors import UnreadableImage

Picture = NDArray[np.uint8]
"""(height, width, 3), blue green red, upright, 0 to 255."""

MAX_PIXELS = 200_000_000
"""A picture beyond it would take more than 600 MB; it is refused before any of it is decoded."""


class ImageFacts(NamedTuple):
    """Upright size and kind of an image file that was read to its end."""

    width_px: int
    height_px: int
    media_type: MediaType


def decode_picture(content: bytes, *, name: str) -> Picture:
    """The upright pixels of an image file; `name` is for the error.

    Raises:
        UnreadableImage: it is of no known kind, truncated, damaged or larger than `MAX_PIXELS`.
    """
    return _decode(content, read_outline(content, name=name), name=name)


def read_facts(content: bytes, *, name: str) -> ImageFacts:
    """Upright size and kind of an image file, after decoding all of it.

    Raises:
        UnreadableImage: as `decode_picture`.
    """
    outline = read_outline(content, name=name)
    height_px, width_px = _decode(content, outline, name=name).shape[:2]
    return ImageFacts(width_px, height_px, outline.media_type)


def _decode(content: bytes, outline: Outline, *, name: str) -> Picture:
    n_pixels = outline.width_px * outline.height_px
    if n_pixels > MAX_PIXELS:
        raise UnreadableImage(
            name=name, problem=f"has {n_pixels} pixels, more than the {MAX_PIXELS} allowed"
        )
    try:
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise UnreadableImage(name=name, problem=f"does not decode ({error})") from error
    if picture is None:
        raise UnreadableImage(name=name, problem=f"is a damaged {outline.media_type} file")
    if sorted(picture.shape[:2]) != sorted((outline.width_px, outline.height_px)):
        raise UnreadableImage(
            name=name,
            problem=f"decodes to {picture.shape[1]} x {picture.shape[0]} px but its header says "
            f"{outline.width_px} x {outline.height_px} px",
        )
    return picture.astype(np.uint8, copy=False)
