"""The run that is trained again, as its record has it."""

from __future__ import annotations

from typing import NamedTuple

from sightloop.contracts.decode import WrongFormat, decode
from sightloop.contracts.job import CHECKPOINT_ARTIFACT
from sightloop.kernel.blobs import BlobMissing
from sightloop.kernel.digests import Digest
from sightloop.kernel.environment import Environment
from sightloop.kernel.workspace import Workspace
from sightloop.tracking import store as tracking
from sightloop.tracking.artifacts import artifacts_of
from sightloop.tracking.values import Run
from sightloop.training.launcher import LOG_NAME
from sightloop.training.reproducing.errors import NoRecipe, RecordGone


class Original(NamedTuple):
    """The run that is repeated, with what is kept of it."""

    run: Run
    environment: Environment
    log: str
    checkpoint: bytes | None
    """None when the store no longer has it."""


def read_original(workspace: Workspace, run_id: str) -> Original:
    """What the record says of a run.

    Raises:
        RunUnknown: there is no such run.
        NoRecipe: Sightloop did not train it, or it did not finish.
        RecordGone: its environment is no longer in the store.
    """
    with workspace.db.read() as tx:
        run = tracking.find_run(tx, run_id)
        artifacts = artifacts_of(tx, run_id)
    if run.inputs is None:
        raise NoRecipe(what=f"run {run.id}", why="somebody else's code trained and only told of it")
    if run.state != "finished":
        raise NoRecipe(what=f"run {run.id}", why=f"it is {run.state}")
    try:
        content = workspace.blobs.read(run.inputs.environment)
        environment = decode(content, Environment, what=f"environment of {run.id}")
    except (BlobMissing, WrongFormat) as error:
        raise RecordGone(what="environment", name=run.inputs.environment, of=run.id) from error
    return Original(
        run=run,
        environment=environment,
        log=_read(workspace, artifacts.get(LOG_NAME)).decode(errors="replace"),
        checkpoint=_read(workspace, artifacts.get(CHECKPOINT_ARTIFACT)) or None,
    )


def _read(workspace: Workspace, digest: Digest | None) -> bytes:
    try:
        return b"" if digest is None else workspace.blobs.read(digest)
    except BlobMissing:
        return b""  # the proof says what could not be compared
