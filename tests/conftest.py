"""Fixtures every room's tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from sightloop.kernel.workspace import Workspace
from sightloop.testing.clock import ManualClock
from sightloop.testing.workspaces import fresh_workspace

# A machine under load is no reason for a property to fail; how long code takes is for bench/.
settings.register_profile("sightloop", deadline=None)
settings.load_profile("sightloop")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def workspace(tmp_path: Path, clock: ManualClock) -> Iterator[Workspace]:
    opened = fresh_workspace(tmp_path / "workspace", clock=clock)
    yield opened
    opened.db.close()
