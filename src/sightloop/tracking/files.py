"""The files that belong to a run: what it left, the environment it ran in, the changes to its code.

What is found is a digest; whoever asked reads the blob.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from sightloop.kernel.actors import Permission, require
from sightloop.kernel.digests import Digest
from sightloop.kernel.errors import NotFound
from sightloop.kernel.workspace import Call, Workspace
from sightloop.tracking import store
from sightloop.tracking.artifacts import artifacts_of
from sightloop.tracking.values import Run

What = Literal["artifact", "environment", "patch"]


class FindFile(msgspec.Struct, frozen=True, kw_only=True):
    """Which file of which run; only an artifact has a name."""

    run: str
    what: What = "artifact"
    name: str = ""


class RunFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file by the blob that holds its bytes."""

    name: str
    digest: Digest
    size_bytes: int


def find_file(workspace: Workspace, call: Call, request: FindFile) -> RunFile:
    """Where the file's bytes are.

    Raises:
        NotAllowed: the actor may not read.
        RunUnknown: there is no such run.
        NotFound: the run has no such file.
        BlobMissing: the store has lost it.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        run = store.find_run(tx, request.run)
        artifacts = artifacts_of(tx, run.id)
    if request.what == "artifact":
        name, digest = request.name, artifacts.get(request.name)
    else:
        name, digest = _input_of(run, request.what)
    if digest is None:
        hint = f"`sightloop runs show {run.id}` lists what it left"
        raise NotFound(what="file of the run", name=name[:200], hint=hint)
    return RunFile(name=name, digest=digest, size_bytes=workspace.blobs.size_bytes(digest))


def _input_of(run: Run, what: Literal["environment", "patch"]) -> tuple[str, Digest | None]:
    if what == "environment":
        return "environment.json", run.training.environment
    return "changes.patch", run.training.code.patch
