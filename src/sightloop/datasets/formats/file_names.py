"""Paths for exported images: the names they came with, wherever that is possible."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sightloop.datasets.media import extension_of
from sightloop.datasets.values import Sample

_NAME_BYTES = 255
"""The longest file name that common file systems take."""


class FileNames:
    """Gives every image a path of its own below the folder, its old one where that is possible.

    Args:
        taken: paths that are in use already.
        visible: whether names that begin with a dot are replaced.
        stems: two paths must differ in more than their ending, because labels lie under the stem.
    """

    def __init__(
        self, taken: Iterable[str] = (), *, visible: bool = False, stems: bool = False
    ) -> None:
        self._visible = visible
        self._stems: set[str] | None = set() if stems else None
        self._files = set(taken)
        self._folders: set[str] = set()
        for folder in {path.rpartition("/")[0] for path in self._files} - {""}:
            self._folders.add(folder)
            self._folders.update(_folders_above(folder))

    def name_for(self, sample: Sample, wanted: str | None = None) -> str:
        """The path; taken from now on. `wanted` is another than the one it came with."""
        *wished, last = names_of(sample, wanted)
        for name in wished:
            is_hidden = self._visible and (name[:1] == "." or "/." in name)
            if _is_below(name) and not is_hidden and self._take(name):
                return name
        self._take(last)
        return last

    def _take(self, path: str) -> bool:
        folders = list(_folders_above(path))
        if path in self._files or path in self._folders or not self._files.isdisjoint(folders):
            return False
        if self._stems is not None:
            stem = _split_name(path)[0]
            if stem in self._stems:
                return False
            self._stems.add(stem)
        self._files.add(path)
        self._folders.update(folders)
        return True


def names_of(sample: Sample, wanted: str | None = None) -> Sequence[str]:
    """The paths a sample's image may get: first its own, then others where that is taken."""
    wanted = sample.file_name if wanted is None else wanted
    stem, ending = _split_name(wanted)
    return (
        wanted,
        f"{stem}-{sample.id[:8]}{ending}",
        f"{sample.id}.{extension_of(sample.media_type)}",
    )


def _split_name(path: str) -> tuple[str, str]:
    """The path without its ending, and the ending with its dot."""
    folder, slash, file = path.rpartition("/")
    stem, dot, ending = file.rpartition(".")
    if not stem:
        stem, dot, ending = file, "", ""
    return f"{folder}{slash}{stem}", f"{dot}{ending}"


def _folders_above(path: str) -> Iterable[str]:
    end = path.rfind("/")
    while end > 0:
        yield path[:end]
        end = path.rfind("/", 0, end)


def _is_below(name: str) -> bool:
    """Whether a path stays below the folder it is put into, and can be a path at all."""
    return "\0" not in name and all(
        part not in ("", ".", "..") and _fits(part) for part in name.split("/")
    )


def _fits(part: str) -> bool:
    if len(part) <= _NAME_BYTES and part.isascii():
        return True
    try:
        return len(part.encode()) <= _NAME_BYTES
    except UnicodeEncodeError:  # half a character
        return False
