"""Files that are either all there or not there, also after a power cut."""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sightloop.kernel.errors import DiskFull


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Say "disk full" where the system says ENOSPC or EDQUOT.

    Raises:
        DiskFull: a write inside the block found no room.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(path=str(path)) from error
        raise


def write_atomic(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Make `path` hold exactly `content`, durably; a reader sees the old bytes or the new ones.

    Raises:
        DiskFull: no room; the old file is untouched.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    with disk_errors(path):
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_filesystem(folder: Path) -> None:
    """Make everything written so far to the file system of `folder` durable: one barrier.

    Calling fsync for each of 10,000 files costs about 10 s where this costs one flush. Where the
    system has no such call (macOS), the whole machine is synced instead.
    """
    if sys.platform == "linux":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            if _LIBC.syncfs(descriptor) != 0:
                code = ctypes.get_errno()
                raise OSError(code, os.strerror(code), str(folder))
        finally:
            os.close(descriptor)
    else:
        os.sync()


_LIBC = ctypes.CDLL(None, use_errno=True)
