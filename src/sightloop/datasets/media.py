"""How files of each kind of image are called."""

from __future__ import annotations

_EXTENSIONS = {
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "image/bmp": "bmp",
}


def extension_of(media_type: str) -> str:
    """The usual ending of such a file's name, without a dot.

    >>> extension_of("image/jpeg")
    'jpg'
    """
    return _EXTENSIONS.get(media_type, "image")
