"""Plain facts about a workspace: where it is, how big it has become, who made what runs it."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from sightloop import __version__
from sightloop.kernel import audit
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.audit import Seal
from sightloop.kernel.database import SCHEMA_VERSION
from sightloop.kernel.events import newest_number
from sightloop.kernel.workspace import Call, Workspace

COUNT_FOR_S = 0.1
"""Counting a folder of blobs stops after so long and says "at least"."""


class ShowWorkspace(msgspec.Struct, frozen=True, kw_only=True):
    """The workspace as a whole."""


class WorkspaceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator asks first."""

    folder: str
    version: str
    python: str
    schema_version: int
    database: str
    """Its address, without credentials."""
    database_bytes: int | None
    """None when it is not a file of this machine."""
    n_blobs: int
    blob_bytes: int
    blobs_are_counted: bool
    """False when there are more blobs than could be counted at once."""
    free_disk_bytes: int
    n_events: int
    newest_seal: Seal | None


class Counted(NamedTuple):
    """Files in a folder, as far as they were counted in time."""

    n_files: int
    n_bytes: int
    is_complete: bool


def show_workspace(workspace: Workspace, call: Call, request: ShowWorkspace) -> WorkspaceFacts:  # noqa: ARG001
    """Folder, versions, sizes and the newest seal, within about a tenth of a second.

    Raises:
        NotAllowed: the actor may not read.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        n_events, seal = newest_number(tx), audit.latest(tx)
    url = workspace.config.blobs.url
    folder = Path(url.removeprefix("file://")) if url else workspace.state / "blobs"
    blobs = count_files(folder, workspace.clock.monotonic_s)
    return WorkspaceFacts(
        folder=str(workspace.root),
        version=__version__,
        python=platform.python_version(),
        schema_version=SCHEMA_VERSION,
        database=workspace.db.shown_url,
        database_bytes=_database_bytes(workspace.db.url),
        n_blobs=blobs.n_files,
        blob_bytes=blobs.n_bytes,
        blobs_are_counted=blobs.is_complete,
        free_disk_bytes=shutil.disk_usage(workspace.state).free,
        n_events=n_events,
        newest_seal=seal,
    )


def count_files(folder: Path, now_s: Callable[[], float]) -> Counted:
    """How many files there are below the folder and how big they are; stops when it takes long."""
    began_s = now_s()
    n_files = n_bytes = 0
    folders = [folder] if folder.is_dir() else []
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if now_s() - began_s > COUNT_FOR_S:
                    return Counted(n_files, n_bytes, is_complete=False)
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                    continue
                with suppress(FileNotFoundError):  # a temporary file that has its name by now
                    n_bytes += entry.stat(follow_symlinks=False).st_size
                    n_files += 1
    return Counted(n_files, n_bytes, is_complete=True)


def _database_bytes(url: str) -> int | None:
    if not url.startswith("sqlite:///"):
        return None
    main = Path(url.removeprefix("sqlite:///"))
    parts = (main, main.with_name(f"{main.name}-wal"))
    return sum(part.stat().st_size for part in parts if part.exists())
