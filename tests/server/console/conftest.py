"""A console to ask for pages, and one in a real browser."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from litestar.testing import TestClient

from sightloop.kernel import tokens
from sightloop.kernel.actors import ActorId, Role
from sightloop.kernel.workspace import Workspace
from sightloop.server.app import build_app
from sightloop.server.console.session import begin_session, csrf_of
from sightloop.wiring import create_workspace, ensure_token

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WIDTHS = (1440, 390)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """An empty workspace of its own; a test file may override it with a furnished one."""
    opened = create_workspace(tmp_path / "plant", {})
    yield opened
    opened.db.close()


@pytest.fixture
def stranger(workspace: Workspace) -> Iterator[TestClient]:
    """Somebody without a session."""
    with TestClient(build_app(workspace), base_url="http://testserver.local") as client:
        yield client


class Visitor:
    """Somebody with a session: `get` looks, `post` sends a form with the CSRF token."""

    def __init__(self, client: TestClient, workspace: Workspace, token: str) -> None:
        self.client = client
        self.session = begin_session(workspace, token)
        client.cookies.set("sightloop_session", self.session)

    def get(self, path: str, **options: Any):
        return self.client.get(path, **options)

    def post(self, path: str, fields: dict[str, str] | None = None, *, csrf: str | None = None):
        wanted = csrf_of(self.session) if csrf is None else csrf
        data = {**(fields or {}), "csrf": wanted}
        return self.client.post(path, data=data, follow_redirects=False)


@pytest.fixture
def visitor_as(workspace: Workspace) -> Iterator[Callable[[Role], Visitor]]:
    """A visitor of the role that is asked for."""
    clients = []

    def make(role: Role) -> Visitor:
        with workspace.db.write() as tx:
            now_ms = workspace.clock.now_ms()
            actor = ActorId(f"{role.value}-person")
            token = tokens.issue(tx, actor=actor, kind="person", role=role, now_ms=now_ms)
        client = TestClient(build_app(workspace), base_url="http://testserver.local")
        clients.append(client)
        return Visitor(client.__enter__(), workspace, token)

    yield make
    for client in clients:
        client.__exit__()


@pytest.fixture
def visitor(workspace: Workspace, stranger: TestClient) -> Visitor:
    """The owner of the workspace."""
    return Visitor(stranger, workspace, ensure_token(workspace))


@pytest.fixture
def served(workspace: Workspace) -> Iterator[str]:
    """The address of a server that answers for the workspace, without a worker."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        build_app(workspace), log_config=None, access_log=False, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Debian's Chromium; without one the test is skipped, unless CI says that it must be there."""
    if CHROMIUM is None:
        assert "SIGHTLOOP_REQUIRE_CHROMIUM" not in os.environ, "install Chromium: apt-get install"
        pytest.skip("needs Chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium: Any, served: str, workspace: Workspace) -> Iterator[Any]:
    """A signed-in browser tab, 1440 px wide; any script error fails the test."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, base_url=served)
    cookie = {"name": "sightloop_session", "url": served}
    context.add_cookies([{**cookie, "value": begin_session(workspace, ensure_token(workspace))}])
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    page.set_default_timeout(10_000)
    yield page
    context.close()
    assert problems == []


AXE = Path(__file__).parents[2] / "vendor" / "axe-4.14.1.min.js"
SERIOUS = {"serious", "critical"}


def findings(page: Any) -> list[str]:
    """What axe has to say of the page as it stands: serious and critical findings, in words."""
    page.evaluate(AXE.read_text())
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
    found = page.evaluate("rules => axe.run(document, rules)", rules)["violations"]
    return [
        f"{one['id']}: {one['help']} ({node['html'][:160]})"
        for one in found
        if one["impact"] in SERIOUS
        for node in one["nodes"][:3]
    ]


def wait_until(page: Any, expression: str, *, timeout_s: float = 10.0) -> None:
    """Return once the JavaScript expression is true.

    Playwright's own way evaluates text inside the page, which our content security policy forbids.
    """
    deadline_s = time.monotonic() + timeout_s
    while not page.evaluate(f"() => Boolean({expression})"):
        assert time.monotonic() < deadline_s, f"still not: {expression}"
        page.wait_for_timeout(20)


def wait_until_live(page: Any) -> None:
    """Return once the page hears of events."""
    wait_until(page, "document.body['htmx-internal-data']?.sseEventSource?.readyState === 1")
