"""A fresh workspace in a folder, with time and ids under the test's control."""

from __future__ import annotations

from pathlib import Path

from sightloop.kernel.actors import LOCAL
from sightloop.kernel.blobs import LocalBlobs
from sightloop.kernel.clock import Clock
from sightloop.kernel.config import (
    CONFIG_NAME,
    STATE_FOLDER,
    Config,
    default_config_text,
    load_config,
)
from sightloop.kernel.database import Database, sqlite_url
from sightloop.kernel.workspace import Call, Workspace
from sightloop.testing import postgresql
from sightloop.testing.clock import CountingIds, ManualClock

LOCAL_CALL = Call(LOCAL)


def fresh_workspace(
    root: Path,
    *,
    config: Config | None = None,
    clock: Clock | None = None,
    database_url: str = "",
) -> Workspace:
    """A new, empty workspace with the tables of every room that is imported so far.

    Without a URL its database is where `place_database` puts those of this test run.
    """
    state = root / STATE_FOLDER
    state.mkdir(parents=True)
    place_database(root, database_url)
    db = Database(load_config(root, {}).database.url or sqlite_url(state / "sightloop.db"))
    db.create()
    return Workspace(
        root=root,
        config=config or Config(),
        db=db,
        blobs=LocalBlobs(state / "blobs"),
        clock=clock or ManualClock(),
        ids=CountingIds(),
    )


def place_database(root: Path, url: str = "") -> Path:
    """Have the workspace that will be in this folder keep its records at the URL; the folder.

    Without a URL that is inside the workspace, or on a PostgreSQL server where the environment
    asks for one.
    """
    if not url and postgresql.is_asked_for():
        url = postgresql.server().furnished()
    text = default_config_text()
    root.mkdir(parents=True, exist_ok=True)
    named = f'[database]\nurl = "{url}"\n' if url else "[database]\n"
    (root / CONFIG_NAME).write_text(text.replace("[database]\n", named))
    return root
