"""Who looks: a session begins with a token, lives in a cookie, and proves where a change came from.

Signing in makes a token of its own for the same actor, with an end, so the one that was typed in is
kept nowhere. The cookie is HttpOnly and SameSite=Strict. A change must also carry the session's
CSRF token, which only our own pages know: it is an HMAC of the session's token, so no table of
them is needed and it ends with the session.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote

from litestar import Request, Response, get, post
from litestar.datastructures import Cookie
from litestar.response import Redirect

from sightloop.kernel import tokens
from sightloop.kernel.actors import Actor
from sightloop.kernel.errors import Unauthenticated
from sightloop.kernel.workspace import Call, Workspace
from sightloop.server.api import read_body
from sightloop.server.authentication import COOKIE, actor_of_token
from sightloop.server.console.rendering import page
from sightloop.server.context import workspace_of
from sightloop.server.errors import ForeignForm

SESSION_S = 7 * 86400
MAX_FORM_BYTES = 1 << 20
CSRF_HEADER = "x-csrf-token"
CSRF_FIELD = "csrf"


@dataclass(frozen=True, slots=True)
class Viewer:
    """A person with a session."""

    actor: Actor
    csrf: str

    @property
    def call(self) -> Call:
        """A service call in this person's name."""
        return Call(self.actor)


class Form:
    """The fields of a form that came with the session's CSRF token."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs

    def text(self, name: str, default: str = "") -> str:
        """The field's value without blanks around it; the last if it came several times."""
        return next((v.strip() for k, v in reversed(self._pairs) if k == name), default)

    def all(self, name: str) -> list[str]:
        """Every value of the field."""
        return [v for k, v in self._pairs if k == name]


def viewer_of(request: Request[Any, Any, Any]) -> Viewer:
    """The person whose session came with the request.

    Raises:
        Unauthenticated: none came, or it has ended.
    """
    token = request.cookies.get(COOKIE)
    if not token:
        raise Unauthenticated(why="no session came with the request")
    return Viewer(actor_of_token(workspace_of(request), token), csrf_of(token))


async def form_of(request: Request[Any, Any, Any]) -> tuple[Viewer, Form]:
    """The viewer and the fields of a request that changes something.

    Raises:
        Unauthenticated: as `viewer_of`.
        ForeignForm: the CSRF token is missing or another session's.
        TooLarge: the form is over a mebibyte.
    """
    viewer = await asyncio.to_thread(viewer_of, request)
    body = await read_body(request, limit_bytes=MAX_FORM_BYTES)
    pairs = parse_qsl(body.decode(errors="replace"), keep_blank_values=True)
    check_csrf(viewer, request.headers, dict(pairs))
    return viewer, Form(pairs)


def check_csrf(viewer: Viewer, headers: Mapping[str, str], fields: Mapping[str, str]) -> None:
    """Return when the header or the field holds the session's CSRF token.

    Raises:
        ForeignForm: neither does.
    """
    given = headers.get(CSRF_HEADER) or fields.get(CSRF_FIELD, "")
    if not hmac.compare_digest(given.encode(), viewer.csrf.encode()):
        raise ForeignForm


def csrf_of(token: str) -> str:
    """The CSRF token of the session with this token."""
    return hmac.new(token.encode(), b"sightloop csrf", "sha256").hexdigest()


@get("/sign-in", sync_to_thread=False)
def sign_in_page(request: Request[Any, Any, Any]) -> Response[str]:
    """The form that asks for a token."""
    return page(request, "sign-in.html", None, problem="", onward=_onward(request.query_params))


@post("/session", status_code=303)
async def sign_in(request: Request[Any, Any, Any]) -> Response[Any]:
    """Begin a session for whoever the token names, and go where they wanted to go."""
    body = await read_body(request, limit_bytes=MAX_FORM_BYTES)
    fields = dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
    try:
        session = await asyncio.to_thread(
            begin_session, workspace_of(request), fields.get("token", "").strip()
        )
    except Unauthenticated:
        return page(
            request,
            "sign-in.html",
            None,
            status=401,
            problem="That token is not valid here.",
            onward=_onward(fields),
        )
    cookie = Cookie(
        key=COOKIE,
        value=session,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
        path="/",
        max_age=SESSION_S,
    )
    return Redirect(_onward(fields), status_code=303, cookies=[cookie])


@post("/sign-out", status_code=303)
async def sign_out(request: Request[Any, Any, Any]) -> Response[Any]:
    """End the session here and in the database."""
    await form_of(request)
    workspace = workspace_of(request)
    token = request.cookies[COOKIE]
    await asyncio.to_thread(_end_session, workspace, token)
    ended = Cookie(key=COOKIE, value="", httponly=True, samesite="strict", path="/", max_age=0)
    return Redirect("/sign-in", status_code=303, cookies=[ended])


def begin_session(workspace: Workspace, token: str) -> str:
    """A session token for the actor whom the token names.

    Raises:
        Unauthenticated: it is not valid.
    """
    actor = actor_of_token(workspace, token)
    if actor.kind != "person":
        raise Unauthenticated(why="pages are for people")
    with workspace.db.write() as tx:
        now_ms = workspace.clock.now_ms()
        return tokens.begin_session(tx, actor, now_ms=now_ms, lifetime_ms=SESSION_S * 1000)


def sign_in_address(request: Request[Any, Any, Any]) -> str:
    """Where to go to sign in and come back here; to the first page where this is no page."""
    if request.method != "GET":
        return "/sign-in"
    query = f"?{request.url.query}" if request.url.query else ""
    return f"/sign-in?onward={quote(request.url.path + query)}"


def _end_session(workspace: Workspace, token: str) -> None:
    with workspace.db.write() as tx:
        tokens.revoke(tx, token)


def _onward(fields: Mapping[str, str]) -> str:
    """A page of ours to go on to, never another site."""
    onward = fields.get("onward", "/")
    is_ours = onward.startswith("/") and not onward.startswith(("//", "/\\"))
    return onward if is_ours else "/"
