"""What happened, told in the same transaction as the record it tells of.

A consumer subscribes once; from then on every event gets a row in its inbox when it is written.
It takes events out of the inbox inside the transaction of what it does about them, so an event
is handled exactly once whatever crashes and however many workers there are. No cursor moves past
an event that a slower writer has yet to commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NewType

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

from sightloop.kernel.actors import Actor
from sightloop.kernel.database import Database, Tx, metadata

EventKind = NewType("EventKind", str)
Consumer = NewType("Consumer", str)
Handler = Callable[[Tx, "Event"], None]

# SQLite numbers rows itself only when the key is exactly INTEGER.
_Number = BigInteger().with_variant(Integer, "sqlite")

_events = Table(
    "events",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("data", Text, nullable=False),
    Index("events_by_subject", "subject"),
    sqlite_autoincrement=True,
)
_subscriptions = Table(
    "event_subscriptions",
    metadata,
    Column("consumer", Text, nullable=False),
    Column("kind", Text, nullable=False),
    PrimaryKeyConstraint("consumer", "kind"),
)
_inbox = Table(
    "event_inbox",
    metadata,
    Column("consumer", Text, nullable=False),
    Column("event_number", ForeignKey("events.number"), nullable=False),
    Column("failures", Integer, nullable=False, default=0),
    Column("not_before_ms", BigInteger, nullable=False, default=0),
    Column("last_error", Text),
    PrimaryKeyConstraint("consumer", "event_number"),
    Index("event_inbox_due", "consumer", "not_before_ms", "event_number"),
)


class Event(msgspec.Struct, frozen=True):
    """Something happened to the record `subject`. `data` holds ids and small facts, no content."""

    number: int
    kind: EventKind
    subject: str
    actor: str
    at_ms: int
    data: dict[str, Any]


def tell(
    tx: Tx,
    kind: EventKind,
    subject: str,
    *,
    by: Actor,
    at_ms: int,
    data: dict[str, Any] | None = None,
) -> int:
    """Write the event and put it into every subscriber's inbox; returns its number."""
    values = {
        "kind": kind,
        "subject": subject,
        "actor": by.id,
        "at_ms": at_ms,
        "data": msgspec.json.encode(data or {}, order="sorted").decode(),
    }
    number = tx.execute(insert(_events).values(values).returning(_events.c.number)).scalar_one()
    consumers = tx.scalars(
        select(_subscriptions.c.consumer).where(_subscriptions.c.kind == kind)
    ).all()
    if consumers:
        tx.execute(
            insert(_inbox),
            [{"consumer": consumer, "event_number": number} for consumer in consumers],
        )
    return int(number)


def subscribe(tx: Tx, consumer: Consumer, kinds: Iterable[EventKind]) -> None:
    """From now on events of these kinds, and only these, reach the consumer's inbox."""
    wanted = set(kinds)
    known = set(
        tx.scalars(select(_subscriptions.c.kind).where(_subscriptions.c.consumer == consumer))
    )
    for kind in sorted(known - wanted):
        tx.execute(
            _subscriptions.delete().where(
                (_subscriptions.c.consumer == consumer) & (_subscriptions.c.kind == kind)
            )
        )
    if missing := sorted(wanted - known):
        tx.execute(
            insert(_subscriptions), [{"consumer": consumer, "kind": kind} for kind in missing]
        )


def handle_next(
    db: Database, consumer: Consumer, handler: Handler, *, now_ms: int, retry_after_ms: int = 5_000
) -> Event | None:
    """Handle the oldest due event, or return None when the inbox holds none that is due.

    The handler's writes and the event's leaving the inbox are one transaction. When the handler
    raises, nothing of it remains, the event waits (longer after each failure) and the exception
    goes on to the caller.
    """
    taken: Event | None = None
    try:
        with db.write() as tx:
            taken = _take_due(tx, consumer, now_ms)
            if taken is not None:
                handler(tx, taken)
    except Exception as error:
        if taken is not None:
            _postpone(db, consumer, taken, error, now_ms=now_ms, retry_after_ms=retry_after_ms)
        raise
    return taken


def waiting(tx: Tx, consumer: Consumer) -> int:
    """How many events the consumer has not handled yet."""
    count = select(func.count()).select_from(_inbox).where(_inbox.c.consumer == consumer)
    return int(tx.execute(count).scalar_one())


def newest_number(tx: Tx) -> int:
    """The number of the newest event; 0 before the first."""
    return int(tx.scalar(select(func.max(_events.c.number))) or 0)


def latest(
    tx: Tx, *, limit: int, before: int | None = None, subject: str | None = None
) -> list[Event]:
    """The newest events, newest first; with `before`, those with a lower number."""
    query = select(_events).order_by(_events.c.number.desc()).limit(limit)
    if before is not None:
        query = query.where(_events.c.number < before)
    if subject is not None:
        query = query.where(_events.c.subject == subject)
    return [_event_of(row) for row in tx.execute(query).mappings()]


def latest_of(tx: Tx, kind: EventKind, subject: str) -> Event | None:
    """The newest event of that kind about that record."""
    about = (_events.c.subject == subject) & (_events.c.kind == kind)
    query = select(_events).where(about).order_by(_events.c.number.desc()).limit(1)
    row = tx.execute(query).mappings().first()
    return None if row is None else _event_of(row)


def history(
    tx: Tx,
    *,
    after: int = 0,
    subject: str | None = None,
    kind: EventKind | None = None,
    limit: int = 1000,
) -> list[Event]:
    """Events with a number above `after`, oldest first; None selects every subject or kind."""
    query = select(_events).where(_events.c.number > after).order_by(_events.c.number).limit(limit)
    if subject is not None:
        query = query.where(_events.c.subject == subject)
    if kind is not None:
        query = query.where(_events.c.kind == kind)
    return [_event_of(row) for row in tx.execute(query).mappings()]


def _take_due(tx: Tx, consumer: Consumer, now_ms: int) -> Event | None:
    mine = (_inbox.c.consumer == consumer) & (_inbox.c.event_number == _events.c.number)
    query = (
        select(_events)
        .join(_inbox, mine)
        .where(_inbox.c.not_before_ms <= now_ms)
        .order_by(_events.c.number)
        .limit(1)
        .with_for_update(skip_locked=True, of=_inbox)
    )
    row = tx.execute(query).mappings().first()
    if row is None:
        return None
    tx.execute(
        _inbox.delete().where(
            (_inbox.c.consumer == consumer) & (_inbox.c.event_number == row["number"])
        )
    )
    return _event_of(row)


def _postpone(
    db: Database,
    consumer: Consumer,
    event: Event,
    error: Exception,
    *,
    now_ms: int,
    retry_after_ms: int,
) -> None:
    mine = (_inbox.c.consumer == consumer) & (_inbox.c.event_number == event.number)
    with db.write() as tx:
        failures = 1 + int(tx.execute(select(_inbox.c.failures).where(mine)).scalar_one())
        wait_ms = min(retry_after_ms * 2 ** (failures - 1), 3_600_000)
        tx.execute(
            update(_inbox)
            .where(mine)
            .values(
                failures=failures,
                not_before_ms=now_ms + wait_ms,
                last_error=f"{type(error).__name__}: {error}",
            )
        )


def _event_of(row: Any) -> Event:  # noqa: ANN401 - a SQLAlchemy row mapping
    return Event(
        number=row["number"],
        kind=EventKind(row["kind"]),
        subject=row["subject"],
        actor=row["actor"],
        at_ms=row["at_ms"],
        data=msgspec.json.decode(row["data"]),
    )
