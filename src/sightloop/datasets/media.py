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


def media_type_of(ending: str) -> str | None:
    """Which kind of image a file's name promises; None where it promises none that is read here.

    >>> media_type_of(".jpeg"), media_type_of(".txt")
    ('image/jpeg', None)
    """
    if ending == ".jpeg":
        return "image/jpeg"
    return next((one for one, usual in _EXTENSIONS.items() if ending == f".{usual}"), None)
