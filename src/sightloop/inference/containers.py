"""What an image file says of itself, read from its bytes without decoding a pixel.

Decoders differ in what they forgive, between formats and between versions. Here the rule is one:
a file whose own structure says that bytes are missing is not read at all. Bytes after the end of
the picture are allowed; cameras put previews there.

- JPEG: every segment is whole and an end-of-image marker follows the last scan.
- PNG: every chunk is whole and matches its checksum, up to and with `IEND`.
- WebP: the file is at least as long as its RIFF header says.
- BMP: the pixel array that the header describes is there.

Damage that leaves the structure intact (a flipped bit inside a JPEG or WebP scan) cannot be seen
from outside, nor by a decoder.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from typing import Literal, NamedTuple

from sightloop.inference.errors import UnreadableImage

MediaType = Literal["image/jpeg", "image/png", "image/webp", "image/bmp"]


class Outline(NamedTuple):
    """Kind and size of a stored picture, before its EXIF orientation is applied."""

    media_type: MediaType
    width_px: int
    height_px: int


def read_outline(content: bytes, *, name: str) -> Outline:
    """Kind and stored size of the image in `content`; `name` is for the error.

    Raises:
        UnreadableImage: it is of no known kind, or ends too early.
    """
    try:
        media_type, size_of = _kind_of(content)
        width_px, height_px = size_of(content)
    except _Broken as broken:
        raise UnreadableImage(name=name, problem=str(broken)) from None
    except struct.error:  # every read of a number that lies behind the end lands here
        raise UnreadableImage(name=name, problem="ends inside its header") from None
    if width_px < 1 or height_px < 1:
        raise UnreadableImage(name=name, problem=f"claims a size of {width_px} x {height_px} px")
    return Outline(media_type, width_px, height_px)


class _Broken(Exception):
    """Says in words that continue "it ..." what is wrong."""


_Size = tuple[int, int]


def _kind_of(content: bytes) -> tuple[MediaType, Callable[[bytes], _Size]]:
    if not content:
        raise _Broken("is empty")
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg", _size_of_jpeg
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png", _size_of_png
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return "image/webp", _size_of_webp
    if content.startswith(b"BM"):
        return "image/bmp", _size_of_bmp
    raise _Broken("is none of JPEG, PNG, WebP and BMP")


_START_OF_FRAME = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_END_OF_IMAGE = 0xD9
_WITHOUT_LENGTH = frozenset({0x01, 0xD8})
# Inside a scan, FF 00 is a byte of picture data and FF D0 to FF D7 are its restart marks.
_NEXT_SEGMENT = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


def _size_of_jpeg(content: bytes) -> _Size:
    size: _Size | None = None
    at = 2
    while found := _NEXT_SEGMENT.search(content, at):
        marker, at = content[found.end() - 1], found.end()
        if marker == _END_OF_IMAGE:
            if size is None:
                raise _Broken("holds no picture")
            return size
        if marker in _WITHOUT_LENGTH:
            continue
        if marker in _START_OF_FRAME:
            height_px, width_px = struct.unpack_from(">HH", content, at + 3)
            size = width_px, height_px
        at += struct.unpack_from(">H", content, at)[0]
    raise _Broken("ends before its end-of-image marker, so part of the picture is missing")


def _size_of_png(content: bytes) -> _Size:
    width_px, height_px = struct.unpack_from(">II", content, 16)
    view = memoryview(content)
    at = 8
    while True:
        (n_bytes,) = struct.unpack_from(">I", content, at)
        end = at + 8 + n_bytes
        if end + 4 > len(content):
            raise _Broken("ends inside a chunk, so part of the picture is missing")
        if zlib.crc32(view[at + 4 : end]) != struct.unpack_from(">I", content, end)[0]:
            raise _Broken(f"has a damaged chunk at byte {at}")
        if content[at + 4 : at + 8] == b"IEND":
            return width_px, height_px
        at = end + 4


def _size_of_webp(content: bytes) -> _Size:
    (n_bytes,) = struct.unpack_from("<I", content, 4)
    if len(content) < 8 + n_bytes:
        raise _Broken(f"has {len(content)} of the {8 + n_bytes} bytes its header promises")
    kind = content[12:16]
    if kind == b"VP8X":
        low_w, high_w, low_h, high_h = struct.unpack_from("<HBHB", content, 24)
        return (low_w | high_w << 16) + 1, (low_h | high_h << 16) + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", content, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise _Broken("holds no WebP picture")


def _size_of_bmp(content: bytes) -> _Size:
    (first_pixel,) = struct.unpack_from("<I", content, 10)
    (header_bytes,) = struct.unpack_from("<I", content, 14)
    if header_bytes == 12:  # the OS/2 form
        width_px, height_px, _, n_bits = struct.unpack_from("<HHHH", content, 18)
        compression, n_bytes = 0, 0
    else:
        width_px, height_px = struct.unpack_from("<ii", content, 18)
        n_bits, compression, n_bytes = struct.unpack_from("<HII", content, 28)
    height_px = abs(height_px)  # negative: the rows are stored from top to bottom
    if compression in (0, 3, 6):  # pixels as they are, every row padded to four bytes
        n_bytes = (max(width_px, 0) * n_bits + 31) // 32 * 4 * height_px
    if len(content) < first_pixel + n_bytes:
        raise _Broken(f"has {len(content)} of the {first_pixel + n_bytes} bytes of its pixels")
    return width_px, height_px
