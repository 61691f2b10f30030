"""`sightloop.run` and `sightloop.autolog`: tracking from inside a program of one's own.

Like `wiring.py`, this stands above the rooms; none of them imports it. Nothing but the client is
loaded for a run that is sent to a server.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from sightloop.client.errors import NothingToAutolog
from sightloop.client.places import TOKEN, Target, choose_target, spool_folder
from sightloop.client.runs import Run
from sightloop.client.server_link import ServerLink
from sightloop.client.starting import start_run

if TYPE_CHECKING:
    from sightloop.client.links import Link

AUTOLOG = "sightloop.autolog"
"""The group of entry points: each is a function without arguments that makes a library track its
trainings through `sightloop.run`, and returns what it will track; it does so once, however often
it is called."""


def begin(
    experiment: str = "default",
    *,
    name: str = "",
    params: Mapping[str, object] | None = None,
    tags: Mapping[str, object] | None = None,
    server: str | None = None,
    workspace: str | os.PathLike[str] | None = None,
    capture: bool = True,
) -> Run:
    """See `sightloop.run`."""
    folder = None if workspace is None else Path(workspace)
    target = choose_target(server, folder, os.environ, Path.cwd())
    if target.workspace:
        # The database layer needs it, and it cannot be imported any more once the interpreter
        # shuts down, which is when a short script's run is forwarded.
        importlib.import_module("concurrent.futures.thread")
    return start_run(
        target,
        _link_to,
        root=spool_folder(),
        experiment=experiment,
        name=name,
        params=params,
        tags=tags,
        captures=capture,
    )


def install_autolog() -> list[str]:
    """See `sightloop.autolog`."""
    found = {entry.name: entry for entry in entry_points(group=AUTOLOG)}
    tracked: list[str] = []
    for name in sorted(found):
        install: Callable[[], str] = found[name].load()
        tracked.append(install())
    if not tracked:
        raise NothingToAutolog
    return tracked


def _link_to(target: Target) -> Link:
    if target.server:
        return ServerLink(target.server, os.environ.get(TOKEN, ""))
    # The database layer takes 0.4 s to load: on the forwarding thread, and only for a folder.
    from sightloop.server.run_links import WorkspaceLink
    from sightloop.wiring import open_workspace

    return WorkspaceLink(Path(target.workspace), open_workspace)
