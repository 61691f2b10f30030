"""Builds the real backends from the configuration: the only file that sees every room."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from pathlib import Path

from sightloop.datasets.remotes.promises import explain_missing
from sightloop.kernel import tokens
from sightloop.kernel.actors import OWNER, Role
from sightloop.kernel.blobs import LocalBlobs
from sightloop.kernel.clock import Clock, SystemClock
from sightloop.kernel.config import (
    CONFIG_NAME,
    STATE_FOLDER,
    Config,
    ConfigError,
    default_config_text,
    load_config,
)
from sightloop.kernel.database import Database, declare_tables_by, sqlite_url
from sightloop.kernel.events import subscribe
from sightloop.kernel.files import write_atomic
from sightloop.kernel.ids import TimeSortedIds
from sightloop.kernel.workspace import Workspace
from sightloop.tracking.experiments import create_default

ROOMS_WITH_TABLES = (
    "kernel.audit",
    "kernel.events",
    "kernel.steps",
    "kernel.tokens",
    "datasets.remotes.store",
    "datasets.merges",
    "datasets.store",
    "datasets.tombstones",
    "tracking.batches",
    "tracking.tables",
    "tracking.importing.marks",
    "tracking.inputs",
    "tracking.logged_models",
    "training.store",
    "training.sweeps.store",
    "evaluation.store",
    "registry.build_verdicts",
    "registry.foreign",
    "registry.store",
    "registry.reproductions",
    "telemetry.store",
    "monitoring.store",
    "review.store",
    "fleet.agent_releases",
    "fleet.removed_store",
    "fleet.rollout_store",
    "fleet.store",
    "loop.destinations",
    "loop.turns",
    "loop.settings",
)
"""Modules that declare tables; importing them tells the database of every table."""


def open_workspace(
    root: Path, environment: Mapping[str, str] = os.environ, *, clock: Clock | None = None
) -> Workspace:
    """The workspace in this folder, checked and ready.

    Raises:
        NotFound: the folder is no workspace.
        ConfigError: its settings cannot be used.
        WorkspaceTooNew: a later Sightloop wrote its database.
    """
    workspace = _build(root, load_config(root, environment), clock or SystemClock())
    workspace.db.check()
    return workspace


def create_workspace(
    root: Path, environment: Mapping[str, str] = os.environ, *, clock: Clock | None = None
) -> Workspace:
    """Make a workspace in this folder; one that is there already is completed, not changed."""
    # Only a new workspace needs these; opening one must not wait for every room.
    from sightloop.fleet.update_repository import create_repository
    from sightloop.loop.notifying import NEWS, NEWS_EVENTS
    from sightloop.loop.reactions import LOOP, REACTIONS

    (root / STATE_FOLDER).mkdir(parents=True, exist_ok=True)
    if not (root / CONFIG_NAME).exists():
        write_atomic(root / CONFIG_NAME, default_config_text().encode())
    workspace = _build(root, load_config(root, environment), clock or SystemClock())
    workspace.db.create()
    with workspace.db.write() as tx:
        create_default(tx, now_ms=workspace.clock.now_ms())
    create_repository(workspace)
    with workspace.db.write() as tx:
        # Before anything can happen: an event that nobody is subscribed to yet is nobody's.
        subscribe(tx, LOOP, REACTIONS)
        subscribe(tx, NEWS, NEWS_EVENTS)
    return workspace


def ensure_token(workspace: Workspace) -> str:
    """The workspace's own token, made at the first call and kept in `.sightloop/token`.

    Once it was revoked, the next call makes another: that is how it is replaced.
    """
    path = workspace.state / "token"
    known = path.read_text().strip() if path.exists() else ""
    with workspace.db.write() as tx:
        if tokens.is_valid(tx, known, now_ms=workspace.clock.now_ms()):
            return known
        token = tokens.issue(
            tx,
            actor=OWNER,
            kind="person",
            role=Role.ADMIN,
            now_ms=workspace.clock.now_ms(),
        )
    write_atomic(path, f"{token}\n".encode(), mode=0o600)
    return token


def _declare_tables() -> None:
    for name in ROOMS_WITH_TABLES:
        importlib.import_module(f"sightloop.{name}")


declare_tables_by(_declare_tables)


def _build(root: Path, config: Config, clock: Clock) -> Workspace:
    state = root.resolve() / STATE_FOLDER
    db = Database(config.database.url or sqlite_url(state / "sightloop.db"))
    return Workspace(
        root=root.resolve(),
        config=config,
        db=db,
        blobs=LocalBlobs(_blob_folder(config, state), explain=explain_missing(db)),
        clock=clock,
        ids=TimeSortedIds(clock),
    )


def _blob_folder(config: Config, state: Path) -> Path:
    url = config.blobs.url
    if not url:
        return state / "blobs"
    if not url.startswith("file://"):
        raise ConfigError(where=CONFIG_NAME, problem=f"blobs url {url!r} is not a file:// address")
    return Path(url.removeprefix("file://"))
