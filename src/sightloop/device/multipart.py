"""Finding the images in a `multipart/form-data` body. Pure.

Browsers and `curl -F image=@photo.jpg` send these. The body is in memory already and bounded, so
this reads it in one go and never writes a temporary file.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from sightloop.device.errors import MalformedBody

_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,70})"|([^\s;]{1,70}))', re.IGNORECASE)


MOST_FILES = 64
_NAME = re.compile(rb'[; ]name="([^"]{0,200})"', re.IGNORECASE)


class FilePart(NamedTuple):
    """A part that is a file."""

    name: str
    """Of the field."""
    content: bytes


def file_parts(body: bytes, *, content_type: str) -> list[FilePart]:
    """The parts that are files, in their order; at least one.

    Raises:
        MalformedBody: there is no boundary, no file or too many, or the last part is cut off.
    """
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise MalformedBody(problem="the multipart content type names no boundary")
    delimiter = b"--" + (found.group(1) or found.group(2)).encode()
    # Every part is followed by a delimiter on a line of its own; what comes before the first
    # delimiter and after the last is not content.
    pieces = (b"\r\n" + body).split(b"\r\n" + delimiter)
    if len(pieces) < 3 or not pieces[-1].startswith(b"--"):
        raise MalformedBody(problem="the multipart body is cut off before its last boundary")
    files = []
    for piece in pieces[1:-1]:
        header, blank, content = piece.partition(b"\r\n\r\n")
        if blank and _is_file(header):
            name = _NAME.search(header)
            files.append(FilePart(name[1].decode(errors="replace") if name else "", content))
    if not files:
        raise MalformedBody(problem="no part of the multipart body is a file")
    if len(files) > MOST_FILES:
        raise MalformedBody(problem=f"it has {len(files)} files; send {MOST_FILES} at most")
    return files


def _is_file(header: bytes) -> bool:
    lowered = header.lower()
    return b"filename=" in lowered or b"content-type: image/" in lowered
