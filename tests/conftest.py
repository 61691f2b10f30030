"""Fixtures every room's tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from sightloop.kernel.workspace import Workspace
from sightloop.testing import postgresql
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


@pytest.fixture(scope="session", autouse=True)
def _no_server_outlives_the_tests() -> Iterator[None]:
    yield
    postgresql.leave()


@pytest.fixture(autouse=True)
def _databases_end_with_their_test() -> Iterator[None]:
    n_before = postgresql.n_made()
    yield
    postgresql.drop_since(n_before)
