"""Parameters of runs, which are written once, and tags, which may change: texts by name."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Select, Table, delete, select

from sightloop.kernel.database import Tx
from sightloop.tracking.errors import ParamChanged
from sightloop.tracking.tables import params, tags
from sightloop.tracking.upserts import insert_new, replace_rows


def add_params(tx: Tx, run: str, added: Mapping[str, str]) -> None:
    """Add the parameters; one that is there with the same value changes nothing.

    Raises:
        ParamChanged: one is there with another value; the transaction must be rolled back.
    """
    if not added:
        return
    mine = (params.c.run == run) & params.c.key.in_(list(added))
    known = {row.key: row.value for row in tx.execute(_pairs(params).where(mine))}
    for key, value in known.items():
        if value != added[key]:
            raise ParamChanged(run=run, key=key, before=value, after=added[key])
    insert_new(tx, params, _rows(run, {k: v for k, v in added.items() if k not in known}))


def set_tags(tx: Tx, run: str, changed: Mapping[str, str]) -> None:
    """Set these tags, whatever they were."""
    replace_rows(tx, tags, _rows(run, changed))


def remove_tag(tx: Tx, run: str, key: str) -> bool:
    """Remove a tag; whether it was there."""
    gone = tx.execute(delete(tags).where((tags.c.run == run) & (tags.c.key == key)))
    return gone.rowcount > 0


def params_of(tx: Tx, run: str) -> dict[str, str]:
    """The run's parameters, by name."""
    return _of(tx, params, run)


def tags_of(tx: Tx, run: str) -> dict[str, str]:
    """The run's tags, by name."""
    return _of(tx, tags, run)


def forget_labels(tx: Tx, run: str) -> None:
    """Remove the run's parameters and tags."""
    for table in (params, tags):
        tx.execute(delete(table).where(table.c.run == run))


def _of(tx: Tx, table: Table, run: str) -> dict[str, str]:
    query = _pairs(table).where(table.c.run == run).order_by(table.c.key)
    return {row.key: row.value for row in tx.execute(query)}


def _pairs(table: Table) -> Select[tuple[str, str]]:
    return select(table.c.key, table.c.value)


def _rows(run: str, values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"run": run, "key": key, "value": value} for key, value in values.items()]
