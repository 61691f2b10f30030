"""Fixtures every room's tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sightloop.kernel.workspace import Workspace
from sightloop.testing.clock import ManualClock
from sightloop.testing.workspaces import fresh_workspace


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def workspace(tmp_path: Path, clock: ManualClock) -> Iterator[Workspace]:
    opened = fresh_workspace(tmp_path / "workspace", clock=clock)
    yield opened
    opened.db.close()
