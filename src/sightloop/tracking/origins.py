"""Where a run comes from, as far as its program or client told: data, code, command, machine."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.workspace import Call, Workspace
from sightloop.tracking import store
from sightloop.tracking.artifacts import find_artifact
from sightloop.tracking.inputs import CONTEXT_TAG, datasets_of
from sightloop.tracking.labels import tags_of

PATCH_FILE, ENVIRONMENT_FILE = "sightloop/code.patch", "sightloop/environment.json"
"""How the client of this package calls what it captures."""
_TOLD = {
    "git": "mlflow.source.git.commit",
    "is_dirty": "sightloop.git.dirty",
    "command": "sightloop.command",
    "source": "mlflow.source.name",
    "hardware": "sightloop.hardware",
    "host": "sightloop.host",
    "python": "sightloop.python",
}


class ShowOrigins(msgspec.Struct, frozen=True, kw_only=True):
    """Which run."""

    run: str


class UsedData(msgspec.Struct, frozen=True, kw_only=True):
    """A data set that the run used, as its client describes it."""

    name: str
    digest: str
    context: str


class RunOrigins(msgspec.Struct, frozen=True, kw_only=True):
    """What was told; empty where nothing was."""

    data: list[UsedData]
    git: str
    is_dirty: bool
    patch: str
    """The artifact with the changes to the code."""
    environment: str
    """The artifact with interpreter, packages and machine."""
    command: str
    hardware: str
    host: str
    python: str


def show_origins(workspace: Workspace, call: Call, request: ShowOrigins) -> RunOrigins:
    """Where the run comes from.

    Raises:
        NotAllowed: the actor may not read.
        RunUnknown: there is no such run.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        run = store.find_run(tx, request.run).id
        tags = tags_of(tx, run)
        used = datasets_of(tx, [run])[run]
        told = told_of(tags)
        return RunOrigins(
            data=[
                UsedData(
                    name=one.dataset.name,
                    digest=one.dataset.digest,
                    context=dict(one.tags).get(CONTEXT_TAG, ""),
                )
                for one in used
            ],
            git=told["git"],
            is_dirty=told["is_dirty"] == "true",
            patch=_file(tx, run, PATCH_FILE),
            environment=_file(tx, run, ENVIRONMENT_FILE),
            command=told["command"] or told["source"],
            hardware=told["hardware"],
            host=told["host"],
            python=told["python"],
        )


def told_of(tags: Mapping[str, str]) -> dict[str, str]:
    """What these tags of a run tell, by the name of the field; empty where they say nothing.

    >>> told_of({"mlflow.source.git.commit": "1f3a", "line": "A"})["git"]
    '1f3a'
    """
    return {field: tags.get(tag, "") for field, tag in _TOLD.items()}


def _file(tx: Tx, run: str, name: str) -> str:
    return "" if find_artifact(tx, run, name) is None else name
