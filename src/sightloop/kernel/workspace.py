"""An opened workspace: what every service gets as its first argument."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sightloop.kernel.actors import Actor
from sightloop.kernel.clock import Clock
from sightloop.kernel.config import STATE_FOLDER, Config
from sightloop.kernel.ids import Ids
from sightloop.kernel.progress import Progress, silent

if TYPE_CHECKING:  # the command line's help must not wait for the database to be imported
    from sightloop.kernel.blobs import Blobs
    from sightloop.kernel.database import Database


@dataclass(frozen=True, slots=True, eq=False)
class Workspace:
    """The backends of one workspace, built once by `wiring.open_workspace`.

    Services take it instead of reaching for files, time or chance themselves. It may be shared
    by threads. Two are equal only if they are one.
    """

    root: Path
    config: Config
    db: Database
    blobs: Blobs
    clock: Clock
    ids: Ids

    @property
    def state(self) -> Path:
        """The folder with everything embedded: database, blobs, keys, jobs."""
        return self.root / STATE_FOLDER


@dataclass(frozen=True, slots=True)
class Call:
    """Who calls a service, and who watches it work."""

    actor: Actor
    progress: Progress = silent
