"""Which source became which run, and how far it was read: what makes importing repeatable."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import BigInteger, Column, ForeignKey, PrimaryKeyConstraint, Table, Text, select

from sightloop.kernel.database import Tx, metadata
from sightloop.tracking.upserts import replace_rows

import_marks = Table(
    "tracking_import_marks",
    metadata,
    Column("experiment", ForeignKey("tracking_experiments.id"), nullable=False),
    Column("source", Text, nullable=False),
    Column("run", ForeignKey("tracking_runs.id"), nullable=False),
    Column("done_bytes", BigInteger, nullable=False),
    PrimaryKeyConstraint("experiment", "source"),
    sqlite_with_rowid=False,
)


class Mark(NamedTuple):
    """The run that a source became, and how many of its bytes are in it."""

    run: str
    done_bytes: int


def find_mark(tx: Tx, experiment: int, source: str) -> Mark | None:
    """The mark of the source, if some of it was imported into the experiment."""
    mine = (import_marks.c.experiment == experiment) & (import_marks.c.source == source)
    row = tx.execute(select(import_marks.c.run, import_marks.c.done_bytes).where(mine)).first()
    return None if row is None else Mark(*row)


def set_mark(tx: Tx, experiment: int, source: str, mark: Mark) -> None:
    """Remember how far the source was imported."""
    row = {"experiment": experiment, "source": source, **mark._asdict()}
    replace_rows(tx, import_marks, [row])
