"""Files that are in the way, moved aside instead of removed.

Where a file system discards freed blocks at once, removing a file takes a millisecond: the files of
this bench would take longer to remove than to measure. They go when everything else is done.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

ENOUGH_BYTES = 15 * 10**9
"""With less than this free, what lies in the trash is removed now after all."""


def throw_away(path: Path) -> None:
    """The path is free again; its content goes into `trash/` beside its folder."""
    trash = path.parent.parent / "trash"
    trash.mkdir(exist_ok=True)
    path.rename(Path(tempfile.mkdtemp(dir=trash)) / path.name)
    if is_short_of_space(trash):
        print("  little space is left: removing what is done with", flush=True)
        shutil.rmtree(trash)


def is_short_of_space(folder: Path) -> bool:
    """Whether it is better to wait for a removal than to go on."""
    return shutil.disk_usage(folder).free < ENOUGH_BYTES
