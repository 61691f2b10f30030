"""Where a training starts: another run's checkpoint, a file, or a name only the engine knows.

Whatever we hold ourselves is kept as a blob before the run starts, so that the run says for ever
which weights it started from, and the engine gets a copy of its own.
"""

from __future__ import annotations

from pathlib import Path

from sightloop.contracts.job import CHECKPOINT_ARTIFACT
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Workspace
from sightloop.tracking import store as tracking
from sightloop.tracking.artifacts import artifacts_of
from sightloop.training.errors import NoCheckpoint
from sightloop.training.requests import FROM_RUN


def keep_weights(workspace: Workspace, weights: str) -> Digest | None:
    """The blob these weights are kept in; None when they are a name for the engine to resolve.

    Raises:
        RunUnknown: they name a run that does not exist.
        NoCheckpoint: they name a run that left none.
    """
    if weights.startswith(FROM_RUN):
        return _checkpoint_of(workspace, weights.removeprefix(FROM_RUN))
    path = Path(weights)
    if not path.is_file():
        return None
    with workspace.blobs.batch() as batch:
        return batch.put_file(path)


def place_weights(workspace: Workspace, weights: str, *, kept: Digest | None, folder: Path) -> str:
    """What the job says to start from: a copy in `folder`, or the name as it was given."""
    if kept is None:
        return weights
    # Engines tell formats by the suffix, so a file keeps its name.
    name = CHECKPOINT_ARTIFACT if weights.startswith(FROM_RUN) else Path(weights).name
    folder.mkdir()
    path = folder / name
    path.write_bytes(workspace.blobs.read(kept))
    return str(path)


def _checkpoint_of(workspace: Workspace, run: str) -> Digest:
    with workspace.db.read() as tx:
        found = tracking.find_run(tx, run)
        artifacts = artifacts_of(tx, run)
    if CHECKPOINT_ARTIFACT not in artifacts:
        raise NoCheckpoint(run=run, state=found.state)
    return artifacts[CHECKPOINT_ARTIFACT]
