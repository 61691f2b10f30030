"""The table of runs: filtered and sorted by the server, with the columns that the address names."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import urlencode

from litestar import Request, Response, get
from litestar.params import FromPath
from litestar.response import Redirect

from sightloop.contracts.numbers import from_wire
from sightloop.kernel.workspace import Workspace
from sightloop.server.console.rendering import page
from sightloop.server.console.run_addresses import (
    STATES,
    command_of,
    read_address,
)
from sightloop.server.console.session import viewer_of
from sightloop.server.context import workspace_of
from sightloop.tracking.browsing import (
    BrowseRuns,
    RunColumn,
    RunKeys,
    RunRow,
    RunRows,
    ShowKeys,
    browse_runs,
    show_keys,
)
from sightloop.tracking.curves import telling_metrics
from sightloop.tracking.errors import BadFilter
from sightloop.tracking.organising import show_experiment
from sightloop.tracking.run_columns import column_of, column_text, filter_name, order_term
from sightloop.tracking.services import ListExperiments, list_experiments
from sightloop.tracking.values import Run

RUNS_PER_PAGE = 100
N_COLUMNS = 2
N_OFFERED = 400
"""Names offered per kind: more would make the page itself slow."""
MOST_REFRESHED = 200
_AROUND = 60


class Cell(NamedTuple):
    """A value of a picked column: a number, or a text."""

    number: float | None
    text: str | None


class Row(NamedTuple):
    """One run of the table."""

    run: Run
    took_s: float
    tags: list[tuple[str, str]]
    cells: list[Cell]


class Head(NamedTuple):
    """A picked column."""

    text: str
    name: str
    is_number: bool


class FilterProblem(NamedTuple):
    """Why a filter cannot be used, with the part around the place and a mark below it."""

    message: str
    part: str
    mark: str


@get("/runs", sync_to_thread=True)
def runs_page(request: Request[Any, Any, Any]) -> Response[str]:
    """The page; a filter that cannot be read is answered on it."""
    facts = _listed(request)
    status = 400 if facts["problem"] else 200
    return page(request, "runs.html", viewer_of(request), status=status, **facts)


@get("/runs/list", sync_to_thread=True)
def runs_list(request: Request[Any, Any, Any]) -> Response[str]:
    """The table alone, for a page that is open: further rows, or these once more."""
    return page(request, "_runs-list.html", viewer_of(request), **_listed(request))


@get("/experiments/{number:int}", sync_to_thread=True)
def experiment_page(number: FromPath[int], request: Request[Any, Any, Any]) -> Redirect:
    """The runs of the experiment that MLflow's clients know by its number."""
    found = show_experiment(workspace_of(request), viewer_of(request).call, number)
    return Redirect(f"/runs?{urlencode({'experiment': found.name})}")


def _listed(request: Request[Any, Any, Any]) -> dict[str, Any]:
    workspace, call = workspace_of(request), viewer_of(request).call
    pairs = request.query_params.multi_items()
    address = read_address(pairs)
    keys = show_keys(workspace, call, ShowKeys(experiment=address.experiment or None))
    columns = list(address.columns) if address.columns else _telling(keys)
    by = column_of(address.sort.removeprefix("-"))
    if by is not None and by not in columns:
        columns = [by, *columns]  # An order by what nobody sees looks like none.
    wanted = BrowseRuns(
        experiment=address.experiment or None,
        state=address.state,
        filter=address.filter,
        order_by=[order_term(address.sort)] if address.sort else [],
        runs=[value for name, value in pairs if name == "run"][:MOST_REFRESHED],
        columns=columns,
        is_deleted=address.is_deleted,
        limit=RUNS_PER_PAGE,
        token=address.after,
    )
    problem, found = None, RunRows(rows=[], next_token="")
    try:
        found = browse_runs(workspace, call, wanted)
    except BadFilter as error:
        problem = filter_problem(address.filter, error)
    return {
        "address": address,
        "command": command_of(address),
        "heads": [Head(column_text(one), one.key, one.entity == "metric") for one in columns],
        "rows": [_row(workspace, one, columns) for one in found.rows],
        "next_token": found.next_token,
        "problem": problem,
        "states": STATES,
        "experiments": list_experiments(workspace, call, ListExperiments()).experiments,
        "offered": _offered(keys, columns),
        "suggestions": [filter_name(one) for some in _columns(keys) for one in some],
        "is_filtered": bool(address.filter or address.experiment or address.state),
    }


def filter_problem(text: str, error: BadFilter) -> FilterProblem:
    """The error with the filter's part around its place.

    >>> filter_problem("metrics.x >", BadFilter(text="metrics.x >", at=11, problem="it ends"))[1:]
    ('metrics.x >', '           ^')
    """
    at = min(max(error.at - 1, 0), len(text))
    start = max(at - _AROUND, 0)
    part = text[start : at + _AROUND]
    ellipsis = "…" if start else ""
    mark = " " * (at - start + len(ellipsis)) + "^"
    words = f"At character {error.at}: {error.problem}."
    return FilterProblem(words, ellipsis + " ".join(part.splitlines()), mark)


def took_s(workspace: Workspace, run: Run) -> float:
    """How long the run took, or takes so far."""
    ended_ms = workspace.clock.now_ms() if run.ended_at_ms is None else run.ended_at_ms
    return max(ended_ms - run.started_at_ms, 0) / 1000


def _telling(keys: RunKeys) -> list[RunColumn]:
    # A column of which a single run has a value tells nothing about the others.
    common = telling_metrics([dict.fromkeys(keys.common_metrics)], most=N_COLUMNS)
    others = telling_metrics([dict.fromkeys(keys.metrics)], most=N_COLUMNS)
    named = list(dict.fromkeys([*common, *others]))[:N_COLUMNS]
    return [RunColumn(entity="metric", key=key) for key in named]


def _columns(keys: RunKeys) -> list[list[RunColumn]]:
    return [
        [RunColumn(entity="metric", key=key) for key in keys.metrics[:N_OFFERED]],
        [RunColumn(entity="param", key=key) for key in keys.params[:N_OFFERED]],
        [RunColumn(entity="tag", key=key) for key in keys.tags[:N_OFFERED]],
    ]


def _offered(
    keys: RunKeys, columns: list[RunColumn]
) -> list[tuple[str, list[tuple[str, str, bool]]]]:
    """For the choice of columns: kinds, and of each the texts, names and whether it is shown."""
    offered = []
    for title, some in zip(("Metrics", "Parameters", "Tags"), _columns(keys), strict=True):
        kind = title.lower()[:3]
        also = [one for one in columns if one.entity[:3] == kind and one not in some]
        offered.append(
            (title, [(column_text(one), one.key, one in columns) for one in [*also, *some]])
        )
    return offered


def _row(workspace: Workspace, found: RunRow, columns: list[RunColumn]) -> Row:
    named = {one.key for one in columns if one.entity == "tag"}
    return Row(
        run=found.run,
        took_s=took_s(workspace, found.run),
        tags=[pair for pair in found.tags.items() if pair[0] not in named],
        cells=[_cell(found, one) for one in columns],
    )


def _cell(found: RunRow, column: RunColumn) -> Cell:
    if column.entity == "metric":
        value = found.metrics.get(column.key)
        return Cell(None if value is None else from_wire(value), None)
    values = found.params if column.entity == "param" else found.tags
    return Cell(None, values.get(column.key, ""))
