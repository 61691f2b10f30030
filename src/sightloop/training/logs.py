"""What an engine printed: live from the job's folder, afterwards from what the run left."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from sightloop.kernel.actors import Permission, require
from sightloop.kernel.workspace import Call, Workspace
from sightloop.tracking import store as tracking
from sightloop.tracking.artifacts import artifacts_of
from sightloop.training import store
from sightloop.training.folders import folder_of, tail_of
from sightloop.training.launcher import LOG_NAME


class ShowLog(msgspec.Struct, frozen=True, kw_only=True):
    """The end of which run's output."""

    run: str
    lines: Annotated[int, Meta(ge=1, le=2000)] = 200


class LogTail(msgspec.Struct, frozen=True, kw_only=True):
    """The last lines, without terminal codes."""

    run: str
    text: str
    is_live: bool
    """Whether the job runs, so that more will come."""


def show_log(workspace: Workspace, call: Call, request: ShowLog) -> LogTail:
    """The end of what the run's engine printed; "" when it printed nothing.

    Raises:
        NotAllowed: the actor may not read.
        RunUnknown: there is no such run.
        BlobMissing: the store has lost it.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        run = tracking.find_run(tx, request.run)
        # Only a job's run id is sure to name a folder of ours and nothing outside it.
        is_live = store.look_up_job(tx, run.id) is not None
        digest = artifacts_of(tx, run.id).get(LOG_NAME)
    text = ""
    if is_live:
        text = tail_of(folder_of(workspace, run.id).log_file, n_lines=request.lines)
    elif digest is not None:
        text = tail_of(workspace.blobs.local_path(digest), n_lines=request.lines)
    return LogTail(run=run.id, text=text, is_live=is_live)
