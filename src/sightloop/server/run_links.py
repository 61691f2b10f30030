"""Links from the tracking client to a workspace on this machine, and to whatever a spool names."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from sightloop.client.errors import TargetAway, TargetRefused
from sightloop.client.links import Link
from sightloop.client.places import TOKEN, Target
from sightloop.client.server_link import ServerLink
from sightloop.contracts.tracking import BeginTracking, EndTracking, TrackBatch
from sightloop.kernel.actors import LOCAL
from sightloop.kernel.errors import Damaged, NotFound, SightloopError, Unavailable
from sightloop.kernel.workspace import Call, Workspace

OpenWorkspace = Callable[[Path], Workspace]


class WorkspaceLink:
    """Hands records to the services of tracking, as the person at the keyboard.

    The database is loaded at the first record, on the forwarding thread.
    """

    def __init__(self, folder: Path, open_workspace: OpenWorkspace) -> None:
        self._folder = folder
        self._open_workspace = open_workspace
        self._workspace: Workspace | None = None

    def begin(self, request: BeginTracking) -> None:
        """See `Link.begin`."""
        from sightloop.tracking.receiving import begin_tracking

        self._call(lambda workspace, call: begin_tracking(workspace, call, request))

    def log(self, request: TrackBatch) -> None:
        """See `Link.log`."""
        from sightloop.tracking.receiving import take_batch

        self._call(lambda workspace, call: take_batch(workspace, call, request))

    def end(self, request: EndTracking) -> None:
        """See `Link.end`."""
        from sightloop.tracking.receiving import end_tracking

        self._call(lambda workspace, call: end_tracking(workspace, call, request))

    def upload(self, run: str, name: str, file: Path) -> None:
        """See `Link.upload`."""
        from sightloop.tracking.uploading import keep_artifact

        self._call(
            lambda workspace, call: keep_artifact(workspace, call, owner=run, name=name, file=file)
        )

    def close(self) -> None:
        """See `Link.close`."""
        if self._workspace is not None:
            self._workspace.db.close()
            self._workspace = None

    def _call(self, service: Callable[[Workspace, Call], object]) -> None:
        target = f"the workspace {self._folder}"
        try:
            if self._workspace is None:
                self._workspace = self._open_workspace(self._folder)
            service(self._workspace, Call(LOCAL))
        # What is gone may come back (a disk that is not mounted), what is damaged be restored.
        except (Unavailable, NotFound, Damaged) as error:
            raise TargetAway(target=target, problem=error.message) from error
        except SightloopError as error:
            raise TargetRefused(target=target, problem=error.message) from error


def link_to(target: Target, open_workspace: OpenWorkspace) -> Link:
    """A link to what a spool names; the token of a server comes from the environment."""
    if target.server:
        return ServerLink(target.server, os.environ.get(TOKEN, ""))
    return WorkspaceLink(Path(target.workspace), open_workspace)
