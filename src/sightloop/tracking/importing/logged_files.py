"""Walking folders that others wrote: only plain files below them, in one order."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def files_below(folder: Path) -> Iterator[Path]:
    """Regular files at any depth, by name; links are not followed, and not given."""
    for top, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(top, name)
            if path.is_file() and not path.is_symlink():
                yield path


def name_below(path: Path, root: Path) -> str:
    """The path as it is called below the root; the root itself by its own name."""
    return root.resolve().name if path == root else path.relative_to(root).as_posix()
