from collections.abc import Iterator
from pathlib import Path

import pytest

from sightloop.client import lifetimes
from sightloop.client.places import Target
from sightloop.client.runs import Run
from sightloop.client.starting import start_run
from sightloop.testing.run_targets import MemoryTarget

SERVER = Target("http://memory", "")


@pytest.fixture
def spools(tmp_path: Path) -> Path:
    folder = tmp_path / "spools"
    folder.mkdir()
    return folder


@pytest.fixture
def target() -> MemoryTarget:
    return MemoryTarget()


class Tracker:
    """Begins runs that are sent to the target in memory."""

    def __init__(self, root: Path, target: MemoryTarget) -> None:
        self.root = root
        self.target = target

    def __call__(self, experiment: str = "pcb", *, captures: bool = False) -> Run:
        return start_run(
            SERVER,
            lambda _: self.target,
            root=self.root,
            experiment=experiment,
            captures=captures,
        )


@pytest.fixture
def track(spools: Path, target: MemoryTarget) -> Iterator[Tracker]:
    yield Tracker(spools, target)
    for run in list(lifetimes._open):
        run.finish()
