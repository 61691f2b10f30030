"""Files with labels, opened so that a strange one neither hangs nor leads elsewhere."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_labels(path: Path, *, within: Path | None = None) -> BinaryIO:
    """The plain file, opened for reading.

    Args:
        path: the file.
        within: the data set's folder, out of which no symbolic link may lead; None for a file
            that the user named.

    Raises:
        OSError: it is not there, is no plain file, or lies elsewhere; `strerror` says which.
    """
    if within is not None and not _is_within(path, within):
        raise OSError(errno.ELOOP, f"it is a symbolic link that leads out of {within}", str(path))
    # Not blocking: what looks like a file may be a pipe to which nobody writes.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a plain file", str(path))
    return os.fdopen(descriptor, "rb")


def read_labels_file(path: Path, *, within: Path | None = None) -> bytes:
    """All bytes of the plain file; see `open_labels`.

    Raises:
        OSError: it is not there, is no plain file, or lies elsewhere; `strerror` says which.
    """
    with open_labels(path, within=within) as file:
        return file.read()


def folder_of(path: Path) -> Path | None:
    """What `within` is for a data set at this path: a folder holds its files, a file stands alone.

    >>> folder_of(Path("/no/such/file.json")) is None
    True
    """
    return path if path.is_dir() else None


def _is_within(path: Path, folder: Path) -> bool:
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except RuntimeError:  # links that lead in a circle
        return False
