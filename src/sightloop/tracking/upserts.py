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
    return tx.exec_driver_sql(f"{into} {source} ON CONFLICT DO NOTHING", given).rowcount


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


def insert_of(dialect: str, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An INSERT that can be told what to do about a conflict, made before its transaction."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def _all_at_once(table: Table, names: Sequence[str]) -> postgresql.Insert:
    """An INSERT of rows that come as one list per column."""
    lists = [bindparam(name, type_=postgresql.ARRAY(table.c[name].type)) for name in names]
    rows = func.unnest(*lists).table_valued(*names).render_derived()
    query = select(*(rows.c[name] for name in names))
    return postgresql.insert(table).from_select(list(names), query, include_defaults=False)


def _send(tx: Tx, statement: postgresql.Insert, rows: Rows) -> int:
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return tx.execute(statement.execution_options(preserve_rowcount=True), columns).rowcount
