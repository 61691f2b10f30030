"""Whether a server works on a workspace, and where it listens.

In a module of its own: every command asks, and must not load the server to hear that there is none.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from sightloop.kernel.files import write_atomic

SERVER_NOTE = "server.json"


class ServerNote(msgspec.Struct, frozen=True):
    """Where the server of a workspace listens; the command line looks here first."""

    url: str
    pid: int


@contextlib.contextmanager
def noted(state: Path, url: str) -> Iterator[None]:
    """Whoever asks learns of this process and its address, while the block runs."""
    path = state / SERVER_NOTE
    write_atomic(path, msgspec.json.encode(ServerNote(url, os.getpid())))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def running_server(state: Path) -> ServerNote | None:
    """The server that works on this workspace now, if one does."""
    try:
        note = msgspec.json.decode((state / SERVER_NOTE).read_bytes(), type=ServerNote)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    try:
        os.kill(note.pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:  # it is there, and another user's
        return note
    return note
