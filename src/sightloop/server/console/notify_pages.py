"""Notifications: who hears of what without looking, and whether it arrives."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post
from litestar.response import Redirect

from sightloop.kernel.errors import SightloopError
from sightloop.kernel.workspace import Workspace
from sightloop.loop.news import NEWS_KINDS
from sightloop.loop.notifying import (
    AddDestination,
    ListDestinations,
    NameDestination,
    add_destination,
    list_destinations,
    remove_destination,
    try_destination,
)
from sightloop.server.console.session import Form, Viewer, viewer_of
from sightloop.server.console.settings_pages import (
    change,
    is_to_be_shown,
    not_yours,
    settings_page,
)
from sightloop.server.context import workspace_of

MEANINGS = {
    "loss incident": "the audited loss of a stream rose: the model has become worse",
    "input incident": "images of a stream look different from the reference",
    "approval needed": "a version passed its gate and waits for a person",
    "rollout rolled back": "devices went back to the version before",
    "step failed": "something needs a person before it goes on",
    "turn ended": "a turn was released, refused, rolled back or failed",
    "device silent": "a device has not come by for a quarter of an hour",
}
PREFERRED = frozenset(NEWS_KINDS) - {"input incident", "turn ended"}


@get("/settings/notifications", sync_to_thread=True)
def notifications(request: Request[Any, Any, Any]) -> Response[str]:
    """Destinations, and a form to add one."""
    viewer = viewer_of(request)
    return not_yours(request, viewer, "notifications") or _page(request, viewer)


@post("/settings/notifications", status_code=303)
async def add(request: Request[Any, Any, Any]) -> Response[Any]:
    """One more destination."""

    def work(workspace: Workspace, viewer: Viewer, form: Form) -> Response[Any]:
        wanted = AddDestination(
            name=form.text("name"),
            address=form.text("address"),
            wants=[kind for kind in NEWS_KINDS if kind in form.all("wants")],
        )
        try:
            add_destination(workspace, viewer.call, wanted)
        except SightloopError as error:
            if not is_to_be_shown(error):
                raise
            return _page(request, viewer, problem=error, given=wanted)
        return Redirect("/settings/notifications", status_code=303)

    return await change(request, work)


@post("/settings/notifications/remove", status_code=303)
async def remove(request: Request[Any, Any, Any]) -> Response[Any]:
    """Nothing more goes there."""

    def work(workspace: Workspace, viewer: Viewer, form: Form) -> Response[Any]:
        remove_destination(workspace, viewer.call, NameDestination(name=form.text("name")))
        return Redirect("/settings/notifications", status_code=303)

    return await change(request, work)


@post("/settings/notifications/test", status_code=200)
async def test(request: Request[Any, Any, Any]) -> Response[Any]:
    """A message sent now, and what became of it."""

    def work(workspace: Workspace, viewer: Viewer, form: Form) -> Response[Any]:
        try:
            named = NameDestination(name=form.text("name"))
            taken = try_destination(workspace, viewer.call, named)
        except SightloopError as error:
            if not is_to_be_shown(error):
                raise
            return _page(request, viewer, problem=error)
        return _page(request, viewer, taken=taken.name)

    return await change(request, work)


def _page(
    request: Request[Any, Any, Any],
    viewer: Viewer,
    *,
    problem: SightloopError | None = None,
    given: AddDestination | None = None,
    taken: str = "",
) -> Response[str]:
    found = list_destinations(workspace_of(request), viewer.call, ListDestinations())
    return settings_page(
        request,
        "settings-notifications.html",
        viewer,
        "notifications",
        status=problem.http_status if problem else 200,
        destinations=found.destinations,
        problem=problem.message if problem else "",
        # The address is not given back: what was typed may be a secret, right or wrong.
        name=given.name if given else "",
        wants=frozenset(given.wants) if given else PREFERRED,
        taken=taken,
        meanings=MEANINGS,
    )
