"""Folders that are there whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sightloop.datasets.errors import FolderInUse
from sightloop.kernel.files import disk_errors


@contextmanager
def new_folder(folder: Path, *, mode: int) -> Iterator[Path]:
    """Fill the yielded folder; when the block ends without an error, it is `folder`.

    What an earlier process left half filled is removed first. Not meant for two writers of one
    folder.

    Raises:
        FolderInUse: `folder` holds something, or is no folder.
        DiskFull: no room; what was written is removed.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise FolderInUse(folder=str(folder))
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    with disk_errors(folder):
        partial.mkdir(mode=mode, parents=True)
        try:
            yield partial
            partial.replace(folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
