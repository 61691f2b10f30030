"""Runs by what was measured, given and said of them: filtered, sorted, page by page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import nan
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import (
    FromClause,
    Integer,
    Select,
    Table,
    and_,
    bindparam,
    case,
    exists,
    func,
    not_,
    or_,
    select,
    type_coerce,
)

from sightloop.kernel.database import Tx
from sightloop.tracking.conditions import (
    Column,
    Page,
    SortKey,
    beyond,
    compare,
    decode_token,
    encode_token,
    joined,
    kinds_of,
    missing_rank,
    order_of,
    sort_keys,
)
from sightloop.tracking.filters import RUNS, Comparison, Sorting, parse_filter, parse_order
from sightloop.tracking.inputs import datasets, run_datasets
from sightloop.tracking.store import RUN_QUERY, run_of
from sightloop.tracking.tables import latest, params, runs, tags
from sightloop.tracking.values import MetricPoint, Run, RunState

_AT_ONCE = 900
"""Runs named in one statement."""

_T = TypeVar("_T")
_Join = tuple[FromClause, Column]


def _pairs_of_runs(table: Table) -> Select[Any]:
    mine = table.c.run.in_(bindparam("runs", expanding=True))
    pairs = select(table.c.run, table.c.key, table.c.value)
    return pairs.where(mine).order_by(table.c.run, table.c.key)


_PARAMS, _TAGS = _pairs_of_runs(params), _pairs_of_runs(tags)
_NEWEST = (
    select(
        latest.c.run,
        latest.c.key,
        type_coerce(latest.c.is_nan, Integer),
        latest.c.value,
        latest.c.step,
        latest.c.at_ms,
    )
    .where(latest.c.run.in_(bindparam("runs", expanding=True)))
    .order_by(latest.c.run, latest.c.key)
)


class RunWithFacts(NamedTuple):
    """A run and what is listed with it."""

    run: Run
    experiment: int
    params: list[tuple[str, str]]
    tags: list[tuple[str, str]]
    metrics: list[MetricPoint]
    """The newest point of each metric."""


class FoundIds(NamedTuple):
    """A page of runs by their ids; the token asks for the next and is empty after the last."""

    ids: list[str]
    next_token: str


class FoundRuns(NamedTuple):
    """A page of runs; the token asks for the next and is empty after the last."""

    runs: list[RunWithFacts]
    next_token: str


def search_runs(
    tx: Tx,
    *,
    experiment_ids: Sequence[int],
    filter_text: str = "",
    order_by: Sequence[str] = (),
    is_deleted: bool | None = False,
    limit: int = 1000,
    token: str = "",
) -> FoundRuns:
    """The runs of these experiments that fit, newest first unless an order is given.

    Args:
        tx: a reading transaction.
        experiment_ids: whose runs; none means no run.
        filter_text: see `filters`.
        order_by: see `filters`; ties are broken by start and id.
        is_deleted: None means both.
        limit: at most so many.
        token: of the page before.

    Raises:
        BadFilter: the filter or the order cannot be read.
        BadPageToken: the token is none, or was made for another order.
    """
    found = find_run_ids(
        tx,
        experiment_ids=experiment_ids,
        conditions=parse_filter(filter_text, RUNS),
        sortings=parse_order(order_by, RUNS),
        is_deleted=is_deleted,
        limit=limit,
        token=token,
    )
    return FoundRuns(with_facts(tx, found.ids), found.next_token)


def find_run_ids(
    tx: Tx,
    *,
    experiment_ids: Sequence[int] | None,
    conditions: Sequence[Comparison] = (),
    sortings: Sequence[Sorting] = (),
    is_deleted: bool | None = False,
    limit: int = 1000,
    token: str = "",
) -> FoundIds:
    """The ids of the runs that fit; None for `experiment_ids` means every experiment.

    Raises:
        BadPageToken: the token is none, or was made for another order.
    """
    order = order_of(sortings)
    keys, joins = _keys(sortings)
    after = decode_token(token, order=order, kinds=kinds_of(keys))
    query = _fitting(tx, experiment_ids, conditions, is_deleted)
    for table, condition in joins:
        query = query.outerjoin(table, condition)
    query = query.add_columns(*(key.expression.label(f"k{at}") for at, key in enumerate(keys)))
    if after is not None:
        query = query.where(beyond(keys, after))
    query = query.order_by(
        *(key.expression.asc() if key.ascending else key.expression.desc() for key in keys)
    )
    rows = tx.execute(query.limit(limit + 1)).all()
    page = rows[:limit]
    next_token = ""
    if len(rows) > limit:
        next_token = encode_token(Page(list(page[-1][1:]), order))
    return FoundIds([row[0] for row in page], next_token)


def with_facts(tx: Tx, ids: Sequence[str]) -> list[RunWithFacts]:
    """These runs in this order, with everything that is listed with them."""
    found: dict[str, RunWithFacts] = {}
    for some in _chunks(ids):
        query = RUN_QUERY.add_columns(runs.c.experiment.label("number")).where(runs.c.id.in_(some))
        for row in tx.execute(query).mappings():
            values = dict(row)
            number = values.pop("number")
            found[row["id"]] = RunWithFacts(run_of(values), number, [], [], [])
        # A page has a hundred thousand of these: fetched at once, as plain tuples.
        for run, key, value in tx.execute(_PARAMS, {"runs": some}).all():
            found[run].params.append((key, value))
        for run, key, value in tx.execute(_TAGS, {"runs": some}).all():
            found[run].tags.append((key, value))
        for run, key, is_nan, value, step, at_ms in tx.execute(_NEWEST, {"runs": some}).all():
            value = nan if is_nan else value
            found[run].metrics.append(MetricPoint(key=key, value=value, step=step, at_ms=at_ms))
    return [found[one] for one in ids if one in found]


def _fitting(
    tx: Tx,
    experiment_ids: Sequence[int] | None,
    conditions: Sequence[Comparison],
    is_deleted: bool | None,
) -> Select[Any]:
    query = select(runs.c.id)
    if experiment_ids is not None:
        query = query.where(runs.c.experiment.in_(experiment_ids))
    if is_deleted is not None:
        query = query.where(runs.c.is_deleted == is_deleted)
    for one in conditions:
        query = query.where(_condition(tx, one))
    return query


def _condition(tx: Tx, one: Comparison) -> Column:
    if one.entity == "attribute":
        return compare(tx, _attribute(one.key), one)
    if one.entity == "metric":
        mine = and_(latest.c.run == runs.c.id, latest.c.key == one.key)
        # What is not a number differs from every number, and is nothing else to it.
        is_number, fits = not_(latest.c.is_nan), compare(tx, latest.c.value, one)
        return exists().where(
            mine, or_(~is_number, fits) if one.operator == "!=" else fits & is_number
        )
    if one.entity == "dataset":
        column = run_datasets.c.context if one.key == "context" else datasets.c[one.key]
        used = and_(run_datasets.c.run == runs.c.id, run_datasets.c.dataset == datasets.c.id)
        return exists().where(used, compare(tx, column, one))
    table = params if one.entity == "param" else tags
    mine = and_(table.c.run == runs.c.id, table.c.key == one.key)
    if one.operator == "IS NULL":
        return not_(exists().where(mine))
    return exists().where(mine, compare(tx, table.c.value, one))


STATUS: Mapping[RunState, str] = {
    "running": "RUNNING",
    "scheduled": "SCHEDULED",
    "finished": "FINISHED",
    "failed": "FAILED",
    "cancelled": "KILLED",
}


def _attribute(name: str) -> Column:
    columns: dict[str, Column] = {
        "run_id": runs.c.id,
        "run_name": runs.c.name,
        "user_id": runs.c.user,
        "status": case(STATUS, value=runs.c.state),
        "start_time": runs.c.started_at_ms,
        "end_time": runs.c.ended_at_ms,
        "artifact_uri": joined(
            "mlflow-artifacts:/", runs.c.experiment, "/", runs.c.id, "/artifacts"
        ),
    }
    return columns[name]


def _keys(sortings: Sequence[Sorting]) -> tuple[list[SortKey], list[_Join]]:
    """What rows are sorted by, and what that needs joined to the runs."""
    joins: list[_Join] = []
    keys = sort_keys(sortings, lambda one: _sorted_column(one, joins))
    named = {one.key for one in sortings if one.entity == "attribute"}
    if "start_time" not in named:
        keys.append(SortKey(runs.c.started_at_ms, False))
    return [*keys, SortKey(runs.c.id, True)], joins


def _sorted_column(one: Sorting, joins: list[_Join]) -> tuple[Column, Column]:
    if one.entity == "attribute":
        column = _attribute(one.key)
        nothing: float | str = 0 if one.key in ("start_time", "end_time") else ""
        return missing_rank(column), func.coalesce(column, nothing)
    if one.entity == "metric":
        newest = _joined_by_key(latest, one.key, joins)
        return missing_rank(newest.c.value, newest.c.is_nan), func.coalesce(newest.c.value, 0.0)
    if one.entity == "dataset":
        column = run_datasets.c.context if one.key == "context" else datasets.c[one.key]
        used = and_(run_datasets.c.run == runs.c.id, run_datasets.c.dataset == datasets.c.id)
        text: Column = select(func.min(column)).where(used).scalar_subquery()
    else:
        text = _joined_by_key(params if one.entity == "param" else tags, one.key, joins).c.value
    return missing_rank(text), func.coalesce(text, "")


def _joined_by_key(table: Table, key: str, joins: list[_Join]) -> FromClause:
    """The one row of that key, looked up once a run however often its columns are named."""
    row = table.alias(f"sorted_{len(joins)}")
    joins.append((row, and_(row.c.run == runs.c.id, row.c.key == key)))
    return row


def _chunks(values: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for at in range(0, len(values), _AT_ONCE):
        yield values[at : at + _AT_ONCE]
