"""Paths for exported images: the names they came with, wherever that is possible."""

from __future__ import annotations

from pathlib import PurePosixPath

from sightloop.datasets.media import extension_of
from sightloop.datasets.values import Sample

_NAME_BYTES = 255
"""The longest file name that common file systems take."""


class FileNames:
    """Gives every image a path of its own below the folder, its old one where that is possible.

    Args:
        stems: two paths must differ in more than their suffix, because labels lie under the stem.
    """

    def __init__(self, *, stems: bool = False) -> None:
        self._stems: set[PurePosixPath] | None = set() if stems else None
        self._files: set[PurePosixPath] = set()
        self._folders: set[PurePosixPath] = set()

    def name_for(self, sample: Sample, wanted: str | None = None) -> str:
        """The path; taken from now on. `wanted` is another than the one it came with."""
        wanted = sample.file_name if wanted is None else wanted
        suffix = PurePosixPath(wanted).suffix
        stem = wanted.removesuffix(suffix)
        for name in (wanted, f"{stem}-{sample.id[:8]}{suffix}"):
            if _is_below(name) and self._take(PurePosixPath(name)):
                return name
        name = f"{sample.id}.{extension_of(sample.media_type)}"
        self._take(PurePosixPath(name))
        return name

    def _take(self, path: PurePosixPath) -> bool:
        folders = set(path.parents)
        if path in self._files or path in self._folders or folders & self._files:
            return False
        if self._stems is not None:
            if path.with_suffix("") in self._stems:
                return False
            self._stems.add(path.with_suffix(""))
        self._files.add(path)
        self._folders |= folders
        return True


def _is_below(name: str) -> bool:
    """Whether a path stays below the folder it is put into, and can be a path at all."""
    parts = PurePosixPath(name).parts
    fits = all(part not in ("..", "/") and len(part.encode()) <= _NAME_BYTES for part in parts)
    return bool(parts) and fits and "\0" not in name
