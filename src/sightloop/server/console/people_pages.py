"""People and tokens: who may come in."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post
from litestar.response import Redirect

from sightloop.kernel.access import (
    PEOPLE_ROLES,
    BadInvitation,
    ChangeRole,
    Invited,
    InvitePerson,
    ListPeople,
    RevokeAccess,
    change_role,
    invite_person,
    list_people,
    revoke_access,
)
from sightloop.kernel.actors import Role
from sightloop.kernel.errors import SightloopError
from sightloop.kernel.workspace import Workspace
from sightloop.server.console.session import Form, Viewer, viewer_of
from sightloop.server.console.settings_pages import (
    change,
    is_to_be_shown,
    not_yours,
    settings_page,
)
from sightloop.server.context import workspace_of

PAGE = 100
ROLES = {
    Role.VIEWER: "looks at everything but keys, people and destinations",
    Role.ANNOTATOR: "draws and confirms boxes as well",
    Role.ENGINEER: "imports, trains, evaluates, runs the loop",
    Role.APPROVER: "signs and releases as well",
    Role.ADMIN: "does all of that, and decides about people, policy and keys",
}
LIFETIMES = (("", "until it is revoked"), ("1", "a day"), ("7", "a week"), ("30", "30 days"),
             ("90", "90 days"), ("365", "a year"))  # fmt: skip


@get("/settings/people", sync_to_thread=True)
def people(request: Request[Any, Any, Any]) -> Response[str]:
    """Everybody, by name, and a form to invite somebody."""
    viewer = viewer_of(request)
    return not_yours(request, viewer, "people") or _people_page(request, viewer)


@post("/settings/people", status_code=200)
async def invite(request: Request[Any, Any, Any]) -> Response[Any]:
    """Answers with the page and not with a redirect: the token is on it, once."""

    def work(workspace: Workspace, viewer: Viewer, form: Form) -> Response[Any]:
        given = {name: form.text(name) for name in ("name", "role", "days")}
        try:
            wanted = InvitePerson(
                name=given["name"], role=_role(given["role"]), lifetime_days=_days(given["days"])
            )
            made = invite_person(workspace, viewer.call, wanted)
        except SightloopError as error:
            if not is_to_be_shown(error):
                raise
            return _people_page(request, viewer, problem=error, given=given)
        return _people_page(request, viewer, made=made)

    return await change(request, work)


@post("/settings/people/role", status_code=303)
async def role(request: Request[Any, Any, Any]) -> Response[Any]:
    """Another role, at once."""

    def work(workspace: Workspace, viewer: Viewer, form: Form) -> Response[Any]:
        try:
            wanted = ChangeRole(name=form.text("name"), role=_role(form.text("role")))
            change_role(workspace, viewer.call, wanted)
        except SightloopError as error:
            if not is_to_be_shown(error):
                raise
            return _people_page(request, viewer, problem=error)
        return Redirect("/settings/people", status_code=303)

    return await change(request, work)


@post("/settings/people/revoke", status_code=303)
async def revoke(request: Request[Any, Any, Any]) -> Response[Any]:
    """Every token and session of the person ends."""

    def work(workspace: Workspace, viewer: Viewer, form: Form) -> Response[Any]:
        try:
            revoke_access(workspace, viewer.call, RevokeAccess(name=form.text("name")))
        except SightloopError as error:
            if not is_to_be_shown(error):
                raise
            return _people_page(request, viewer, problem=error)
        return Redirect("/settings/people", status_code=303)

    return await change(request, work)


def _people_page(
    request: Request[Any, Any, Any],
    viewer: Viewer,
    *,
    made: Invited | None = None,
    problem: SightloopError | None = None,
    given: dict[str, str] | None = None,
) -> Response[str]:
    asked = ListPeople(after=request.query_params.get("after", ""), limit=PAGE)
    found = list_people(workspace_of(request), viewer.call, asked)
    return settings_page(
        request,
        "settings-people.html",
        viewer,
        "people",
        status=problem.http_status if problem else 200,
        people=found.people,
        next_after=found.next_after,
        made=made,
        problem=problem.message if problem else "",
        given=given or {"name": "", "role": Role.ANNOTATOR.value, "days": ""},
        roles=ROLES,
        lifetimes=LIFETIMES,
        now_ms=workspace_of(request).clock.now_ms(),
    )


def _role(text: str) -> Role:
    if text not in {one.value for one in PEOPLE_ROLES}:
        names = ", ".join(one.value for one in PEOPLE_ROLES)
        raise BadInvitation(field="role", value=text, problem=f"is not one of {names}")
    return Role(text)


def _days(text: str) -> float | None:
    try:
        return float(text) if text else None
    except ValueError as error:
        problem = "days is no number"
        raise BadInvitation(field="lifetime", value=text, problem=problem) from error
