"""Settings: the overview, where the keys lie, and the workspace as a whole.

The tabs are for different people. A tab that is not the viewer's says whose it is, in words; the
services refuse in any case.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

from litestar import Request, Response, get, post

from sightloop.kernel.access import ListPeople, list_people
from sightloop.kernel.actors import Permission, may
from sightloop.kernel.errors import NotAllowed, SightloopError, Unauthenticated
from sightloop.kernel.workspace import Workspace
from sightloop.loop.notifying import ListDestinations, list_destinations
from sightloop.loop.policy_editing import ShowPolicy, show_policy
from sightloop.loop.services import ShowLoop, verify_audit_log
from sightloop.server.checkup import CheckWorkspace, check_workspace
from sightloop.server.console.rendering import page
from sightloop.server.console.session import Form, Viewer, form_of, viewer_of
from sightloop.server.context import workspace_of
from sightloop.server.facts import ShowWorkspace, show_workspace
from sightloop.server.keyring import ShowKeys, show_keys


class Tab(NamedTuple):
    """One tab of the settings, and the right that opens it."""

    name: str
    href: str
    title: str
    permission: Permission
    about: str


TABS = (
    Tab(
        "people",
        "/settings/people",
        "People and tokens",
        Permission.ADMINISTER,
        "who may come in, and what they are trusted with",
    ),
    Tab(
        "policy",
        "/settings/policy",
        "Policy",
        Permission.READ,
        "the rules by which the loop keeps, flags, retrains and releases",
    ),
    Tab(
        "notifications",
        "/settings/notifications",
        "Notifications",
        Permission.ADMINISTER,
        "who hears of what without looking",
    ),
    Tab(
        "keys",
        "/settings/keys",
        "Keys",
        Permission.ADMINISTER,
        "where the keys lie that devices trust",
    ),
    Tab(
        "workspace",
        "/settings/workspace",
        "Workspace",
        Permission.READ,
        "folder, sizes, audit log and checks",
    ),
)


def settings_page(
    request: Request[Any, Any, Any],
    template: str,
    viewer: Viewer,
    tab: str,
    *,
    status: int = 200,
    **values: Any,  # noqa: ANN401 - what the template shows
) -> Response[str]:
    """A page under the tabs of the settings."""
    mine = {one.name: may(viewer.actor, one.permission) for one in TABS}
    return page(request, template, viewer, status=status, tabs=TABS, tab=tab, mine=mine, **values)


def not_yours(request: Request[Any, Any, Any], viewer: Viewer, tab: str) -> Response[str] | None:
    """A page that says whose tab it is; None when it is the viewer's."""
    wanted = next(one for one in TABS if one.name == tab)
    if may(viewer.actor, wanted.permission):
        return None
    return settings_page(request, "settings-not-yours.html", viewer, tab, wanted=wanted)


Work = Callable[[Workspace, Viewer, Form], Response[Any]]


async def change(request: Request[Any, Any, Any], work: Work) -> Response[Any]:
    """Do the work of a form that came from our own page, off the event loop."""
    viewer, form = await form_of(request)
    return await asyncio.to_thread(work, workspace_of(request), viewer, form)


def is_to_be_shown(error: SightloopError) -> bool:
    """Whether a refusal belongs beside the form, and not on a page of its own."""
    return not isinstance(error, NotAllowed | Unauthenticated)


@get("/settings", sync_to_thread=True)
def overview(request: Request[Any, Any, Any]) -> Response[str]:
    """Every tab with how it stands, as far as the viewer may know."""
    viewer, workspace = viewer_of(request), workspace_of(request)
    return settings_page(request, "settings.html", viewer, "", stands=_stands(workspace, viewer))


@get("/settings/keys", sync_to_thread=True)
def keys(request: Request[Any, Any, Any]) -> Response[str]:
    """Where each key is, and which protection that takes away."""
    viewer, workspace = viewer_of(request), workspace_of(request)
    if (refused := not_yours(request, viewer, "keys")) is not None:
        return refused
    ring = show_keys(workspace, viewer.call, ShowKeys())
    now_ms = workspace.clock.now_ms()
    return settings_page(request, "settings-keys.html", viewer, "keys", ring=ring, now_ms=now_ms)


@get("/settings/workspace", sync_to_thread=True)
def workspace_tab(request: Request[Any, Any, Any]) -> Response[str]:
    """Facts and checks."""
    return _workspace_page(request, viewer_of(request), verified=None, problem="")


@post("/settings/workspace/verify", status_code=200)
async def verify(request: Request[Any, Any, Any]) -> Response[Any]:
    """The audit log recomputed, seal by seal."""

    def work(workspace: Workspace, viewer: Viewer, _form: Form) -> Response[Any]:
        try:
            facts = verify_audit_log(workspace, viewer.call, ShowLoop())
        except SightloopError as error:
            if not is_to_be_shown(error):
                raise
            return _workspace_page(request, viewer, verified=None, problem=error.message)
        return _workspace_page(request, viewer, verified=facts, problem="")

    return await change(request, work)


def _workspace_page(
    request: Request[Any, Any, Any],
    viewer: Viewer,
    **values: Any,  # noqa: ANN401 - what the template shows
) -> Response[str]:
    workspace = workspace_of(request)
    return settings_page(
        request,
        "settings-workspace.html",
        viewer,
        "workspace",
        facts=show_workspace(workspace, viewer.call, ShowWorkspace()),
        findings=check_workspace(
            workspace, viewer.call, CheckWorkspace(verifies_audit_log=False)
        ).findings,
        **values,
    )


def _stands(workspace: Workspace, viewer: Viewer) -> dict[str, str]:
    """By tab: how it stands in a few words, for the tabs that are the viewer's."""
    found = {"policy": _policy_stands(workspace, viewer)}
    facts = show_workspace(workspace, viewer.call, ShowWorkspace())
    found["workspace"] = f"{facts.n_events:,} events on record, version {facts.version}"
    if may(viewer.actor, Permission.ADMINISTER):
        found |= _admin_stands(workspace, viewer)
    return found


def _policy_stands(workspace: Workspace, viewer: Viewer) -> str:
    policy = show_policy(workspace, viewer.call, ShowPolicy())
    if policy.problem:
        return "loop.yaml cannot be used: the loop stands still"
    if not policy.models:
        return "names no model: nothing retrains on its own"
    return f"looks after {', '.join(policy.models)}"


def _admin_stands(workspace: Workspace, viewer: Viewer) -> dict[str, str]:
    people = list_people(workspace, viewer.call, ListPeople(limit=200))
    inside = sum(one.n_tokens > 0 for one in people.people)
    more = "more than " if people.next_after else ""
    destinations = list_destinations(workspace, viewer.call, ListDestinations()).destinations
    failing = [one.name for one in destinations if one.problem]
    ring = show_keys(workspace, viewer.call, ShowKeys())
    is_off = ring.root_is_here or bool(ring.owners_here)
    return {
        "people": f"{more}{inside} with a token" if inside != 1 else "one person with a token",
        "notifications": f"{failing[0]} does not take messages"
        if failing
        else f"{len(destinations)} destinations"
        if destinations
        else "nobody is told of anything",
        "keys": "the protection by separate hosts is off"
        if is_off
        else "root and owners elsewhere",
    }
