"""The status of a working copy as a service: the folder's, and where its branch is."""

from __future__ import annotations

import msgspec

from sightloop.datasets.branches import head_of
from sightloop.datasets.working_copies.edits import read_edits
from sightloop.datasets.working_copies.status import CopyStatus, look_at_folder
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.progress import silent
from sightloop.kernel.workspace import Call, Workspace


class ShowStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Which working copy."""

    folder: str = ""
    """Absolute; in it or below it. Empty: the only copy there is."""


def show_status(workspace: Workspace, call: Call, request: ShowStatus) -> CopyStatus:
    """What a commit of the folder would take and leave out, and whether its branch moved on.

    Reads nothing but the folder's names and stamps, and the bytes of files whose stamp differs.

    Raises:
        NoWorkingCopy: the folder belongs to none.
        NotOneCopy: none was named and there are several.
        SightloopError: a changed label file as a whole cannot be read.
    """
    require(call.actor, Permission.READ)
    look = look_at_folder(workspace.state, request.folder)
    status = look.status
    if not look.is_settled and status.unfinished is None:
        edits = read_edits(workspace, look.copy, look.found, progress=silent, is_kept=False)
        status = msgspec.structs.replace(
            status, problems=list(edits.problems), new_classes=list(edits.new_classes)
        )
    if not status.branch:
        return status
    with workspace.db.read() as tx:
        return msgspec.structs.replace(status, head=head_of(tx, status.branch))
