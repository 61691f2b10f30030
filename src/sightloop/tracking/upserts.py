"""Inserts that leave or replace what is there, for one row or thousands, in both databases.

SQLite runs a statement once per row, at no cost in between. PostgreSQL is sent all rows at once, a
list per column: 125,000 points a second instead of 63,000 row by row (bench/points.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Table, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite

from sightloop.kernel.database import Tx

Rows = Sequence[Mapping[str, object]]


def insert_new(tx: Tx, table: Table, rows: Rows) -> int:
    """Insert those of the rows whose key is not there yet; how many there were."""
    if not rows:
        return 0
    if tx.dialect.name == "postgresql":
        return _send(tx, _all_at_once(table, list(rows[0])).on_conflict_do_nothing(), rows)
    return tx.execute(sqlite.insert(table).on_conflict_do_nothing(), list(rows)).rowcount


def insert_new_plainly(tx: Tx, table: Table, rows: Sequence[tuple[object, ...]]) -> int:
    """`insert_new` of rows that hold every column in order; how many were new.

    Values go to the driver as they are. Of a thousand short rows SQLAlchemy's own preparation
    takes twice as long as SQLite takes to store them.
    """
    return _insert_plainly(tx, table, rows, on_conflict="NOTHING")


def replace_older_plainly(
    tx: Tx, table: Table, rows: Sequence[tuple[object, ...]], *, newest_by: Sequence[str]
) -> None:
    """Insert rows that hold every column in order, of each key one.

    A row whose key is there takes its place unless that one is newer: greater by these columns,
    the first that differ deciding.
    """
    keys = [column.name for column in table.primary_key]
    values = [column.name for column in table.columns if column.name not in keys]
    given, known = (
        ", ".join(f"{whose}.{name}" for name in newest_by) for whose in ("excluded", table.name)
    )
    changes = ", ".join(f"{name} = excluded.{name}" for name in values)
    _insert_plainly(
        tx, table, rows, on_conflict=f"UPDATE SET {changes} WHERE ({given}) >= ({known})", keys=keys
    )


def _insert_plainly(
    tx: Tx,
    table: Table,
    rows: Sequence[tuple[object, ...]],
    *,
    on_conflict: str,
    keys: Sequence[str] = (),
) -> int:
    if not rows:
        return 0
    names = [column.name for column in table.columns]
    if tx.dialect.name == "postgresql":
        types = [column.type.compile(tx.dialect) for column in table.columns]
        source = f"SELECT * FROM unnest({', '.join(f'%s::{one}[]' for one in types)})"  # noqa: S608
        given: Any = tuple(list(column) for column in zip(*rows, strict=True))
    else:
        source = f"VALUES ({', '.join('?' for _ in names)})"
        given = list(rows)
    into = f"INSERT INTO {table.name} ({', '.join(names)})"
    target = f"({', '.join(keys)}) " if keys else ""
    statement = f"{into} {source} ON CONFLICT {target}DO {on_conflict}"
    return tx.exec_driver_sql(statement, given).rowcount


def replace_rows(tx: Tx, table: Table, rows: Rows) -> None:
    """Insert the rows; one whose key is there takes its place."""
    if not rows:
        return
    keys = [column.name for column in table.primary_key]
    # PostgreSQL refuses to replace a row twice in one statement: of equal keys the last counts.
    last = list({tuple(row[key] for key in keys): row for row in rows}.values())
    on_server = tx.dialect.name == "postgresql"
    statement: Any = _all_at_once(table, list(rows[0])) if on_server else sqlite.insert(table)
    values: dict[str, ColumnElement[object]] = {
        column.name: statement.excluded[column.name]
        for column in table.columns
        if column.name not in keys
    }
    statement = statement.on_conflict_do_update(index_elements=keys, set_=values)
    if on_server:
        _send(tx, statement, last)
    else:
        tx.execute(statement, last)


def _all_at_once(table: Table, names: Sequence[str]) -> postgresql.Insert:
    """An INSERT of rows that come as one list per column."""
    lists = [bindparam(name, type_=postgresql.ARRAY(table.c[name].type)) for name in names]
    rows = func.unnest(*lists).table_valued(*names).render_derived()
    query = select(*(rows.c[name] for name in names))
    return postgresql.insert(table).from_select(list(names), query, include_defaults=False)


def _send(tx: Tx, statement: postgresql.Insert, rows: Rows) -> int:
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return tx.execute(statement.execution_options(preserve_rowcount=True), columns).rowcount
