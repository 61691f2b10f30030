"""Arrays as PNG files, without an imaging library."""

from __future__ import annotations

import struct
import zlib
from typing import Any

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {1: 0, 3: 2, 4: 6}


def encode_png(picture: Any) -> bytes:  # noqa: ANN401 - any array, of any library
    """The picture as PNG.

    Args:
        picture: (height, width) or (height, width, 1, 3 or 4), uint8, or floats from 0 to 1; a
            NumPy array or what `numpy.asarray` understands.

    Raises:
        ValueError: its shape or type is another.
    """
    import numpy as np  # whoever has an array has NumPy, a run without pictures need not

    if hasattr(picture, "detach"):
        picture = picture.detach().cpu()
    pixels = np.asarray(picture)
    if pixels.dtype.kind == "f":
        pixels = (np.clip(np.nan_to_num(pixels), 0, 1) * 255).round().astype(np.uint8)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3 or pixels.dtype != np.uint8 or pixels.shape[2] not in _COLOUR_TYPES:
        raise ValueError(f"a picture of shape {pixels.shape} and type {pixels.dtype} is none")
    height, width, n_channels = pixels.shape
    if not (height and width):
        raise ValueError(f"a picture of shape {pixels.shape} has no pixels")
    rows = np.zeros((height, 1 + width * n_channels), dtype=np.uint8)  # filter 0, then the row
    rows[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[n_channels], 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b"")
    return _SIGNATURE + b"".join(_chunk(name, content) for name, content in chunks)


def _chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)
