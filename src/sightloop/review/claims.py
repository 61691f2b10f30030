"""Claims in the database: at most one per task, which lasts until its time is up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Select,
    Table,
    Text,
    delete,
    insert,
    select,
    update,
)

from sightloop.kernel.database import Tx, metadata
from sightloop.review.values import Claim

_claims = Table(
    "review_claims",
    metadata,
    Column("task", ForeignKey("review_tasks.id"), primary_key=True),
    Column("held_by", Text, nullable=False),
    Column("lease", Text, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
    Index("review_claims_until", "until_ms"),
)


def find_claims(tx: Tx, tasks: Sequence[str], *, now_ms: int) -> dict[str, Claim]:
    """Who works on these tasks, by task; at most a few thousand at a time."""
    query = select(_claims).where(_claims.c.task.in_(tasks) & (_claims.c.until_ms > now_ms))
    return {row["task"]: Claim(**row) for row in tx.execute(query).mappings()}


def held_tasks(*, now_ms: int) -> Select[Any]:
    """The ids of all tasks somebody works on, for use inside another query."""
    return select(_claims.c.task).where(_claims.c.until_ms > now_ms)


def put_claim(tx: Tx, claim: Claim, *, now_ms: int) -> Claim:
    """The claim that stands now: this one, unless somebody else holds the task."""
    free = (_claims.c.until_ms <= now_ms) | (_claims.c.held_by == claim.held_by)
    values = {"held_by": claim.held_by, "lease": claim.lease, "until_ms": claim.until_ms}
    mine = (_claims.c.task == claim.task) & free
    if tx.execute(update(_claims).where(mine).values(values)).rowcount == 1:
        return claim
    standing = find_claims(tx, [claim.task], now_ms=now_ms).get(claim.task)
    if standing is not None:
        return standing
    tx.execute(insert(_claims).values(task=claim.task, **values))
    return claim


def drop_claim(tx: Tx, task: str, *, lease: str | None = None) -> bool:
    """End the claim on the task, whoever holds it, or only that of this lease."""
    mine = _claims.c.task == task
    if lease is not None:
        mine &= _claims.c.lease == lease
    return tx.execute(delete(_claims).where(mine)).rowcount == 1
