"""How files of each kind of image are called."""

from __future__ import annotations

_EXTENSIONS = {
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "image/bmp": "bmp",
}

IMAGE_ENDINGS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"}
)
"""Endings, in lower case, of files that somebody means as images; not all can be read."""


def extension_of(media_type: str) -> str:
    """The usual ending of such a file's name, without a dot.

    >>> extension_of("image/jpeg")
    'jpg'
    """
    return _EXTENSIONS.get(media_type, "image")
