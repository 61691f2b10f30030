"""Which way up an image is meant to be seen: its EXIF orientation, read without decoding it.

`inference.images` is the authority on upright pixels. This only tells which images need asking,
and how boxes drawn on the stored pixels turn with them.
"""

from __future__ import annotations

import struct

from sightloop.inference.containers import MediaType

UPRIGHT = 1
_ORIENTATION_TAG = 0x0112
_SHORT = 3
_KNOWN = range(1, 9)
_HEADER = b"Exif\x00\x00"
_PNG_HEADER_BYTES = 8
_START_OF_SCAN = b"\xff\xda"

_WHERE: dict[MediaType, tuple[bytes, int]] = {
    "image/jpeg": (_HEADER, len(_HEADER)),
    "image/png": (b"eXIf", 4),
    "image/webp": (b"EXIF", 8),
}
"""After which mark EXIF data stands in which kind of file, and how many bytes further on."""


def read_orientation(content: bytes, media_type: MediaType) -> int:
    """The value 1 to 8 of the file's orientation tag; 1 when it has none that means anything."""
    if media_type not in _WHERE:
        return UPRIGHT
    mark, n_bytes = _WHERE[media_type]
    if media_type == "image/png":
        at = _png_chunk(content, mark)
    else:
        # A JPEG has it in front of its first scan: most of the file need not be searched.
        end = content.find(_START_OF_SCAN) if media_type == "image/jpeg" else len(content)
        at = content.find(mark, 0, end)
    if at < 0:
        return UPRIGHT
    at += n_bytes
    if content.startswith(_HEADER, at):  # some writers put the JPEG header into WebP too
        at += len(_HEADER)
    try:
        return _orientation_in(memoryview(content)[at:])
    except struct.error:  # the directory points behind the end of the file
        return UPRIGHT


def _png_chunk(content: bytes, kind: bytes) -> int:
    """Where the name of the first chunk of that kind stands; -1 where there is none.

    From chunk to chunk: to search all pixels for four bytes takes ten times as long, and in a big
    picture four random bytes may well be those.
    """
    at = _PNG_HEADER_BYTES
    while at + 8 <= len(content):
        if content[at + 4 : at + 8] == kind:
            return at + 4
        at += 12 + int.from_bytes(content[at : at + 4], "big")
    return -1


def _orientation_in(tiff: memoryview) -> int:
    order = {b"II": "<", b"MM": ">"}.get(bytes(tiff[:2]))
    if order is None:
        return UPRIGHT
    (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
    (n_entries,) = struct.unpack_from(f"{order}H", tiff, directory)
    for index in range(n_entries):
        tag, kind, _, value = struct.unpack_from(f"{order}HHIH", tiff, directory + 2 + 12 * index)
        if (tag, kind) == (_ORIENTATION_TAG, _SHORT) and value in _KNOWN:
            return int(value)
    return UPRIGHT
