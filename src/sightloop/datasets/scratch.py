"""Folders for what an import has to lay out before it can be read; gone when it is over."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NAME = "scratch"
_LOCK = ".lock"


@contextmanager
def scratch_folder(state: Path) -> Iterator[Path]:
    """An empty folder below the workspace's own, removed with all in it when the block ends.

    What processes that died left behind is removed first; that of others still at work is not.
    """
    root = state / _NAME
    root.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(root)
    folder = root / secrets.token_hex(8)
    lock = folder.with_suffix(_LOCK)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def _remove_abandoned(root: Path) -> None:
    for lock in root.glob(f"*{_LOCK}"):
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            lock.unlink(missing_ok=True)
        except BlockingIOError:
            pass  # its import is at work
        finally:
            os.close(descriptor)
