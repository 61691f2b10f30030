"""What people change about runs on pages: names, notes, tags, and which runs are out of sight."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

from litestar import Request, Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from sightloop.kernel.errors import BadInput
from sightloop.server.console.rendering import is_fragment, page
from sightloop.server.console.session import Viewer, form_of, viewer_of
from sightloop.server.context import workspace_of
from sightloop.server.errors import NoRunChosen
from sightloop.tracking.browsing import is_own_tag
from sightloop.tracking.relabelling import (
    NOTE_TAG,
    NameRuns,
    RenameRun,
    TagRun,
    delete_runs,
    rename_run,
    restore_runs,
    tag_run,
)
from sightloop.tracking.services import ShowRun, show_run


@get("/runs/{run:str}/tags", sync_to_thread=True)
def run_tags(run: FromPath[str], request: Request[Any, Any, Any]) -> Response[str]:
    """The run's tags with fields to change them."""
    return _tags_piece(request, viewer_of(request), run)


@post("/runs/{run:str}/tags", status_code=200)
async def run_tag(run: FromPath[str], request: Request[Any, Any, Any]) -> Response[Any]:
    """One tag set or removed; what is wrong with it is said beside the field."""
    viewer, form = await form_of(request)
    key, value = form.text("key"), form.text("value")
    if form.text("remove"):
        wanted = TagRun(run=run, removed=[key])
    else:
        wanted = TagRun(run=run, tags={key: value})
    problem = ""
    try:
        await asyncio.to_thread(tag_run, workspace_of(request), viewer.call, wanted)
    except BadInput as error:
        if not is_fragment(request):
            raise
        problem = error.message
    if is_fragment(request):
        return await asyncio.to_thread(_tags_piece, request, viewer, run, problem)
    return _back(run)


@post("/runs/{run:str}/rename", status_code=303)
async def run_rename(run: FromPath[str], request: Request[Any, Any, Any]) -> Response[Any]:
    """Another name; an empty one leaves it as it is."""
    viewer, form = await form_of(request)
    wanted = RenameRun(run=run, name=form.text("name"))
    await asyncio.to_thread(rename_run, workspace_of(request), viewer.call, wanted)
    return _back(run)


@post("/runs/{run:str}/note", status_code=303)
async def run_note(run: FromPath[str], request: Request[Any, Any, Any]) -> Response[Any]:
    """What people want to remember about the run; an empty note removes it."""
    viewer, form = await form_of(request)
    note = form.text("note").replace("\r\n", "\n")
    removed = [] if note else [NOTE_TAG]
    wanted = TagRun(run=run, tags={NOTE_TAG: note} if note else {}, removed=removed)
    await asyncio.to_thread(tag_run, workspace_of(request), viewer.call, wanted)
    return _back(run)


@post("/runs/delete", status_code=303)
async def runs_delete(request: Request[Any, Any, Any]) -> Response[Any]:
    """The chosen runs are out of sight, until they are restored."""
    viewer, chosen = await _chosen(request)
    await asyncio.to_thread(delete_runs, workspace_of(request), viewer.call, chosen)
    return Redirect(_came_from(request, "/runs"), status_code=303)


@post("/runs/restore", status_code=303)
async def runs_restore(request: Request[Any, Any, Any]) -> Response[Any]:
    """The chosen runs are listed again."""
    viewer, chosen = await _chosen(request)
    await asyncio.to_thread(restore_runs, workspace_of(request), viewer.call, chosen)
    return Redirect(_came_from(request, "/runs?deleted=1"), status_code=303)


async def _chosen(request: Request[Any, Any, Any]) -> tuple[Viewer, NameRuns]:
    viewer, form = await form_of(request)
    runs = form.all("run")
    if not 1 <= len(runs) <= 1000:
        raise NoRunChosen(n_runs=len(runs))
    return viewer, NameRuns(runs=runs)


def _came_from(request: Request[Any, Any, Any], usual: str) -> str:
    """The table as it was seen; its address goes along with the form."""
    query = request.url.query
    return f"/runs?{query}" if query else usual


def _back(run: str) -> Redirect:
    return Redirect(f"/runs/{quote(run, safe='')}", status_code=303)


def _tags_piece(
    request: Request[Any, Any, Any], viewer: Viewer, run: str, problem: str = ""
) -> Response[str]:
    facts = show_run(workspace_of(request), viewer.call, ShowRun(run=run))
    own = [pair for pair in sorted(facts.tags.items()) if is_own_tag(pair[0])]
    return page(
        request,
        "_run-tags.html",
        viewer,
        run=facts.run,
        own_tags=own,
        problem=problem,
        in_dialog=True,
    )
