"""A fresh workspace in a folder, with time and ids under the test's control."""

from __future__ import annotations

from pathlib import Path

from sightloop.kernel.actors import LOCAL
from sightloop.kernel.blobs import LocalBlobs
from sightloop.kernel.clock import Clock
from sightloop.kernel.config import CONFIG_NAME, STATE_FOLDER, Config, default_config_text
from sightloop.kernel.database import Database, sqlite_url
from sightloop.kernel.workspace import Call, Workspace
from sightloop.testing.clock import CountingIds, ManualClock

LOCAL_CALL = Call(LOCAL)


def fresh_workspace(
    root: Path, *, config: Config | None = None, clock: Clock | None = None
) -> Workspace:
    """A new, empty workspace with the tables of every room that is imported so far."""
    state = root / STATE_FOLDER
    state.mkdir(parents=True)
    (root / CONFIG_NAME).write_text(default_config_text())
    db = Database(sqlite_url(state / "sightloop.db"))
    db.create()
    return Workspace(
        root=root,
        config=config or Config(),
        db=db,
        blobs=LocalBlobs(state / "blobs"),
        clock=clock or ManualClock(),
        ids=CountingIds(),
    )
