"""Who asks: the bearer token of a request, or the session cookie of a page.

A cookie holds the token itself; it is HttpOnly and SameSite=Strict, and is only accepted for
looking (GET), so that no other site can make a browser change anything.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from litestar import Request

from sightloop.kernel import tokens
from sightloop.kernel.actors import Actor
from sightloop.kernel.errors import Unauthenticated
from sightloop.kernel.workspace import Workspace

COOKIE = "sightloop_session"


def actor_of_request(workspace: Workspace, request: Request[Any, Any, Any]) -> Actor:
    """The actor whose token came with the request.

    Raises:
        Unauthenticated: none came, or it is not valid.
    """
    return actor_of_token(workspace, token_of_request(request))


def actor_of_token(workspace: Workspace, token: str) -> Actor:
    """The actor this token names.

    Raises:
        Unauthenticated: it is not valid.
    """
    with workspace.db.read() as tx:
        return tokens.actor_of(tx, token, now_ms=workspace.clock.now_ms())


def token_of_request(request: Request[Any, Any, Any]) -> str:
    """The token itself.

    Raises:
        Unauthenticated: none came.
    """
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials:
        return credentials.strip()
    if scheme.lower() == "basic" and credentials:  # what MLflow clients can send as a password
        return _password_of(credentials)
    cookie = request.cookies.get(COOKIE)
    if cookie and request.method in ("GET", "HEAD"):
        return cookie
    raise Unauthenticated(why="no token came with the request")


def _password_of(credentials: str) -> str:
    try:
        _, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Unauthenticated(why="the Authorization header is not valid") from error
    return password
