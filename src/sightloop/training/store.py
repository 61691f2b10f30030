"""What is known of jobs that have not ended: how much of them is recorded, how far they are.

A row lives as long as its job. It is written together with the metric points it counts, so that
a worker which takes over records each point once.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import BigInteger, Column, ForeignKey, Integer, Table, Text, insert, select, update

from sightloop.kernel.database import Tx, metadata
from sightloop.tracking.values import RunId

_jobs = Table(
    "training_jobs",
    metadata,
    Column("run", ForeignKey("tracking_runs.id"), primary_key=True),
    Column("lines_taken", Integer, nullable=False),
    Column("peak_memory_bytes", BigInteger, nullable=False),
    Column("doing", Text, nullable=False),
    Column("done", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("cancel_asked_at_ms", BigInteger),
    Column("cancel_why", Text, nullable=False, default=""),
)


class JobState(msgspec.Struct, frozen=True, kw_only=True):
    """A job that has not ended yet. Before the engine's first line nothing is being done."""

    run: RunId
    lines_taken: int
    peak_memory_bytes: int
    doing: str
    done: int
    total: int
    cancel_asked_at_ms: int | None
    cancel_why: str = ""
    """What made somebody ask, where it was not a person's wish."""


def open_job(tx: Tx, run: RunId) -> None:
    """Note that a job of this run is about to start, and forget an earlier attempt's."""
    close_job(tx, run)
    tx.execute(
        insert(_jobs).values(run=run, lines_taken=0, peak_memory_bytes=0, doing="", done=0, total=0)
    )


def note_job(
    tx: Tx,
    run: RunId,
    *,
    lines_taken: int,
    peak_memory_bytes: int,
    doing: str,
    done: int,
    total: int,
) -> None:
    """Note how far the job is, in the transaction with the points of its lines."""
    tx.execute(
        update(_jobs)
        .where(_jobs.c.run == run)
        .values(
            lines_taken=lines_taken,
            peak_memory_bytes=peak_memory_bytes,
            doing=doing,
            done=done,
            total=total,
        )
    )


def ask_to_cancel(tx: Tx, run: str, *, now_ms: int, why: str = "") -> bool:
    """Let whoever watches the job end it; False when no job of the run is open."""
    values = {"cancel_asked_at_ms": now_ms, "cancel_why": why}
    asked = tx.execute(update(_jobs).where(_jobs.c.run == run).values(values))
    return asked.rowcount > 0


def look_up_job(tx: Tx, run: str) -> JobState | None:
    """The run's open job, or None."""
    row = tx.execute(select(_jobs).where(_jobs.c.run == run)).mappings().first()
    return None if row is None else JobState(**row)


def close_job(tx: Tx, run: RunId) -> None:
    """Forget the job; its run says how it ended."""
    tx.execute(_jobs.delete().where(_jobs.c.run == run))
