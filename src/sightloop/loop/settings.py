"""What an operator may switch on the loop while it runs: for now, whether it moves at all."""

from __future__ import annotations

from sqlalchemy import Column, Table, Text, insert, select

from sightloop.kernel.database import Tx, metadata

_switches = Table(
    "loop_switches",
    metadata,
    Column("name", Text, primary_key=True),
    Column("reason", Text, nullable=False),
)


def is_paused(tx: Tx) -> bool:
    """Whether events wait instead of leading to steps; what runs already goes on."""
    return (
        tx.execute(select(_switches.c.name).where(_switches.c.name == "paused")).first() is not None
    )


def pause(tx: Tx, reason: str) -> None:
    """Let events wait from now on."""
    tx.execute(_switches.delete().where(_switches.c.name == "paused"))
    tx.execute(insert(_switches).values(name="paused", reason=reason))


def resume(tx: Tx) -> None:
    """Go on where the loop was paused; nothing was lost meanwhile."""
    tx.execute(_switches.delete().where(_switches.c.name == "paused"))
