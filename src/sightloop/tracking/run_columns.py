"""How people write a column of the table of runs, and an order: on a page and in a terminal.

A column is written `metrics.NAME`, `params.NAME` or `tags.NAME`, an order the same way or as the
name of an attribute, with a minus in front for the greatest first. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

from sightloop.tracking.browsing import Entity, RunColumn

ATTRIBUTES = ("run_name", "status", "start_time", "user_id")
"""What else runs can be sorted by."""
_ENTITIES: Mapping[str, Entity] = {"metrics": "metric", "params": "param", "tags": "tag"}
_PREFIXES: Mapping[Entity, str] = {entity: prefix for prefix, entity in _ENTITIES.items()}


def column_of(text: str) -> RunColumn | None:
    """The column of that text; None for a text that names none.

    >>> column_of("params.lr0"), column_of("params.")
    (RunColumn(entity='param', key='lr0'), None)
    """
    prefix, _, key = text.partition(".")
    entity = _ENTITIES.get(prefix)
    return RunColumn(entity=entity, key=key) if entity and key else None


def column_text(column: RunColumn) -> str:
    """The column as addresses write it.

    >>> column_text(RunColumn(entity="tag", key="line"))
    'tags.line'
    """
    return f"{_PREFIXES[column.entity]}.{column.key}"


def order_term(sort: str) -> str:
    """The order as MLflow's language writes it; empty for one that cannot be.

    >>> order_term("-metrics.val/loss"), order_term("start_time"), order_term("-nonsense")
    ('metrics.`val/loss` DESC', 'start_time ASC', '')
    """
    direction = "DESC" if sort.startswith("-") else "ASC"
    field = sort.removeprefix("-")
    if field in ATTRIBUTES:
        return f"{field} {direction}"
    column = column_of(field)
    if column is None or ("`" in column.key and '"' in column.key):
        return ""
    return f"{filter_name(column)} {direction}"


def filter_name(column: RunColumn) -> str:
    """The column as a filter names it.

    >>> filter_name(RunColumn(entity="metric", key="metrics/mAP50(B)"))
    'metrics.`metrics/mAP50(B)`'
    """
    quote = '"' if "`" in column.key else "`"
    return f"{_PREFIXES[column.entity]}.{quote}{column.key}{quote}"
