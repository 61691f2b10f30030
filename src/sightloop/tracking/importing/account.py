"""What an import did, to the last point. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from sightloop.tracking.tensorboard.reading import FileFlaw

Format = Literal["tensorboard", "mlruns", "mlflow", "ultralytics"]


class ImportRuns(msgspec.Struct, frozen=True, kw_only=True):
    """A folder or file of runs on the machine that holds the workspace."""

    path: str
    format: Format | None = None
    """None: what it looks like."""
    experiment: str = ""
    """Where the runs go; empty: where MLflow had them, and else the folder's name."""


class ImportedRun(msgspec.Struct, kw_only=True):
    """One run, and what this import added to it."""

    run: str
    experiment: str
    name: str
    source: str
    is_new: bool
    n_points: int = 0
    n_points_known: int = 0
    """Points of the source that were there: from an earlier import, or twice in the source."""
    n_artifacts: int = 0
    n_artifacts_known: int = 0


class Skipped(msgspec.Struct, kw_only=True):
    """Things of one kind that were not imported."""

    source: str
    what: str
    n: int
    why: str


class ImportedRuns(msgspec.Struct, kw_only=True):
    """The whole account; what a source holds and is not counted here does not exist."""

    format: Format
    runs: list[ImportedRun]
    skipped: list[Skipped]
    flaws: list[FileFlaw]

    @property
    def n_points(self) -> int:
        """How many points are new."""
        return sum(run.n_points for run in self.runs)


class Account:
    """An account being kept."""

    def __init__(self) -> None:
        self.runs: list[ImportedRun] = []
        self.flaws: list[FileFlaw] = []
        self._skipped: dict[tuple[str, str, str], int] = {}

    def skip(self, source: str, what: str, why: str, n: int = 1) -> None:
        """Note that n things were left out."""
        if n:
            key = (source, what, why)
            self._skipped[key] = self._skipped.get(key, 0) + n

    def closed(self, format: Format) -> ImportedRuns:  # noqa: A002
        """The account as it is told."""
        skipped = [
            Skipped(source=source, what=what, why=why, n=n)
            for (source, what, why), n in self._skipped.items()
        ]
        return ImportedRuns(format=format, runs=self.runs, skipped=skipped, flaws=self.flaws)
