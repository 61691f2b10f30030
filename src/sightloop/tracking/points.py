"""Metric points: added, never changed; the newest of each key is kept at hand.

Points are written to `Database.points`, which shares no lock with the records; they are read in
the same view as these.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import RowMapping, delete, select, tuple_

from sightloop.kernel.database import Tx
from sightloop.tracking.errors import BadPoint
from sightloop.tracking.tables import latest, points
from sightloop.tracking.upserts import insert_new_plainly, replace_older_plainly
from sightloop.tracking.values import MAX_KEY_CHARACTERS, MAX_STEP, MetricPoint

_COLUMNS = (points.c.key, points.c.is_nan, points.c.value, points.c.step, points.c.at_ms)
_LATEST = (latest.c.key, latest.c.is_nan, latest.c.value, latest.c.step, latest.c.at_ms)


class MetricColumns(NamedTuple):
    """The points of one metric, column by column, each (n_points,)."""

    steps: NDArray[np.int64]
    at_ms: NDArray[np.int64]
    values: NDArray[np.float64]

    def only(self, which: slice | NDArray[np.bool_]) -> MetricColumns:
        """These of the points."""
        return MetricColumns(self.steps[which], self.at_ms[which], self.values[which])


class _Row(NamedTuple):
    """A row of `points` or `latest`; its fields are their columns, in order."""

    run: str
    key: str
    step: int
    at_ms: int
    is_nan: bool
    value: float


def add_points(tx: Tx, run: str, added: Sequence[MetricPoint]) -> None:
    """Add the points. One that is stored already, value and time included, changes nothing.

    Whether there is such a run is the caller's matter: this transaction sees points alone.

    Raises:
        BadPoint: a key is empty or too long, or a step does not fit 64 bits.
    """
    if not added:
        return
    # In the order of the key: transactions of points take no lock, and rows that all of them lock
    # in one order cannot be waited for crosswise.
    rows = sorted(_row_of(run, point) for point in added)
    insert_new_plainly(tx, points, rows)
    _keep_newest(tx, rows)


def add_columns(tx: Tx, run: str, key: str, columns: MetricColumns) -> int:
    """Add thousands of points of one metric; how many were not there yet.

    Raises:
        BadPoint: the key is empty or too long, or a step does not fit 64 bits.
    """
    if not len(columns.steps):
        return 0
    order = np.lexsort((columns.values, columns.at_ms, columns.steps))
    last, first = (
        MetricPoint(
            key=key,
            value=float(columns.values[place]),
            step=int(columns.steps[place]),
            at_ms=int(columns.at_ms[place]),
        )
        for place in (order[-1], order[0])
    )
    _row_of(run, first)  # the least step is checked as the greatest is
    newest = _row_of(run, last)
    is_nan = np.isnan(columns.values[order])
    values = np.where(is_nan, 0.0, columns.values[order])
    parts = (columns.steps[order], columns.at_ms[order], is_nan, values)
    rows = [(run, key, *one) for one in zip(*(part.tolist() for part in parts), strict=True)]
    n_new = insert_new_plainly(tx, points, rows)
    _keep_newest(tx, [newest])
    return n_new


def _keep_newest(tx: Tx, rows: Sequence[_Row]) -> None:
    newest: dict[str, _Row] = {}
    for row in rows:
        known = newest.get(row.key)
        if known is None or row[2:4] + row[5:] >= known[2:4] + known[5:]:
            newest[row.key] = row
    rows = [newest[key] for key in sorted(newest)]
    replace_older_plainly(tx, latest, rows, newest_by=("step", "at_ms", "value"))


def forget_points(tx: Tx, run: str) -> None:
    """Remove every point of the run."""
    for table in (points, latest):
        tx.execute(delete(table).where(table.c.run == run))


def metric_history(
    tx: Tx, run: str, key: str, *, after: MetricPoint | None = None, limit: int | None = None
) -> list[MetricPoint]:
    """The points of one metric by step, time and value; with `after`, those beyond it."""
    mine = (points.c.run == run) & (points.c.key == key)
    order = (points.c.step, points.c.at_ms, points.c.is_nan, points.c.value)
    if after is not None:
        is_nan = math.isnan(after.value)
        place = (after.step, after.at_ms, is_nan, 0.0 if is_nan else after.value)
        mine &= tuple_(*order) > tuple_(*place)
    query = select(*_COLUMNS).where(mine).order_by(*order).limit(limit)
    return [point_of(row) for row in tx.execute(query).mappings()]


def latest_metrics(tx: Tx, run: str) -> dict[str, MetricPoint]:
    """The newest point of each metric: highest step, then latest time, then greatest value."""
    query = select(*_LATEST).where(latest.c.run == run).order_by(latest.c.key)
    return {row["key"]: point_of(row) for row in tx.execute(query).mappings()}


def latest_of_runs(tx: Tx, runs: Sequence[str]) -> dict[str, dict[str, MetricPoint]]:
    """`latest_metrics` of several runs, at most some hundred, in one query."""
    query = select(latest.c.run, *_LATEST).where(latest.c.run.in_(runs))
    found: dict[str, dict[str, MetricPoint]] = {run: {} for run in runs}
    for row in tx.execute(query.order_by(latest.c.run, latest.c.key)).mappings():
        found[row["run"]][row["key"]] = point_of(row)
    return found


def metric_columns(tx: Tx, run: str, key: str) -> MetricColumns:
    """Every point of one metric as `metric_history` orders them; quick for a million."""
    query = (
        select(points.c.step, points.c.at_ms, points.c.is_nan, points.c.value)
        .where((points.c.run == run) & (points.c.key == key))
        .order_by(points.c.step, points.c.at_ms)
    )
    rows = tx.execute(query).all()
    values = [math.nan if is_nan else value for _, _, is_nan, value in rows]
    return MetricColumns(
        steps=np.array([row[0] for row in rows], dtype=np.int64),
        at_ms=np.array([row[1] for row in rows], dtype=np.int64),
        values=np.array(values, dtype=np.float64),
    )


def _row_of(run: str, point: MetricPoint) -> _Row:
    if not 0 < len(point.key) <= MAX_KEY_CHARACTERS:
        problem = f"its name has {len(point.key)} characters, not 1 to {MAX_KEY_CHARACTERS}"
        raise BadPoint(run=run, key=point.key, problem=problem)
    if not -MAX_STEP <= point.step <= MAX_STEP:
        raise BadPoint(run=run, key=point.key, problem=f"step {point.step} does not fit 64 bits")
    # SQLite stores NaN as NULL, which no key can hold: it has a column of its own.
    is_nan = math.isnan(point.value)
    value = 0.0 if is_nan else float(point.value)
    return _Row(run, point.key, point.step, point.at_ms, is_nan, value)


def point_of(row: RowMapping) -> MetricPoint:
    """The point in a row of either table."""
    value = math.nan if row["is_nan"] else row["value"]
    return MetricPoint(key=row["key"], value=value, step=row["step"], at_ms=row["at_ms"])
