from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar.testing import TestClient

from sightloop.kernel.workspace import Workspace
from sightloop.server.app import build_app
from sightloop.wiring import create_workspace, ensure_token


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    opened = create_workspace(tmp_path / "<b>plant</b>", {})
    yield opened
    opened.db.close()


@pytest.fixture
def client(workspace: Workspace) -> Iterator[TestClient]:
    with TestClient(build_app(workspace), base_url="http://testserver.local") as client:
        yield client


def sign_in(client: TestClient, workspace: Workspace) -> None:
    body = f"token={ensure_token(workspace)}"
    answer = client.post("/session", content=body, follow_redirects=False)
    assert answer.status_code == 303


def test_a_stranger_sees_a_form_and_nothing_else(client: TestClient):
    answer = client.get("/")
    assert answer.status_code == 401
    assert "password" in answer.text
    assert "datasets" not in answer.text


def test_the_token_opens_the_page_with_every_station(client: TestClient, workspace: Workspace):
    sign_in(client, workspace)
    page = client.get("/").text
    for station in ("datasets", "training", "registry", "fleet", "monitoring", "review", "loop"):
        assert station in page


def test_a_wrong_token_opens_nothing(client: TestClient):
    answer = client.post("/session", content="token=guessed", follow_redirects=False)
    assert answer.status_code == 401
    assert "not valid here" in answer.text


def test_the_cookie_cannot_be_read_by_scripts_nor_sent_by_other_sites(
    client: TestClient, workspace: Workspace
):
    body = f"token={ensure_token(workspace)}"
    cookie = client.post("/session", content=body, follow_redirects=False).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie


def test_the_cookie_is_for_looking_and_changes_nothing(client: TestClient, workspace: Workspace):
    sign_in(client, workspace)
    assert client.post("/api/v1/loop.pause", content=b'{"paused": true}').status_code == 401


def test_names_with_markup_are_shown_as_text(client: TestClient, workspace: Workspace):
    sign_in(client, workspace)
    page = client.get("/").text
    assert "<b>plant</b>" not in page
    assert "&lt;b&gt;plant&lt;/b&gt;" in page


def test_the_page_allows_no_script_and_nothing_from_elsewhere(client: TestClient):
    assert client.get("/").headers["content-security-policy"].startswith("default-src 'none'")
