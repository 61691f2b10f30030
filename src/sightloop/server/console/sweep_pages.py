"""Sweeps: the list, and one sweep with its best trials, its charts and its runs."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

from litestar import Request, Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from sightloop.kernel.actors import Permission, may
from sightloop.server.console.paging import whole
from sightloop.server.console.rendering import page
from sightloop.server.console.session import form_of, viewer_of
from sightloop.server.console.sweep_drawings import drawings_of, setting_words
from sightloop.server.context import workspace_of
from sightloop.training.sweeps.services import (
    ListSweeps,
    ResumeSweep,
    ShowSweep,
    StopSweep,
    list_sweeps,
    resume_sweep,
    show_sweep,
    stop_sweep,
)
from sightloop.training.sweeps.values import ENDED

TRIALS_PER_PAGE = 100
MAX_SWEEPS = 200


@get("/sweeps", sync_to_thread=True)
def sweeps_page(request: Request[Any, Any, Any]) -> Response[str]:
    """Sweeps, newest first."""
    return page(request, "sweeps.html", viewer_of(request), **_listed(request))


@get("/sweeps/list", sync_to_thread=True)
def sweeps_rows(request: Request[Any, Any, Any]) -> Response[str]:
    """The list alone, for a page that is open."""
    return page(request, "_sweeps-list.html", viewer_of(request), **_listed(request))


@get("/sweeps/{sweep:str}", sync_to_thread=True)
def sweep_page(sweep: FromPath[str], request: Request[Any, Any, Any]) -> Response[str]:
    """Everything about one sweep."""
    return page(request, "sweep.html", viewer_of(request), **_standing(request, sweep))


@get("/sweeps/{sweep:str}/state", sync_to_thread=True)
def sweep_state(sweep: FromPath[str], request: Request[Any, Any, Any]) -> Response[str]:
    """What changes while it runs."""
    return page(request, "_sweep-state.html", viewer_of(request), **_standing(request, sweep))


@post("/sweeps/{sweep:str}/stop", status_code=303)
async def sweep_stop(sweep: FromPath[str], request: Request[Any, Any, Any]) -> Response[Any]:
    """Nothing new begins, and what is under way ends within seconds."""
    viewer, _ = await form_of(request)
    asked = StopSweep(sweep=sweep, reason=f"stopped by {viewer.call.actor.id}")
    await asyncio.to_thread(stop_sweep, workspace_of(request), viewer.call, asked)
    return Redirect(f"/sweeps/{quote(sweep)}", status_code=303)


@post("/sweeps/{sweep:str}/resume", status_code=303)
async def sweep_resume(sweep: FromPath[str], request: Request[Any, Any, Any]) -> Response[Any]:
    """It goes on where it was stopped."""
    viewer, _ = await form_of(request)
    asked = ResumeSweep(sweep=sweep)
    await asyncio.to_thread(resume_sweep, workspace_of(request), viewer.call, asked)
    return Redirect(f"/sweeps/{quote(sweep)}", status_code=303)


def _listed(request: Request[Any, Any, Any]) -> dict[str, Any]:
    call = viewer_of(request).call
    found = list_sweeps(workspace_of(request), call, ListSweeps(limit=MAX_SWEEPS)).sweeps
    rows = [(one.sweep, sum(one.counts.get(end, 0) for end in ENDED)) for one in found]
    return {"rows": rows, "most": MAX_SWEEPS}


def _standing(request: Request[Any, Any, Any], sweep: str) -> dict[str, Any]:
    viewer = viewer_of(request)
    facts = show_sweep(workspace_of(request), viewer.call, ShowSweep(sweep=sweep))
    before = whole(request.query_params.get("before", ""))
    end = len(facts.trials) if before is None else min(before, len(facts.trials))
    first = max(end - TRIALS_PER_PAGE, 0)
    can_go_on = facts.sweep.state == "stopped" or any(t.state == "stopped" for t in facts.trials)
    return {
        "sweep": facts.sweep,
        "spec": facts.sweep.spec,
        "ran_s": facts.ran_s,
        "n_ended": sum(one.state in ENDED for one in facts.trials),
        "counts": [(name, sum(t.state == name for t in facts.trials)) for name in _STATES],
        "best": [facts.trials[number] for number in facts.best[:20]],
        "n_best": len(facts.best),
        "trials": facts.trials[first:end][::-1],
        "older": first or None,
        "drawings": drawings_of(facts),
        "words": setting_words,
        "may_change": may(viewer.call.actor, Permission.TRAIN),
        "can_go_on": can_go_on and facts.sweep.state != "running",
    }


_STATES = ("complete", "pruned", "failed", "stopped", "running", "waiting")
