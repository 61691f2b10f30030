"""Runs as rows of a table: filtered and sorted in MLflow's language, with the columns asked for.

A page of a table shows a few of the hundreds of values that a run has; only these are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from sqlalchemy import Table, func, select

from sightloop.contracts.numbers import Number, to_wire
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.workspace import Call, Workspace
from sightloop.tracking.experiments import look_up_by_name
from sightloop.tracking.filters import RUNS, Comparison, parse_filter, parse_order
from sightloop.tracking.points import point_of
from sightloop.tracking.search import STATUS, FoundIds, find_run_ids
from sightloop.tracking.store import RUN_QUERY, run_of
from sightloop.tracking.tables import latest, params, runs, tags
from sightloop.tracking.values import Run, RunState

Entity = Literal["metric", "param", "tag"]
MAX_ROWS = 500
MAX_COLUMNS = 60
N_KEYS_FROM = 50
"""Reading the keys of every run would take longer than showing them."""


class RunColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A value that runs may have."""

    entity: Entity
    key: str


class BrowseRuns(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs, in which order, with which values; newest first unless an order is given."""

    experiment: str | None = None
    """Its name; None means all. One that does not exist has no runs."""
    state: RunState | None = None
    filter: str = ""
    order_by: Annotated[list[str], Meta(max_length=5)] = []
    runs: Annotated[list[str], Meta(max_length=MAX_ROWS)] = []
    """These alone, whatever else is asked, in this order; those that do not exist are left out."""
    columns: Annotated[list[RunColumn], Meta(max_length=MAX_COLUMNS)] = []
    is_deleted: bool = False
    limit: Annotated[int, Meta(ge=1, le=MAX_ROWS)] = 100
    token: str = ""


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """A run with the values asked for, those that it has, and with the tags that people gave it."""

    run: Run
    metrics: dict[str, Number]
    params: dict[str, str]
    tags: dict[str, str]


class RunRows(msgspec.Struct, frozen=True, kw_only=True):
    """A page; the token asks for the next and is empty after the last."""

    rows: list[RunRow]
    next_token: str


class ShowKeys(msgspec.Struct, frozen=True, kw_only=True):
    """Of which experiment; None means of all."""

    experiment: str | None = None


class RunKeys(msgspec.Struct, frozen=True, kw_only=True):
    """What the newest runs measured, were given and are tagged with; names, sorted."""

    metrics: list[str]
    params: list[str]
    tags: list[str]
    common_metrics: list[str] = []
    """Those that at least half of the runs that measured anything have."""


def browse_runs(workspace: Workspace, call: Call, request: BrowseRuns) -> RunRows:
    """One page of the table.

    Raises:
        NotAllowed: the actor may not read.
        BadFilter: the filter or the order cannot be read.
        BadPageToken: the token is none, or was made for another order.
    """
    require(call.actor, Permission.READ)
    conditions = parse_filter(request.filter, RUNS)
    if request.state is not None:
        conditions.append(Comparison("attribute", "status", "=", STATUS[request.state]))
    with workspace.db.read() as tx:
        if request.runs:
            found = FoundIds(list(request.runs), "")
        else:
            found = find_run_ids(
                tx,
                experiment_ids=_numbers(tx, request.experiment),
                conditions=conditions,
                sortings=parse_order(request.order_by, RUNS),
                is_deleted=request.is_deleted,
                limit=request.limit,
                token=request.token,
            )
        rows = _rows(tx, found.ids, request.columns)
    return RunRows(rows=rows, next_token=found.next_token)


def show_keys(workspace: Workspace, call: Call, request: ShowKeys) -> RunKeys:
    """What the newest fifty runs have, for whoever picks columns or writes a filter.

    Raises:
        NotAllowed: the actor may not read.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        numbers = _numbers(tx, request.experiment)
        newest = find_run_ids(tx, experiment_ids=numbers, limit=N_KEYS_FROM).ids
        metrics, given, said = (_keys(tx, table, newest) for table in (latest, params, tags))
        common = _common(tx, newest)
    return RunKeys(metrics=metrics, params=given, tags=said, common_metrics=common)


def is_own_tag(key: str) -> bool:
    """Whether a person gave the tag, and no client or program.

    >>> is_own_tag("line"), is_own_tag("mlflow.user")
    (True, False)
    """
    return not key.startswith(("mlflow.", "sightloop."))


def _numbers(tx: Tx, experiment: str | None) -> list[int] | None:
    if experiment is None:
        return None
    found = look_up_by_name(tx, experiment)
    return [] if found is None else [found.id]


def _rows(tx: Tx, ids: Sequence[str], columns: Sequence[RunColumn]) -> list[RunRow]:
    found = {}
    for row in tx.execute(RUN_QUERY.where(runs.c.id.in_(ids))).mappings():
        found[row["id"]] = RunRow(run=run_of(row), metrics={}, params={}, tags={})
    wanted = {
        entity: [one.key for one in columns if one.entity == entity]
        for entity in ("metric", "param")
    }
    mine = latest.c.run.in_(found) & latest.c.key.in_(wanted["metric"])
    if wanted["metric"]:
        for row in tx.execute(select(latest).where(mine)).mappings():
            found[row["run"]].metrics[row["key"]] = to_wire(point_of(row).value)
    mine = params.c.run.in_(found) & params.c.key.in_(wanted["param"])
    if wanted["param"]:
        for run, key, value in tx.execute(select(params).where(mine)):
            found[run].params[key] = value
    named = {one.key for one in columns if one.entity == "tag"}
    order = (tags.c.run, tags.c.key)
    for run, key, value in tx.execute(select(tags).where(tags.c.run.in_(found)).order_by(*order)):
        if is_own_tag(key) or key in named:
            found[run].tags[key] = value
    return [found[one] for one in ids if one in found]


def _keys(tx: Tx, table: Table, ids: Sequence[str]) -> list[str]:
    query = select(table.c.key).where(table.c.run.in_(ids)).distinct()
    return sorted(tx.scalars(query))


def _common(tx: Tx, ids: Sequence[str]) -> list[str]:
    of_these = latest.c.run.in_(ids)
    n_runs = tx.scalar(select(func.count(latest.c.run.distinct())).where(of_these)) or 0
    query = select(latest.c.key).where(of_these).group_by(latest.c.key)
    return sorted(tx.scalars(query.having(2 * func.count() >= n_runs)))
