"""Second opinions in the database: one per task, saved once, beside the labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Select,
    Table,
    Text,
    func,
    insert,
    select,
)

from sightloop.kernel.database import Tx, metadata
from sightloop.review.values import LabelBox, Opinion

_opinions = Table(
    "review_opinions",
    metadata,
    Column("task", ForeignKey("review_tasks.id"), primary_key=True),
    Column("boxes", Text, nullable=False),
    Column("given_by", Text, nullable=False),
    Column("given_at_ms", BigInteger, nullable=False),
    Column("duration_ms", BigInteger),
    Column("agreement", Float, nullable=False),
    Column("mean_iou", Float),
    Index("review_opinions_by_agreement", "agreement", "task"),
)


def find_opinions(tx: Tx, tasks: Sequence[str]) -> dict[str, Opinion]:
    """The second opinions on these tasks, by task; at most a few thousand at a time."""
    query = select(_opinions).where(_opinions.c.task.in_(tasks))
    return {row["task"]: _opinion_of(row) for row in tx.execute(query).mappings()}


def tasks_with_opinion() -> Select[Any]:
    """The ids of all tasks that have a second opinion, for use inside another query."""
    return select(_opinions.c.task)


def add_opinion(tx: Tx, opinion: Opinion) -> None:
    """Store the second opinion on a task that has none."""
    row = msgspec.structs.asdict(opinion)
    row["boxes"] = msgspec.json.encode(opinion.boxes).decode()
    tx.execute(insert(_opinions).values(row))


def least_agreed(tx: Tx, *, after: Opinion | None, limit: int) -> list[Opinion]:
    """Second opinions by agreement, the least first, from the one after `after`."""
    query = select(_opinions).order_by(_opinions.c.agreement, _opinions.c.task).limit(limit)
    if after is not None:
        later = (_opinions.c.agreement > after.agreement) | (_opinions.c.task > after.task)
        query = query.where((_opinions.c.agreement >= after.agreement) & later)
    return [_opinion_of(row) for row in tx.execute(query).mappings()]


def opinion_totals(tx: Tx) -> tuple[int, float | None]:
    """How many second opinions there are, and their mean agreement; None before the first."""
    n_opinions, mean = tx.execute(select(func.count(), func.avg(_opinions.c.agreement))).one()
    return int(n_opinions), None if mean is None else float(mean)


def _opinion_of(row: Any) -> Opinion:  # noqa: ANN401 - a SQLAlchemy row mapping
    boxes = msgspec.json.decode(row["boxes"], type=list[LabelBox])
    return Opinion(**(dict(row) | {"boxes": boxes}))
