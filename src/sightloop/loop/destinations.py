"""Destinations and what still has to reach them, in the database.

A destination's address is a secret and is read in one place only, `address_of`. News waits in
`deliveries`, one row per destination, so that one that does not answer keeps nothing from others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    func,
    insert,
    select,
    update,
)

from sightloop.kernel.database import Tx, metadata
from sightloop.loop.news import News, NewsKind, masked

_destinations = Table(
    "destinations",
    metadata,
    Column("name", Text, primary_key=True),
    Column("address", Text, nullable=False),
    Column("wants", Text, nullable=False),
    Column("added_by", Text, nullable=False),
    Column("added_at_ms", BigInteger, nullable=False),
    Column("delivered_at_ms", BigInteger),
    Column("problem", Text, nullable=False),
    Column("problem_at_ms", BigInteger),
)
_deliveries = Table(
    "deliveries",
    metadata,
    Column("destination", ForeignKey("destinations.name"), nullable=False),
    Column("event_number", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("noted_at_ms", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("not_before_ms", BigInteger, nullable=False),
    PrimaryKeyConstraint("destination", "event_number"),
    Index("deliveries_due", "not_before_ms"),
)


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """Where news goes; the address is only hinted at."""

    name: str
    masked_address: str
    wants: list[NewsKind]
    added_by: str
    added_at_ms: int
    delivered_at_ms: int | None
    """When a message arrived last."""
    problem: str
    """Why the latest attempt failed; `""` when it did not."""
    problem_at_ms: int | None
    n_waiting: int = 0


class Parcel(NamedTuple):
    """Everything that is due at one destination."""

    destination: str
    events: Sequence[int]
    news: Sequence[News]
    noted_at_ms: int
    """When the oldest of it was noted."""
    n_failures: int


def add(
    tx: Tx, name: str, address: str, wants: Sequence[NewsKind], *, by: str, now_ms: int
) -> bool:
    """Add the destination; False when there is one of that name."""
    if find(tx, name) is not None:
        return False
    row = {
        "name": name,
        "address": address,
        "wants": msgspec.json.encode(list(wants)).decode(),
        "added_by": by,
        "added_at_ms": now_ms,
        "problem": "",
    }
    tx.execute(insert(_destinations).values(row))
    return True


def remove(tx: Tx, name: str) -> bool:
    """Forget the destination, its address and what waits for it; False when there is none."""
    tx.execute(_deliveries.delete().where(_deliveries.c.destination == name))
    removed = tx.execute(_destinations.delete().where(_destinations.c.name == name))
    return removed.rowcount == 1


def find(tx: Tx, name: str) -> Destination | None:
    """The destination of that name."""
    return next(iter(_read(tx, _destinations.c.name == name)), None)


def every(tx: Tx) -> list[Destination]:
    """All destinations, by name."""
    return _read(tx, _destinations.c.name.is_not(None))


def address_of(tx: Tx, name: str) -> str | None:
    """The secret itself, for whoever sends; None when the destination was removed."""
    return tx.scalar(select(_destinations.c.address).where(_destinations.c.name == name))


def note(tx: Tx, destination: str, event_number: int, news: News, *, now_ms: int) -> None:
    """Let the news wait for the destination; noting it twice is noting it once."""
    key = (_deliveries.c.destination == destination) & (_deliveries.c.event_number == event_number)
    if tx.execute(select(_deliveries.c.kind).where(key)).first() is None:
        row = {
            "destination": destination,
            "event_number": event_number,
            "kind": news.kind,
            "title": news.title[:1000],
            "body": news.body[:5000],
            "noted_at_ms": now_ms,
            "failures": 0,
            "not_before_ms": now_ms,
        }
        tx.execute(insert(_deliveries).values(row))


def claim(tx: Tx, *, now_ms: int, claim_ms: int, limit: int) -> Parcel | None:
    """What is due at the destination that has waited longest; others leave it alone meanwhile.

    Whoever claimed it and dies leaves it due again after `claim_ms`.
    """
    due = _deliveries.c.not_before_ms <= now_ms
    oldest = select(_deliveries.c.destination).where(due).order_by(_deliveries.c.not_before_ms)
    destination = tx.scalar(oldest.limit(1))
    if destination is None:
        return None
    mine = due & (_deliveries.c.destination == destination)
    query = select(_deliveries).where(mine).order_by(_deliveries.c.event_number).limit(limit)
    rows = tx.execute(query).mappings().all()
    parcel = Parcel(
        destination=destination,
        events=[row["event_number"] for row in rows],
        news=[News(row["kind"], row["title"], row["body"]) for row in rows],
        noted_at_ms=min(row["noted_at_ms"] for row in rows),
        n_failures=max(row["failures"] for row in rows),
    )
    tx.execute(update(_deliveries).where(_of(parcel)).values(not_before_ms=now_ms + claim_ms))
    return parcel


def any_due(tx: Tx, *, now_ms: int) -> bool:
    """Whether there is anything to claim."""
    due = _deliveries.c.not_before_ms <= now_ms
    return tx.execute(select(_deliveries.c.kind).where(due).limit(1)).first() is not None


def forget(tx: Tx, parcel: Parcel) -> None:
    """It arrived, or is not worth another attempt."""
    tx.execute(_deliveries.delete().where(_of(parcel)))


def postpone(tx: Tx, parcel: Parcel, *, until_ms: int) -> None:
    """It failed once more and waits."""
    values = {"failures": parcel.n_failures + 1, "not_before_ms": until_ms}
    tx.execute(update(_deliveries).where(_of(parcel)).values(values))


def set_outcome(tx: Tx, name: str, *, problem: str, now_ms: int) -> None:
    """What became of the latest attempt; no problem means that it arrived."""
    when = {"problem_at_ms": now_ms} if problem else {"delivered_at_ms": now_ms}
    changed = update(_destinations).where(_destinations.c.name == name)
    tx.execute(changed.values(problem=problem, **when))


def _of(parcel: Parcel) -> Any:  # noqa: ANN401 - a SQL condition
    return (_deliveries.c.destination == parcel.destination) & (
        _deliveries.c.event_number.in_(parcel.events)
    )


def _read(tx: Tx, condition: Any) -> list[Destination]:  # noqa: ANN401 - a SQL condition
    counted = select(_deliveries.c.destination, func.count()).group_by(_deliveries.c.destination)
    waiting = {name: int(n) for name, n in tx.execute(counted)}
    rows = tx.execute(select(_destinations).where(condition).order_by(_destinations.c.name))
    found = []
    for row in rows.mappings():
        values = dict(row)
        values["masked_address"] = masked(values.pop("address"))
        values["wants"] = msgspec.json.decode(values["wants"], type=list[NewsKind])
        found.append(Destination(**values, n_waiting=waiting.get(row["name"], 0)))
    return found
