"""A workspace, its application, and a client that speaks to it as MLflow's does."""

from collections.abc import Iterator

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from sightloop.kernel.workspace import Workspace
from sightloop.server.app import build_app
from sightloop.testing import postgresql
from sightloop.testing.workspaces import place_database
from sightloop.wiring import create_workspace, ensure_token
from tests.server.mlflow.wire import Mlflow


# Shared by the tests of a module, each of which makes runs of its own.
@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, database_kind: str) -> Iterator[Workspace]:
    url = postgresql.server().furnished() if database_kind == "postgresql" else ""
    opened = create_workspace(place_database(tmp_path_factory.mktemp("mlflow"), url), {})
    yield opened
    opened.db.close()


@pytest.fixture(scope="module")
def http(workspace: Workspace) -> Iterator[TestClient[Litestar]]:
    with TestClient(build_app(workspace), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def mlflow(workspace: Workspace, http: TestClient[Litestar]) -> Mlflow:
    return Mlflow(http, ensure_token(workspace))
