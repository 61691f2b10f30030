"""Nobody gets in without a token, and nothing changes that our own page did not send."""

import pytest
from litestar.testing import TestClient

from sightloop.kernel.workspace import Workspace
from sightloop.server.authentication import COOKIE
from sightloop.server.console.session import csrf_of
from sightloop.wiring import ensure_token


def sign_in(client: TestClient, workspace: Workspace, *, onward: str = "/"):
    fields = {"token": ensure_token(workspace), "onward": onward}
    return client.post("/session", data=fields, follow_redirects=False)


def test_a_stranger_is_asked_for_a_token_and_comes_back_to_the_page(stranger: TestClient):
    answer = stranger.get("/loop?before=9", follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/sign-in?onward=/loop%3Fbefore%3D9"
    assert "password" in stranger.get("/sign-in").text


def test_the_token_opens_the_page_with_every_station(stranger: TestClient, workspace: Workspace):
    assert sign_in(stranger, workspace).status_code == 303
    page = stranger.get("/").text
    for station in ("datasets", "training", "registry", "fleet", "monitoring", "review", "loop"):
        assert f">{station}<" in page


def test_a_wrong_token_opens_nothing(stranger: TestClient):
    answer = stranger.post("/session", data={"token": "guessed"}, follow_redirects=False)
    assert answer.status_code == 401
    assert "not valid here" in answer.text


def test_the_cookie_holds_a_session_and_not_the_token(stranger: TestClient, workspace: Workspace):
    cookie = sign_in(stranger, workspace).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert ensure_token(workspace) not in cookie


@pytest.mark.parametrize("elsewhere", ["https://example.org/", "//example.org", "/\\example.org"])
def test_signing_in_never_leads_to_another_site(stranger, workspace, elsewhere: str):
    assert sign_in(stranger, workspace, onward=elsewhere).headers["location"] == "/"


def test_the_cookie_changes_nothing_at_the_programming_interface(stranger, workspace):
    sign_in(stranger, workspace)
    assert stranger.post("/api/v1/loop.pause", content=b'{"paused": true}').status_code == 401


@pytest.mark.parametrize("csrf", ["", "guessed"])
def test_a_form_without_the_sessions_csrf_token_is_refused(visitor, csrf: str):
    answer = visitor.post("/sign-out", csrf=csrf)
    assert answer.status_code == 403
    assert "SRV-030" in answer.text
    assert visitor.get("/").status_code == 200


def test_a_csrf_token_of_another_session_is_refused(visitor, workspace):
    assert visitor.post("/sign-out", csrf=csrf_of("another")).status_code == 403


def test_signing_out_ends_the_session_everywhere(visitor, stranger):
    assert visitor.post("/sign-out").status_code == 303
    stranger.cookies.set(COOKIE, visitor.session)
    assert stranger.get("/", follow_redirects=False).status_code == 303


def test_a_page_allows_scripts_and_styles_of_ours_only(stranger: TestClient):
    policy = stranger.get("/sign-in").headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy


def test_a_page_that_is_none_says_so_on_a_page(visitor):
    answer = visitor.get("/loop/turn_unknown")
    assert answer.status_code == 404
    assert "there is no turn" in answer.text
    assert "text/html" in answer.headers["content-type"]


def test_a_form_whose_session_is_over_leads_to_a_page_after_signing_in(stranger: TestClient):
    answer = stranger.post("/review/task_x/labels", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")


def test_a_picture_that_is_none_is_said_in_its_place(visitor):
    answer = visitor.get("/pictures/" + "0" * 64)
    assert answer.status_code == 404
    assert "image/svg+xml" in answer.headers["content-type"]
    assert visitor.get("/models/parts/99999999999999999999/state").status_code == 400
