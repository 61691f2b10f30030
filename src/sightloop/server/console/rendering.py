"""From values to pages: the template environment, the headers, and how errors look."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.response import Redirect

from sightloop.kernel.errors import SightloopError, Unauthenticated
from sightloop.server.console.assets import asset_address
from sightloop.server.console.formats import FILTERS
from sightloop.server.context import workspace_of

if TYPE_CHECKING:  # the session's own pages are rendered here
    from sightloop.server.console.session import Viewer

log = logging.getLogger(__name__)

HTML = "text/html; charset=utf-8"
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
SECTIONS = (
    ("loop", "/", "Loop"),
    ("review", "/review", "Review"),
    ("datasets", "/datasets", "Datasets"),
    ("runs", "/runs", "Runs"),
    ("models", "/models", "Models"),
    ("fleet", "/fleet", "Fleet"),
    ("incidents", "/incidents", "Incidents"),
    ("settings", "/settings", "Settings"),
)


def page(
    request: Request[Any, Any, Any],
    template: str,
    viewer: Viewer | None,
    *,
    status: int = 200,
    **values: Any,  # noqa: ANN401 - what the template shows
) -> Response[str]:
    """The template with these values, as an answer.

    Every template also knows `viewer`, `sections`, `path` and `params` (the address's query).
    """
    body = (
        _environment()
        .get_template(template)
        .render(
            viewer=viewer,
            sections=SECTIONS,
            path=request.url.path,
            params=dict(request.query_params),
            workspace_name=workspace_of(request).root.name,
            **values,
        )
    )
    return Response(body, status_code=status, media_type=HTML, headers=SECURITY_HEADERS)


def is_fragment(request: Request[Any, Any, Any]) -> bool:
    """Whether a page asks for a piece of itself, and not a person for a page."""
    return request.headers.get("hx-request") == "true"


def answer_page_refusal(request: Request[Any, Any, Any], error: SightloopError) -> Response[Any]:
    """A refusal in the words every client gets; who has no session is asked to sign in."""
    from sightloop.server.console.session import sign_in_address, viewer_of

    if isinstance(error, Unauthenticated):
        address = sign_in_address(request)
        if is_fragment(request):
            return Response("", status_code=401, headers={"HX-Redirect": address})
        return Redirect(address, status_code=303)
    try:
        viewer: Viewer | None = viewer_of(request)
    except SightloopError:
        viewer = None
    template = "_problem.html" if is_fragment(request) else "error.html"
    return page(
        request,
        template,
        viewer,
        status=error.http_status,
        code=error.code,
        message=error.message,
    )


def answer_page_bug(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """A bug, or an address that is none: said on a page."""
    if isinstance(error, HTTPException) and error.status_code < 500:
        code, message, status = f"HTTP-{error.status_code}", error.detail, error.status_code
    else:
        log.error("%s %s", request.method, request.url.path, exc_info=error)
        code, status = "SL-999", 500
        message = (
            f"Sightloop has a bug here ({type(error).__name__}); the server's log has the details"
        )
    template = "_problem.html" if is_fragment(request) else "error.html"
    return page(request, template, None, status=status, code=code, message=message)


def query(present: Mapping[str, str], **changes: str | int | None) -> str:
    """An address's query with these changes; None removes a key.

    >>> query({"class": "dent", "page": "2"}, page=None, lane="audit")
    '?class=dent&lane=audit'
    """
    merged: dict[str, str | int | None] = {**present, **changes}
    kept = {key: value for key, value in merged.items() if value not in (None, "")}
    return f"?{urlencode(kept)}" if kept else "?"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("sightloop.server.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    environment.globals.update(asset=asset_address, query=query)
    return environment
