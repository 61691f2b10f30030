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


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests marked `both_databases` run on SQLite and on PostgreSQL."""
    is_marked = metafunc.definition.get_closest_marker("both_databases") is not None
    if is_marked and "database_kind" in metafunc.fixturenames and not postgresql.is_asked_for():
        metafunc.parametrize("database_kind", ["sqlite", "postgresql"], indirect=True)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out what looks into SQLite's files where there are none."""
    if postgresql.is_asked_for() and item.get_closest_marker("sqlite_only"):
        pytest.skip("looks into SQLite's files")


@pytest.fixture(scope="module")
def database_kind(request: pytest.FixtureRequest) -> str:
    """What keeps the records of the workspace under test."""
    default = "postgresql" if postgresql.is_asked_for() else "sqlite"
    return str(getattr(request, "param", default))


@pytest.fixture
def database_url(database_kind: str) -> str:
    """Where the workspace under test keeps its records; empty for inside it."""
    return postgresql.server().furnished() if database_kind == "postgresql" else ""


@pytest.fixture
def workspace(tmp_path: Path, clock: ManualClock, database_url: str) -> Iterator[Workspace]:
    opened = fresh_workspace(tmp_path / "workspace", clock=clock, database_url=database_url)
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
