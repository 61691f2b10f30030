"""The audit log: every event, sealed in batches that chain by hash.

Sealing takes the events written since the last seal, in the order of their numbers, and writes
one row with the hash of the previous seal and of those events. Changing, removing or inserting
any sealed event breaks every seal from there on, which `verify` finds. Keep a copy of the newest
seal elsewhere (it is printed by `sightloop doctor`) and the whole past is pinned.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import BigInteger, Column, Integer, Table, Text, insert, select

from sightloop.kernel.database import Tx, metadata
from sightloop.kernel.digests import Digest, digest_of_record
from sightloop.kernel.errors import Damaged
from sightloop.kernel.events import Event, history

FIRST = Digest("sha256:" + "0" * 64)
BATCH_EVENTS = 1000

_seals = Table(
    "audit_seals",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("first_event", BigInteger, nullable=False),
    Column("last_event", BigInteger, nullable=False),
    Column("n_events", Integer, nullable=False),
    Column("previous", Text, nullable=False),
    Column("seal", Text, nullable=False),
    Column("sealed_at_ms", BigInteger, nullable=False),
)


class Seal(msgspec.Struct, frozen=True):
    """One link of the chain: the hash over the previous link and a run of events."""

    number: int
    first_event: int
    last_event: int
    n_events: int
    previous: Digest
    seal: Digest
    sealed_at_ms: int


class AuditBroken(Damaged):
    """Sealed events are not what they were when they were sealed."""

    code = "SL-630"

    def __init__(self, *, seal: int, first_event: int, last_event: int) -> None:
        super().__init__(
            f"the audit log is broken at seal {seal}: events {first_event} to {last_event} were "
            "changed, removed or added after sealing; compare with a backup",
            seal=seal,
            first_event=first_event,
            last_event=last_event,
        )


def seal_events(tx: Tx, *, now_ms: int) -> Seal | None:
    """Seal up to `BATCH_EVENTS` unsealed events; None when there is nothing to seal.

    Call it in a write transaction: no event can then slip in below the batch's last number.
    """
    last = latest(tx)
    events = history(tx, after=last.last_event if last else 0, limit=BATCH_EVENTS)
    if not events:
        return None
    seal = _link(
        number=last.number + 1 if last else 1,
        previous=last.seal if last else FIRST,
        events=events,
        sealed_at_ms=now_ms,
    )
    tx.execute(insert(_seals).values(msgspec.structs.asdict(seal)))
    return seal


def latest(tx: Tx) -> Seal | None:
    """The newest seal, the one to keep a copy of."""
    row = tx.execute(select(_seals).order_by(_seals.c.number.desc()).limit(1)).mappings().first()
    return None if row is None else Seal(**row)


def verify(tx: Tx) -> int:
    """Recompute the whole chain; returns how many events it covers.

    Raises:
        AuditBroken: names the first seal that does not hold.
    """
    n_events, previous, after = 0, FIRST, 0
    for row in tx.execute(select(_seals).order_by(_seals.c.number)).mappings().all():
        stored = Seal(**row)
        events = [
            event
            for event in history(tx, after=after, limit=BATCH_EVENTS)
            if event.number <= stored.last_event
        ]
        if not events or stored != _link(
            number=stored.number,
            previous=previous,
            events=events,
            sealed_at_ms=stored.sealed_at_ms,
        ):
            raise AuditBroken(
                seal=stored.number, first_event=stored.first_event, last_event=stored.last_event
            )
        n_events, previous, after = n_events + len(events), stored.seal, stored.last_event
    return n_events


def _link(*, number: int, previous: Digest, events: list[Event], sealed_at_ms: int) -> Seal:
    return Seal(
        number=number,
        first_event=events[0].number,
        last_event=events[-1].number,
        n_events=len(events),
        previous=previous,
        seal=digest_of_record([number, previous, sealed_at_ms, events]),
        sealed_at_ms=sealed_at_ms,
    )
