"""Runs: the list, one run with its live curves, several side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple, get_args
from urllib.parse import quote, urlencode

from litestar import Request, Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect, Stream

from sightloop.contracts.numbers import from_wire
from sightloop.kernel.errors import SightloopError
from sightloop.kernel.workspace import Workspace
from sightloop.server.console.formats import label
from sightloop.server.console.rendering import page
from sightloop.server.console.session import Viewer, form_of, viewer_of
from sightloop.server.context import workspace_of
from sightloop.server.errors import TooManyRuns
from sightloop.tracking.curves import chart_of, differing, telling_metrics
from sightloop.tracking.files import FindFile, What, find_file
from sightloop.tracking.services import (
    ListExperiments,
    ListRuns,
    PointFacts,
    RunCurves,
    RunFacts,
    ShowCurves,
    ShowMetrics,
    ShowRun,
    list_experiments,
    list_runs,
    show_curves,
    show_metrics,
    show_run,
)
from sightloop.tracking.values import Run, RunArtifact, RunState
from sightloop.training.logs import ShowLog, show_log
from sightloop.training.services import CancelRun, ShowJob, cancel_run, show_job

RUNS_PER_PAGE = 50
MOST_COMPARED = 8
"""As many curves as can be told apart by colour."""
N_COLUMNS = 2
STATES = get_args(RunState)
OTHER_FILES: Mapping[str, What] = {"environment": "environment", "patch": "patch"}
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")
N_IMAGES, N_FILES = 60, 500


class Row(NamedTuple):
    """One run of the list."""

    run: Run
    took_s: float
    values: list[float | None]


@get("/runs", sync_to_thread=True)
def runs_page(request: Request[Any, Any, Any]) -> Response[str]:
    """Runs, newest first."""
    return page(request, "runs.html", viewer_of(request), **_listed(request))


@get("/runs/list", sync_to_thread=True)
def runs_rows(request: Request[Any, Any, Any]) -> Response[str]:
    """The list alone, for a page that is open."""
    return page(request, "_runs-list.html", viewer_of(request), **_listed(request))


def _listed(request: Request[Any, Any, Any]) -> dict[str, Any]:
    workspace, call = workspace_of(request), viewer_of(request).call
    asked = request.query_params
    state: RunState | None = asked.get("state") if asked.get("state") in STATES else None
    wanted = ListRuns(
        experiment=asked.get("experiment") or None,
        state=state,
        before=asked.get("before") or None,
        limit=RUNS_PER_PAGE,
    )
    found = list_runs(workspace, call, wanted)
    metrics = show_metrics(workspace, call, ShowMetrics(runs=[run.id for run in found.runs]))
    columns = telling_metrics(metrics.by_run.values(), most=N_COLUMNS)
    return {
        "rows": [
            Row(
                run,
                _took_s(workspace, run),
                [_value(metrics.by_run[run.id].get(key)) for key in columns],
            )
            for run in found.runs
        ],
        "columns": columns,
        "states": STATES,
        "experiments": list_experiments(workspace, call, ListExperiments()).experiments,
        "next_before": found.next_before,
        "is_filtered": wanted.experiment is not None or state is not None,
    }


@get("/runs/{run:str}", sync_to_thread=True)
def run_page(run: FromPath[str], request: Request[Any, Any, Any]) -> Response[str]:
    """Everything about one run; what changes while it runs comes again by itself."""
    viewer = viewer_of(request)
    return page(request, "run.html", viewer, **_standing(workspace_of(request), viewer, run))


@get("/runs/{run:str}/state", sync_to_thread=True)
def run_state(run: FromPath[str], request: Request[Any, Any, Any]) -> Response[str]:
    """What changes while it runs: how far it is, and its newest numbers."""
    viewer = viewer_of(request)
    return page(request, "_run-state.html", viewer, **_standing(workspace_of(request), viewer, run))


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


@get("/runs/{run:str}/file", sync_to_thread=True)
def run_file(run: FromPath[str], request: Request[Any, Any, Any]) -> Stream:
    """A file of the run, always to be saved and never to be shown: an engine may write anything."""
    workspace = workspace_of(request)
    asked = request.query_params
    what = OTHER_FILES.get(asked.get("what", ""), "artifact")
    wanted = FindFile(run=run, what=what, name=asked.get("name", ""))
    found = find_file(workspace, viewer_of(request).call, wanted)
    file_name = quote(found.name.rpartition("/")[2][-120:], safe="")
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{file_name}",
        "Content-Length": str(found.size_bytes),
        "Content-Security-Policy": "sandbox",
        "X-Content-Type-Options": "nosniff",
    }
    media_type = "application/octet-stream"
    return Stream(workspace.blobs.stream(found.digest), media_type=media_type, headers=headers)


@post("/runs/{run:str}/cancel", status_code=303)
async def run_cancel(run: FromPath[str], request: Request[Any, Any, Any]) -> Response[Any]:
    """Whoever watches the job ends it within seconds."""
    viewer, _ = await form_of(request)
    await asyncio.to_thread(cancel_run, workspace_of(request), viewer.call, CancelRun(run=run))
    return Redirect(f"/runs/{quote(run)}", status_code=303)


@get("/runs/compare", sync_to_thread=True)
def runs_compare(request: Request[Any, Any, Any]) -> Response[str]:
    """Several runs side by side: what went in differently, and what came out."""
    viewer, workspace = viewer_of(request), workspace_of(request)
    chosen = list(dict.fromkeys(request.query_params.getall("run", [])))
    if not 2 <= len(chosen) <= MOST_COMPARED:
        raise TooManyRuns(n_runs=len(chosen), most=MOST_COMPARED)
    found = [show_run(workspace, viewer.call, ShowRun(run=run)) for run in chosen]
    inputs = [inputs_of(one) for one in found]
    names = sorted({name for side in inputs for name in side})
    keys = sorted({key for one in found for key in one.metrics})
    return page(
        request,
        "runs-compare.html",
        viewer,
        runs=[one.run for one in found],
        inputs=[(name, [side.get(name) for side in inputs]) for name in names],
        differing=set(differing(inputs)),
        metrics=[(key, [_value(one.metrics.get(key)) for one in found]) for key in keys],
        curves_href=f"/runs/curves?{urlencode([('run', run) for run in chosen])}",
        took=[_took_s(workspace, one.run) for one in found],
    )


@get("/runs/curves", sync_to_thread=True)
def runs_curves(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
    """The curves of the runs that are named, ready to be drawn."""
    viewer, workspace = viewer_of(request), workspace_of(request)
    chosen = list(dict.fromkeys(request.query_params.getall("run", [])))
    if not 1 <= len(chosen) <= MOST_COMPARED:
        raise TooManyRuns(n_runs=len(chosen), most=MOST_COMPARED)
    found = [show_curves(workspace, viewer.call, ShowCurves(run=run)) for run in chosen]
    drawn = [_drawable(one) for one in found]
    return Response({"runs": drawn}, headers={"Cache-Control": "no-store"})


def inputs_of(facts: RunFacts) -> dict[str, str]:
    """What decided the run, as names and texts that can be compared."""
    inputs = facts.run.inputs
    if inputs is None:
        return facts.params
    return {
        "data": inputs.dataset_commit,
        "engine": f"{inputs.engine} {inputs.engine_version}",
        "seed": str(inputs.seed),
        "threads": str(inputs.threads),
        "hardware": inputs.hardware,
        "environment": inputs.environment,
        "code": (inputs.code.commit or "no Git repository") + " changed" * inputs.code.dirty,
        **facts.params,
    }


def _standing(workspace: Workspace, viewer: Viewer, run: str) -> dict[str, Any]:
    facts = show_run(workspace, viewer.call, ShowRun(run=run))
    images = [one for one in facts.artifacts if _is_image(one)]
    return {
        "run": facts.run,
        "parameters": facts.params,
        "tags": facts.tags,
        "job": show_job(workspace, viewer.call, ShowJob(run=run)).job,
        "took_s": _took_s(workspace, facts.run),
        "metrics": _newest(facts),
        "images": images[:N_IMAGES],
        "n_images": len(images),
        "files": facts.artifacts[:N_FILES],
        "n_files": len(facts.artifacts),
        "curves_href": f"/runs/curves?{urlencode({'run': run})}",
    }


def _newest(facts: RunFacts) -> list[tuple[str, float | None, int]]:
    return [(key, _value(point), point.step) for key, point in facts.metrics.items()]


def _value(point: PointFacts | None) -> float | None:
    return None if point is None else from_wire(point.value)


def _took_s(workspace: Workspace, run: Run) -> float:
    ended_ms = workspace.clock.now_ms() if run.ended_at_ms is None else run.ended_at_ms
    return max(ended_ms - run.started_at_ms, 0) / 1000


def _is_image(artifact: RunArtifact) -> bool:
    return artifact.name.lower().endswith(IMAGE_SUFFIXES)


def _drawable(found: RunCurves) -> dict[str, Any]:
    """Curves over their steps; one that was logged without steps goes over seconds."""
    return {
        "run": found.run,
        "name": label(found.name)[:80],
        "curves": [
            {
                "key": curve.key,
                "chart": chart_of(curve.key),
                "unit": "step" if curve.steps[0] != curve.steps[-1] else "s",
                "x": curve.steps
                if curve.steps[0] != curve.steps[-1]
                else [(at_ms - found.started_at_ms) / 1000 for at_ms in curve.at_ms],
                "y": curve.values,
            }
            for curve in found.curves
            if curve.n_points > 1
        ],
    }
