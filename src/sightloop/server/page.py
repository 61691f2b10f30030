"""The page at `/`: one table with the state of each station, for people who just look."""

from __future__ import annotations

from html import escape
from typing import Any

from litestar import Request, Response, get, post
from litestar.datastructures import Cookie
from litestar.response import Redirect

from sightloop.kernel.clock import format_utc
from sightloop.kernel.errors import Unauthenticated
from sightloop.kernel.workspace import Call
from sightloop.server.api import read_body
from sightloop.server.authentication import COOKIE, actor_of_request, actor_of_token
from sightloop.server.context import workspace_of
from sightloop.server.stations import ShowStations, Station, Stations, show_stations

HTML = "text/html; charset=utf-8"
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
MAX_FORM_BYTES = 4096


@get("/", sync_to_thread=True)
def home(request: Request[Any, Any, Any]) -> Response[str]:
    """The stations, or a form that asks for the token."""
    workspace = workspace_of(request)
    try:
        actor = actor_of_request(workspace, request)
    except Unauthenticated:
        return _html(_sign_in_form(""), status=401)
    return _html(_stations(show_stations(workspace, Call(actor), ShowStations())))


@post("/session", status_code=303)
async def sign_in(request: Request[Any, Any, Any]) -> Response[Any]:
    """Keep the token in a cookie that scripts cannot read and other sites cannot send."""
    workspace = workspace_of(request)
    body = await read_body(request, limit_bytes=MAX_FORM_BYTES)
    token = body.decode(errors="replace").removeprefix("token=").strip()
    try:
        actor_of_token(workspace, token)
    except Unauthenticated:
        return _html(_sign_in_form("That token is not valid here."), status=401)
    cookie = Cookie(key=COOKIE, value=token, httponly=True, samesite="strict", path="/")
    return Redirect("/", status_code=303, cookies=[cookie])


def _html(body: str, *, status: int = 200) -> Response[str]:
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Sightloop</title><style>{_STYLE}</style><body>{body}</body></html>"
    )
    return Response(page, status_code=status, media_type=HTML, headers=SECURITY_HEADERS)


def _sign_in_form(problem: str) -> str:
    return (
        "<main><h1>Sightloop</h1><form method='post' action='/session'>"
        "<p><label for='token'>Token (in <code>.sightloop/token</code>)</label></p>"
        "<p><input id='token' name='token' type='password' autofocus required> "
        f"<button>Look</button></p><p class='look'>{escape(problem)}</p></form></main>"
    )


def _stations(found: Stations) -> str:
    rows = "".join(_row(station) for station in found.stations)
    return (
        f"<main><h1>Sightloop</h1><p class='soft'>{escape(found.workspace)} at "
        f"{format_utc(found.at_ms)[:19]}Z - reload for the present state</p>"
        f"<table><tbody>{rows}</tbody></table></main>"
    )


def _row(station: Station) -> str:
    facts = "".join(
        f"<div><span class='soft'>{escape(name)}</span> {escape(value)}</div>"
        for name, value in station.facts.items()
    )
    look = " <span class='look'>needs a look</span>" if station.needs_a_look else ""
    return f"<tr><th scope='row'>{escape(station.name)}{look}</th><td>{facts or '-'}</td></tr>"


_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --line: #d8dde4 }
:root { --look: #a34700 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e7ecf2; --soft: #9aa6b5; --line: #2c3644; --look: #ffb066 }
  body { background: #10161d }
}
body { color: var(--ink); font: 15px/1.5 system-ui, sans-serif; margin: 0 }
main { max-width: 52rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
tr { border-top: 1px solid var(--line) }
th { text-align: left; vertical-align: top; padding: .5rem 1rem .5rem 0; white-space: nowrap }
td { padding: .5rem 0; overflow-wrap: anywhere }
.soft { color: var(--soft) }
.look { color: var(--look); font-weight: 600 }
input { font: inherit; width: 20rem; max-width: 100% }
button { font: inherit }
"""
