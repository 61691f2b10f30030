"""Sweeps of the tiny engine, made by workers in the test's own process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import yaml

from sightloop.kernel.workspace import Workspace
from sightloop.testing.workspaces import LOCAL_CALL
from sightloop.training.sweeps.results import SweepFacts
from sightloop.training.sweeps.services import ShowSweep, StartSweep, show_sweep, start_sweep
from sightloop.training.sweeps.values import Sweep
from sightloop.training.sweeps.working import work_on_sweep
from tests.training.conftest import commit, training

__all__ = ["commit", "training"]

Declaring = Callable[..., Sweep]


@pytest.fixture
def starts(tmp_path: Path) -> Path:
    """Has a byte for each start of the engine."""
    return tmp_path / "starts"


@pytest.fixture
def declared(starts: Path, commit: str) -> Callable[..., str]:
    """A declaration of a small sweep over the tiny engine's skill, with changes, as YAML."""

    def declare(**changes: object) -> str:
        values = {
            "name": "skills",
            "data": commit,
            "engine": "tiny",
            "epochs": 1,
            "image_size_px": 64,
            "batch_size": 4,
            "fixed": {"pretend": True, "starts_file": str(starts)},
            "space": {"skill": {"type": "float", "low": 0.0, "high": 1.0}},
            "objectives": [{"metric": "score"}],
            "trials": 3,
        }
        fixed = {**values["fixed"], **changes.pop("fixed", {})}
        return yaml.safe_dump({**values, **changes, "fixed": fixed}, sort_keys=False)

    return declare


def begun(workspace: Workspace, text: str, sweep: str = "sweep_1") -> Sweep:
    return start_sweep(workspace, LOCAL_CALL, StartSweep(sweep=sweep, text=text))


def worked(workspace: Workspace, sweep: str = "sweep_1") -> Sweep:
    return work_on_sweep(workspace, sweep, stopping=threading.Event())


def shown(workspace: Workspace, sweep: str = "sweep_1") -> SweepFacts:
    return show_sweep(workspace, LOCAL_CALL, ShowSweep(sweep=sweep))


def quick(workspace: Workspace, **settings: float) -> Workspace:
    """The workspace with short leases: a worker that is lost is soon replaced."""
    from dataclasses import replace

    worker = msgspec.structs.replace(
        workspace.config.worker, **{"lease_s": 0.6, "poll_every_s": 0.02, **settings}
    )
    return replace(workspace, config=msgspec.structs.replace(workspace.config, worker=worker))
