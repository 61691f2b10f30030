"""One pass over a folder: every file with its stamp, and what cannot be a file of a data set."""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

TEMPORARY = ".sightloop-"
"""How files begin that a checkout has not finished."""

_IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


class Stamp(NamedTuple):
    """What tells, without reading a file, that it is still the one that was read."""

    size_bytes: int
    mtime_ns: int
    inode: int


class Oddity(NamedTuple):
    """Something in the folder that is not looked at, and why."""

    path: str
    why: str
    is_link: bool = False


class Scan(NamedTuple):
    """The plain files below a folder, by path with forward slashes, and what else is there."""

    files: dict[str, Stamp]
    oddities: list[Oddity]


def scan_folder(root: str) -> Scan:
    """Every plain file below `root`. Names that begin with a dot are not looked at.

    Symbolic links are never followed, so that nothing outside the folder is seen.
    """
    found = Scan({}, [])
    folders = [""]
    while folders:
        folder = folders.pop()
        with os.scandir(f"{root}/{folder}" if folder else root) as entries:
            for entry in entries:
                name = entry.name
                if name[0] == ".":
                    continue
                path = folder + name
                if entry.is_dir(follow_symlinks=False):
                    folders.append(f"{path}/")
                    continue
                _note(found, path, entry)
    return found


def stamp_of(facts: os.stat_result) -> Stamp:
    """The stamp in these facts."""
    return Stamp(facts.st_size, facts.st_mtime_ns, facts.st_ino)


def stamp_at(path: str) -> Stamp | None:
    """The stamp of a plain file; None when there is none."""
    try:
        facts = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return stamp_of(facts) if stat.S_ISREG(facts.st_mode) else None


def is_image_name(path: str) -> bool:
    """Whether a file's name says that it is an image.

    >>> is_image_name("a/B.JPG"), is_image_name("labels/a.txt")
    (True, False)
    """
    return path.lower().endswith(_IMAGE_ENDINGS)


def readable_name(path: str) -> str:
    """The path as it can be printed: what is no UTF-8 stands as hexadecimal digits."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _note(found: Scan, path: str, entry: os.DirEntry[str]) -> None:
    if entry.is_symlink():
        text = "it is a symbolic link; its target may change"
        found.oddities.append(Oddity(readable_name(path), text, is_link=True))
        return
    if not path.isascii() and not _is_utf8(path):
        why = "its name is not UTF-8; rename it"
        found.oddities.append(Oddity(readable_name(path), why))
        return
    try:
        facts = entry.stat(follow_symlinks=False)
    except FileNotFoundError:  # gone since the folder was listed
        return
    if stat.S_ISREG(facts.st_mode):
        found.files[path] = Stamp(facts.st_size, facts.st_mtime_ns, facts.st_ino)
    else:
        found.oddities.append(Oddity(path, "it is a pipe, a socket or a device, not a plain file"))


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
