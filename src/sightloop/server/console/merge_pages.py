"""Merges in the browser: which are open, what the sides contradict each other in, who is right."""

from __future__ import annotations

import json
import math
from typing import Any
from urllib.parse import quote

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from sightloop.datasets.browsing import ListHeads, list_heads
from sightloop.datasets.conflicts import FieldConflict, FieldValue, Take
from sightloop.datasets.errors import BadResolution
from sightloop.datasets.geometry import BoxPx, Geometry
from sightloop.datasets.merging import (
    ContinueMerge,
    MergeBranch,
    MergeName,
    abort_merge,
    continue_merge,
    merge_branch,
)
from sightloop.datasets.resolving import (
    ConflictPage,
    ListConflicts,
    ListedConflict,
    ListMerges,
    ResolveConflict,
    list_conflicts,
    list_open_merges,
    resolve_conflict,
)
from sightloop.kernel.actors import Permission, may
from sightloop.kernel.errors import SightloopError
from sightloop.kernel.workspace import Workspace
from sightloop.server.console.dataset_addresses import ref_address
from sightloop.server.console.merge_drawings import STYLES, shown_conflict
from sightloop.server.console.paging import whole
from sightloop.server.console.pictures import picture_address
from sightloop.server.console.rendering import page
from sightloop.server.console.session import Form, Viewer, viewer_of
from sightloop.server.console.settings_pages import change, is_to_be_shown
from sightloop.server.context import workspace_of

N_CONFLICTS = 10
N_BRANCHES = 200
PICTURE_PX = 1024
CORNERS = ("x1", "y1", "x2", "y2")


@get("/datasets/merges", sync_to_thread=True)
def merges(request: Request[Any, Any, Any]) -> Response[str]:
    """Open merges, and a form to begin one."""
    return _merges_page(request, viewer_of(request))


@post("/datasets/merges", status_code=303)
async def begin(request: Request[Any, Any, Any]) -> Response[Any]:
    """Merge; with conflicts, go to where they are settled."""

    def work(workspace: Workspace, viewer: Viewer, form: Form) -> Response[Any]:
        wanted = MergeBranch(source=form.text("source"), into=form.text("into"))
        try:
            merged = merge_branch(workspace, viewer.call, wanted)
        except SightloopError as error:
            if not is_to_be_shown(error):
                raise
            return _merges_page(request, viewer, problem=error, given=wanted)
        if merged.merge:
            return Redirect(_address(merged.merge), status_code=303)
        return Redirect(ref_address(merged.branch, commit=merged.commit), status_code=303)

    return await change(request, work)


@get("/datasets/merges/{merge:str}", sync_to_thread=True)
def merge_page(merge: FromPath[str], request: Request[Any, Any, Any]) -> Response[str]:
    """The conflicts of a merge, some at a time."""
    return _merge_page(request, viewer_of(request), merge)


@post("/datasets/merges/{merge:str}/resolve", status_code=303)
async def resolve(merge: FromPath[str], request: Request[Any, Any, Any]) -> Response[Any]:
    """Settle one conflict, and go on where the viewer was."""

    def work(workspace: Workspace, viewer: Viewer, form: Form) -> Response[Any]:
        number = _number(form.text("conflict"))
        try:
            wanted = _wanted(workspace, viewer, form, merge, number)
            resolve_conflict(workspace, viewer.call, wanted)
        except SightloopError as error:
            if not is_to_be_shown(error):
                raise
            return _merge_page(request, viewer, merge, problem=error, form=form, at=number)
        return Redirect(_address(merge, form, at=number), status_code=303)

    return await change(request, work)


@post("/datasets/merges/{merge:str}/continue", status_code=303)
async def go_on(merge: FromPath[str], request: Request[Any, Any, Any]) -> Response[Any]:
    """Commit the merge, and go to the branch."""

    def work(workspace: Workspace, viewer: Viewer, form: Form) -> Response[Any]:
        try:
            merged = continue_merge(workspace, viewer.call, ContinueMerge(merge=merge))
        except SightloopError as error:
            if not is_to_be_shown(error):
                raise
            return _merge_page(request, viewer, merge, problem=error, form=form)
        address = ref_address(merged.commit, commit=merged.commit)
        return Redirect(f"{address}?tab=changes", status_code=303)

    return await change(request, work)


@post("/datasets/merges/{merge:str}/abort", status_code=303)
async def abort(merge: FromPath[str], request: Request[Any, Any, Any]) -> Response[Any]:
    """Forget the merge."""

    def work(workspace: Workspace, viewer: Viewer, _form: Form) -> Response[Any]:
        abort_merge(workspace, viewer.call, MergeName(merge=merge))
        return Redirect("/datasets/merges", status_code=303)

    return await change(request, work)


def _merges_page(
    request: Request[Any, Any, Any],
    viewer: Viewer,
    *,
    problem: SightloopError | None = None,
    given: MergeBranch | None = None,
) -> Response[str]:
    workspace = workspace_of(request)
    return page(
        request,
        "merges.html",
        viewer,
        status=problem.http_status if problem else 200,
        merges=list_open_merges(workspace, viewer.call, ListMerges()),
        branches=list_heads(workspace, viewer.call, ListHeads(limit=N_BRANCHES)),
        given=given or MergeBranch(source="", into="main"),
        problem=problem.message if problem else "",
        may_merge=may(viewer.actor, Permission.WRITE_DATA),
        address=_address,
    )


def _merge_page(
    request: Request[Any, Any, Any],
    viewer: Viewer,
    merge: str,
    *,
    problem: SightloopError | None = None,
    form: Form | None = None,
    at: int = 0,
) -> Response[str]:
    """The page; a refusal stands beside the conflict it is about, with what was typed in."""
    params = request.query_params
    text, only = (
        (params.get("after", ""), params.get("only", ""))
        if form is None
        else (form.text("after"), form.text("only"))
    )
    asked = ListConflicts(
        merge=merge,
        only_unresolved=only == "open",
        after=_number(text),
        limit=N_CONFLICTS,
    )
    found: ConflictPage = list_conflicts(workspace_of(request), viewer.call, asked)
    return page(
        request,
        "merge.html",
        viewer,
        status=problem.http_status if problem else 200,
        merge=found.merge,
        taxonomy=found.taxonomy,
        conflicts=[(shown_conflict(one, found.taxonomy), _picture(one)) for one in found.conflicts],
        next_after=found.next_after,
        after=text,
        only=only,
        styles=STYLES,
        corners=CORNERS,
        problem=problem.message if problem else "",
        problem_at=at,
        typed=form,
        may_label=may(viewer.actor, Permission.LABEL),
        may_merge=may(viewer.actor, Permission.WRITE_DATA),
        address=ref_address,
    )


def _picture(listed: ListedConflict) -> str:
    return picture_address(listed.sample.image, side_px=PICTURE_PX) if listed.sample else ""


def _wanted(
    workspace: Workspace, viewer: Viewer, form: Form, merge: str, number: int
) -> ResolveConflict:
    """The request in a form; what it takes to read it is asked of the conflict."""
    given = form.text("take")
    if given not in ("ours", "theirs", "both", "by hand"):
        raise BadResolution(conflict=number, problem=f"{given[:40]!r} is no way to settle it")
    take: Take = msgspec.convert(given, Take)
    if take != "by hand":
        return ResolveConflict(merge=merge, conflict=number, take=take)
    return ResolveConflict(
        merge=merge,
        conflict=number,
        take=take,
        geometry=_geometry(form, number),
        class_name=form.text("class"),
        remove=form.text("remove") == "yes",
        value=_value(workspace, viewer, form, merge, number),
    )


def _geometry(form: Form, number: int) -> Geometry | None:
    texts = [form.text(name) for name in CORNERS]
    if not any(texts) or form.text("remove") == "yes":
        return None
    try:
        x1, y1, x2, y2 = (float(one) for one in texts)
    except ValueError:
        raise BadResolution(conflict=number, problem="a box has four numbers") from None
    if not all(math.isfinite(one) for one in (x1, y1, x2, y2)):
        raise BadResolution(conflict=number, problem="a corner is not a number")
    return BoxPx(x1, y1, x2, y2)


def _value(workspace: Workspace, viewer: Viewer, form: Form, merge: str, number: int) -> FieldValue:
    """A field's value: as text where the sides have texts, else as JSON has numbers."""
    text = form.text("value")
    if not text:
        return None
    asked = ListConflicts(merge=merge, after=number - 1, limit=1)
    found = list_conflicts(workspace, viewer.call, asked).conflicts
    conflict = found[0].conflict if found else None
    if isinstance(conflict, FieldConflict) and isinstance(conflict.ours, str):
        return text
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, str | int | float | bool) else text


def _number(text: str) -> int:
    return whole(text) or 0


def _address(merge: str, form: Form | None = None, *, at: int = 0) -> str:
    address = f"/datasets/merges/{quote(merge, safe='')}"
    if form is None:
        return address
    given = {name: form.text(name) for name in ("after", "only")}
    query = "&".join(f"{name}={quote(value)}" for name, value in given.items() if value)
    return f"{address}{'?' + query if query else ''}#conflict-{at}"
