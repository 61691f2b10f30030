"""Up to which batch each part of a run was taken, so that none is taken twice."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, PrimaryKeyConstraint, Table, Text, select

from sightloop.kernel.database import Tx, metadata
from sightloop.tracking.upserts import replace_rows

batches = Table(
    "tracking_batches",
    metadata,
    Column("run", ForeignKey("tracking_runs.id"), nullable=False),
    Column("part", Text, nullable=False),
    Column("number", BigInteger, nullable=False),
    PrimaryKeyConstraint("run", "part"),
    sqlite_with_rowid=False,
)


def last_batch(tx: Tx, run: str, part: str) -> int:
    """The number of the batch taken last; -1 before the first."""
    mine = (batches.c.run == run) & (batches.c.part == part)
    number = tx.execute(select(batches.c.number).where(mine)).scalar_one_or_none()
    return -1 if number is None else number


def note_batch(tx: Tx, run: str, part: str, number: int) -> None:
    """Record that this batch was taken."""
    replace_rows(tx, batches, [{"run": run, "part": part, "number": number}])
