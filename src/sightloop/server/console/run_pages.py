"""One run: what went in, its numbers and curves as they come, and what it printed."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote, urlencode

from litestar import Request, Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from sightloop.contracts.numbers import from_wire
from sightloop.kernel.errors import SightloopError
from sightloop.registry.of_runs import ShowVersionsOfRun, versions_of_run
from sightloop.server.console.rendering import page
from sightloop.server.console.run_curves import SYSTEM
from sightloop.server.console.runs_table import took_s
from sightloop.server.console.session import form_of, viewer_of
from sightloop.server.context import workspace_of
from sightloop.tracking.browsing import is_own_tag
from sightloop.tracking.curves import telling_metrics
from sightloop.tracking.origins import ShowOrigins, show_origins
from sightloop.tracking.relabelling import NOTE_TAG
from sightloop.tracking.services import PointFacts, RunFacts, ShowRun, show_run
from sightloop.training.logs import ShowLog, show_log
from sightloop.training.services import CancelRun, ShowJob, cancel_run, show_job

N_NUMBERS = 18
N_PARAMS = 300


@get("/runs/{run:str}", sync_to_thread=True)
def run_page(run: FromPath[str], request: Request[Any, Any, Any]) -> Response[str]:
    """Everything about one run but its files; what changes while it runs comes again by itself."""
    workspace, viewer = workspace_of(request), viewer_of(request)
    standing = _standing(request, run)
    origins = show_origins(workspace, viewer.call, ShowOrigins(run=run))
    made = versions_of_run(workspace, viewer.call, ShowVersionsOfRun(run=run))
    tags = standing["facts"].tags
    return page(
        request,
        "run.html",
        viewer,
        **standing,
        origins=origins,
        versions=made.versions,
        note=tags.get(NOTE_TAG, ""),
        own_tags=[pair for pair in sorted(tags.items()) if is_own_tag(pair[0])],
        parameters=list(standing["facts"].params.items())[:N_PARAMS],
        n_parameters=len(standing["facts"].params),
    )


@get("/runs/{run:str}/system", sync_to_thread=True)
def run_system(run: FromPath[str], request: Request[Any, Any, Any]) -> Response[str]:
    """What the machine measured of itself while the run went on."""
    return page(request, "run-system.html", viewer_of(request), **_standing(request, run))


@get("/runs/{run:str}/state", sync_to_thread=True)
def run_state(run: FromPath[str], request: Request[Any, Any, Any]) -> Response[str]:
    """What changes while it runs: how far it is, and its newest numbers."""
    return page(request, "_run-state.html", viewer_of(request), **_standing(request, run))


@get("/runs/{run:str}/log", sync_to_thread=True)
def run_log(run: FromPath[str], request: Request[Any, Any, Any]) -> Response[str]:
    """The end of what the engine printed; that it cannot be read is said in its place."""
    viewer = viewer_of(request)
    facts: dict[str, Any] = {"run_id": run, "log": None, "problem": ""}
    try:
        facts["log"] = show_log(workspace_of(request), viewer.call, ShowLog(run=run))
    except SightloopError as error:
        facts["problem"] = error.message
    return page(request, "_run-log.html", viewer, **facts)


@post("/runs/{run:str}/cancel", status_code=303)
async def run_cancel(run: FromPath[str], request: Request[Any, Any, Any]) -> Response[Any]:
    """Whoever watches the job ends it within seconds."""
    viewer, _ = await form_of(request)
    await asyncio.to_thread(cancel_run, workspace_of(request), viewer.call, CancelRun(run=run))
    return Redirect(f"/runs/{quote(run)}", status_code=303)


def run_tabs(facts: RunFacts) -> list[tuple[str, str, str]]:
    """The pages of a run that have something to show: name, address, title."""
    at = f"/runs/{quote(facts.run.id, safe='')}"
    tabs = [("overview", at, "Overview"), ("files", f"{at}/files", "Files and images")]
    if any(key.startswith(SYSTEM) for key in facts.metrics):
        tabs.insert(1, ("system", f"{at}/system", "Machine"))
    return tabs


def _standing(request: Request[Any, Any, Any], run: str) -> dict[str, Any]:
    workspace, call = workspace_of(request), viewer_of(request).call
    facts = show_run(workspace, call, ShowRun(run=run))
    measured = {k: point for k, point in facts.metrics.items() if not k.startswith(SYSTEM)}
    telling = telling_metrics([measured], most=len(measured))
    order = dict.fromkeys([*telling, *measured])
    numbers = [(key, measured[key]) for key in order]
    return {
        "run": facts.run,
        "facts": facts,
        "tabs": run_tabs(facts),
        "job": show_job(workspace, call, ShowJob(run=run)).job,
        "took_s": took_s(workspace, facts.run),
        "metrics": [_newest(key, point) for key, point in numbers[:N_NUMBERS]],
        "n_metrics": len(numbers),
        "named": urlencode({"run": run}),
    }


def _newest(key: str, point: PointFacts) -> tuple[str, float, int]:
    return key, from_wire(point.value), point.step
