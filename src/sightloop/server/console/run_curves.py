"""Which charts a page of runs draws, and the curves in them, as JSON for the page's script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from litestar import Request, Response, get

from sightloop.server.console.formats import label
from sightloop.server.console.paging import whole
from sightloop.server.console.session import viewer_of
from sightloop.server.context import workspace_of
from sightloop.server.errors import TooManyRuns
from sightloop.tracking.bands import (
    MAX_RUNS,
    ListCurves,
    RunBands,
    ShowBands,
    list_curves,
    show_bands,
)
from sightloop.tracking.curves import Band, chart_of

SYSTEM = "system/"
MOST_LINES = 12
"""In one chart of one run: more cannot be told apart."""
MOST_KEYS = 50
POINTS_ALONE, POINTS_BESIDE = 500, 250
NO_STORE = {"Cache-Control": "no-store"}


@get("/runs/charts", sync_to_thread=True)
def runs_charts(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
    """The charts of the runs that are named: one for each prefix of one run, else for each metric.

    `part=system` asks for what the machine measured of itself, which is otherwise left out.
    """
    runs = chosen_runs(request, least=1)
    call = viewer_of(request).call
    by_run = list_curves(workspace_of(request), call, ListCurves(runs=runs)).by_run
    wanted = request.query_params.get("part") == "system"
    keys = {run: [k for k in by_run[run] if k.startswith(SYSTEM) == wanted] for run in runs}
    each_metric = request.query_params.get("each") == "metric"
    charts = metric_charts(keys) if each_metric else prefix_charts(keys)
    return Response({"charts": charts}, headers=NO_STORE)


@get("/runs/curves", sync_to_thread=True)
def runs_curves(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
    """The curves of these metrics (`key`) of these runs (`run`), in at most `points` stretches."""
    runs = chosen_runs(request, least=1)
    keys = list(dict.fromkeys(request.query_params.getall("key", [])))[:MOST_KEYS]
    usual = POINTS_ALONE if len(runs) == 1 else POINTS_BESIDE
    points = min(max(whole(request.query_params.get("points", "")) or usual, 10), 2000)
    if not keys:
        return Response({"runs": []}, headers=NO_STORE)
    wanted = ShowBands(runs=runs, keys=keys, max_points=points)
    found = show_bands(workspace_of(request), viewer_of(request).call, wanted)
    return Response({"runs": [_drawable(one) for one in found.runs]}, headers=NO_STORE)


def chosen_runs(request: Request[Any, Any, Any], *, least: int) -> list[str]:
    """The runs that the address names.

    Raises:
        TooManyRuns: fewer than `least`, or more than can be compared.
    """
    chosen = list(dict.fromkeys(request.query_params.getall("run", [])))
    if not least <= len(chosen) <= MAX_RUNS:
        raise TooManyRuns(n_runs=len(chosen), most=MAX_RUNS)
    return chosen


def prefix_charts(keys: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """One chart for the metrics that share a prefix; several where they are many."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for run, named in keys.items():
        for key in named:
            groups.setdefault(chart_of(key), []).append((run, key))
    charts = []
    for group, lines in sorted(groups.items()):
        for at in range(0, len(lines), MOST_LINES):
            part = f" ({at // MOST_LINES + 1})" if at else ""
            some = lines[at : at + MOST_LINES]
            charts.append(_chart((group or "metrics") + part, group, some))
    return charts


def metric_charts(keys: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """One chart for each metric, with a line for each run that has it."""
    named = sorted({key for some in keys.values() for key in some}, key=lambda k: (chart_of(k), k))
    return [
        _chart(key, chart_of(key), [(run, key) for run, some in keys.items() if key in set(some)])
        for key in named
    ]


def _chart(title: str, group: str, lines: Sequence[tuple[str, str]]) -> dict[str, Any]:
    return {"title": title, "group": group, "lines": [[run, key] for run, key in lines]}


def _drawable(found: RunBands) -> dict[str, Any]:
    return {
        "run": found.run,
        "name": label(found.name)[:80],
        "started_ms": found.started_at_ms,
        "curves": [_columns(band) for band in found.bands],
    }


def _columns(band: Band) -> dict[str, Any]:
    columns: dict[str, Any] = {
        "key": band.key,
        "n": band.n_points,
        "step": band.steps,
        "at_ms": band.at_ms,
        "y": [_rounded(value) for value in band.values],
    }
    if band.lows is not None and band.highs is not None:
        columns["low"] = [_rounded(value) for value in band.lows]
        columns["high"] = [_rounded(value) for value in band.highs]
    return columns


def _rounded(value: float | None) -> float | None:
    """Seven digits: finer than any screen, and half as long to send."""
    return None if value is None else float(f"{value:.7g}")
