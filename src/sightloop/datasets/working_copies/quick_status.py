"""The status without opening the workspace: for a command that should answer at once."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import msgspec

from sightloop.datasets.working_copies.heads import quick_head
from sightloop.datasets.working_copies.status import CopyStatus, look_at_folder
from sightloop.kernel.config import STATE_FOLDER, load_config

DATABASE_NAME = "sightloop.db"


def quick_status(root: Path, folder: str) -> CopyStatus | None:
    """The status of an unchanged copy; None when the database of the workspace has to be asked.

    `root` is the workspace's folder.

    Raises:
        NotFound: the folder is no workspace.
        NoWorkingCopy: the folder belongs to none.
        NotOneCopy: none was named and there are several.
    """
    if load_config(root, os.environ).database.url:
        return None
    state = root.resolve() / STATE_FOLDER
    look = look_at_folder(state, folder)
    if not look.is_settled:
        return None
    status = look.status
    if not status.branch:
        return status
    try:
        head = quick_head(state / DATABASE_NAME, status.branch)
    except sqlite3.Error:
        return None
    return msgspec.structs.replace(status, head=head)
