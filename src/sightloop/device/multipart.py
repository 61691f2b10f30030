"""Finding the one image in a `multipart/form-data` body. Pure.

Browsers and `curl -F image=@photo.jpg` send these. The body is in memory already and bounded, so
this reads it in one go and never writes a temporary file.
"""

from __future__ import annotations

import re

from sightloop.device.errors import MalformedBody

_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,70})"|([^\s;]{1,70}))', re.IGNORECASE)


def image_part(body: bytes, *, content_type: str) -> bytes:
    """The bytes of the first part that is a file.

    Raises:
        MalformedBody: there is no boundary, no file, or the last part is cut off.
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
    for piece in pieces[1:-1]:
        header, blank, content = piece.partition(b"\r\n\r\n")
        if blank and _is_file(header):
            return content
    raise MalformedBody(problem="no part of the multipart body is a file")


def _is_file(header: bytes) -> bool:
    lowered = header.lower()
    return b"filename=" in lowered or b"content-type: image/" in lowered
