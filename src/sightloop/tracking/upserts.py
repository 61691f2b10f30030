"""Inserts that leave or replace what is there; both databases know them, in their own dialects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, Table
from sqlalchemy.dialects import postgresql, sqlite

from sightloop.kernel.database import Tx

Rows = Sequence[Mapping[str, object]]


def insert_new(tx: Tx, table: Table, rows: Rows) -> None:
    """Insert those of the rows whose key is not there yet."""
    if rows:
        tx.execute(insert_into(tx, table).on_conflict_do_nothing(), list(rows))


def insert_new_plainly(tx: Tx, table: Table, rows: Sequence[tuple[object, ...]]) -> int:
    """`insert_new` of rows that hold every column in order; how many were new.

    Values go to the driver as they are. Of a thousand short rows SQLAlchemy's own preparation
    takes twice as long as SQLite takes to store them.
    """
    if not rows:
        return 0
    mark = "?" if tx.dialect.paramstyle == "qmark" else "%s"
    columns = ", ".join(column.name for column in table.columns)
    marks = ", ".join([mark] * len(table.columns))
    statement = f"INSERT INTO {table.name} ({columns}) VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608
    return tx.exec_driver_sql(statement, list(rows)).rowcount


def replace_rows(tx: Tx, table: Table, rows: Rows) -> None:
    """Insert the rows; one whose key is there takes its place."""
    if not rows:
        return
    statement = insert_into(tx, table)
    keys = [column.name for column in table.primary_key]
    values: dict[str, ColumnElement[object]] = {
        column.name: statement.excluded[column.name]
        for column in table.columns
        if column.name not in keys
    }
    tx.execute(statement.on_conflict_do_update(index_elements=keys, set_=values), list(rows))


def insert_into(tx: Tx, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An INSERT that can be told what to do about a conflict."""
    return insert_of(tx.dialect.name, table)


def insert_of(dialect: str, table: Table) -> postgresql.Insert | sqlite.Insert:
    """`insert_into` before there is a transaction, so that a statement is made once."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
