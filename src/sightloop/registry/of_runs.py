"""Which versions of models were made of a run."""

from __future__ import annotations

import msgspec
from sqlalchemy import select

from sightloop.kernel.actors import Permission, require
from sightloop.kernel.workspace import Call, Workspace
from sightloop.registry.store import version_table
from sightloop.registry.values import ModelVersion


class ShowVersionsOfRun(msgspec.Struct, frozen=True, kw_only=True):
    """Which run."""

    run: str


class VersionsOfRun(msgspec.Struct, frozen=True, kw_only=True):
    """By model and number; none of a run that is not known."""

    versions: list[ModelVersion]


def versions_of_run(workspace: Workspace, call: Call, request: ShowVersionsOfRun) -> VersionsOfRun:
    """The versions that were packaged from what the run left.

    Raises:
        NotAllowed: the actor may not read.
    """
    require(call.actor, Permission.READ)
    table = version_table()
    query = select(table).where(table.c.run == request.run)
    with workspace.db.read() as tx:
        rows = tx.execute(query.order_by(table.c.model, table.c.number)).mappings().all()
    return VersionsOfRun(versions=[ModelVersion(**row) for row in rows])
