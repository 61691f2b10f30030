"""A run and what is measured of it."""

from __future__ import annotations

from typing import Literal, NewType

import msgspec

from sightloop.kernel.digests import Digest
from sightloop.tracking.errors import NotATraining

RunId = NewType("RunId", str)
RunState = Literal["scheduled", "running", "finished", "failed", "cancelled"]

MAX_KEY_CHARACTERS = 250
MAX_STEP = 2**63 - 1


class CodeState(msgspec.Struct, frozen=True, kw_only=True):
    """Which code ran: a commit, and what had been changed since."""

    commit: str | None
    """None where the working directory belonged to no Git repository."""
    patch: Digest | None
    """Blob with the changes to tracked files; None when there were none or they were too large."""
    dirty: bool
    """Whether anything differed from the commit, untracked files included."""


class RunInputs(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides what a training does."""

    dataset_commit: Digest
    code: CodeState
    parameters: dict[str, str]
    engine: str
    engine_version: str
    environment: Digest
    """Blob with the interpreter, the installed distributions and the machine."""
    seed: int
    threads: int
    hardware: str


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One training or experiment. `outputs` holds small facts and digests, such as `model_file`."""

    id: RunId
    experiment: str
    name: str
    state: RunState
    inputs: RunInputs | None
    """None for a run that somebody else's code tracked: nobody recorded all that decided it."""
    outputs: dict[str, str]
    attempts: int
    """How often it was executed; earlier attempts left no model and no points."""
    started_at_ms: int
    ended_at_ms: int | None
    exit_reason: str | None
    user: str = ""
    is_deleted: bool = False

    @property
    def training(self) -> RunInputs:
        """What decided a training that Sightloop ran.

        Raises:
            NotATraining: it only tracked this run.
        """
        if self.inputs is None:
            raise NotATraining(run=self.id)
        return self.inputs


class MetricPoint(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One measured number; NaN and the infinities are values like any other."""

    key: str
    value: float
    step: int
    at_ms: int


class RunArtifact(msgspec.Struct, frozen=True, kw_only=True):
    """A file the run left, by the blob that holds its bytes."""

    name: str
    digest: Digest
    size_bytes: int
