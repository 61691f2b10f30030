"""Which envelopes are stored: what makes every other table of the room exactly once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    event,
    func,
    insert,
    select,
    update,
)

from sightloop.contracts.telemetry import Envelope
from sightloop.kernel.database import Tx, metadata
from sightloop.kernel.digests import Digest, digest_of_record

_order = Table(
    "telemetry_order",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("last_number", BigInteger, nullable=False),
)


@event.listens_for(_order, "after_create")
def _begin_order(_table: Table, tx: Tx, **_: object) -> None:
    # The one row is there from the start, so that two first batches cannot both insert it.
    tx.execute(insert(_order).values(id=1, last_number=0))


_envelopes = Table(
    "telemetry_envelopes",
    metadata,
    Column("device", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("sent_at_ms", BigInteger, nullable=False),
    Column("stored_at_ms", BigInteger, nullable=False),
    PrimaryKeyConstraint("device", "sequence"),
)


class Numbered(NamedTuple):
    """An envelope on its way into the tables, with the number its row gets."""

    number: int
    envelope: Envelope


class Sorted(NamedTuple):
    """A batch against what is stored."""

    fresh: list[Envelope]
    repeated: list[Envelope]
    contradicting: list[Envelope]
    """Their identity is stored with other content: the device counts anew, after a reset say."""


def take_numbers(tx: Tx, n: int) -> range:
    """The next `n` numbers of the room.

    Whoever takes numbers keeps every other writer of the room out until the transaction ends, so
    rows become visible in the order of their numbers and a reader that remembers the last number
    it saw misses none. Numbers that are taken and not used leave gaps.
    """
    taken = update(_order).values(last_number=_order.c.last_number + n)
    last = int(tx.execute(taken.returning(_order.c.last_number)).scalar_one())
    return range(last - n + 1, last + 1)


def sort_envelopes(tx: Tx, envelopes: Iterable[Envelope]) -> Sorted:
    """Which of one device's envelopes are new; of two with one sequence the first counts."""
    by_sequence: dict[int, Envelope] = {}
    for envelope in envelopes:
        by_sequence.setdefault(envelope.sequence, envelope)
    known = _contents(tx, list(by_sequence.values()))
    result = Sorted([], [], [])
    for sequence, envelope in by_sequence.items():
        if sequence not in known:
            result.fresh.append(envelope)
        elif known[sequence] == digest_of_record(envelope):
            result.repeated.append(envelope)
        else:
            result.contradicting.append(envelope)
    return result


def remember(tx: Tx, arrived: list[Numbered], *, now_ms: int) -> None:
    """Note that these envelopes are stored; in the transaction that stores them."""
    rows = [
        {
            "device": envelope.device,
            "sequence": envelope.sequence,
            "number": number,
            "kind": str(envelope.body.__struct_config__.tag),
            "content": digest_of_record(envelope),
            "sent_at_ms": envelope.at_ms,
            "stored_at_ms": now_ms,
        }
        for number, envelope in arrived
    ]
    if rows:
        tx.execute(insert(_envelopes), rows)


def count_envelopes(tx: Tx, *, device: str | None = None) -> dict[str, int]:
    """How many envelopes of each kind are stored, of one device or of all."""
    query = select(_envelopes.c.kind, func.count()).group_by(_envelopes.c.kind)
    if device is not None:
        query = query.where(_envelopes.c.device == device)
    return {kind: int(n) for kind, n in tx.execute(query.order_by(_envelopes.c.kind))}


def _contents(tx: Tx, envelopes: list[Envelope]) -> dict[int, Digest]:
    if not envelopes:
        return {}
    query = select(_envelopes.c.sequence, _envelopes.c.content).where(
        (_envelopes.c.device == envelopes[0].device)
        & _envelopes.c.sequence.in_([envelope.sequence for envelope in envelopes])
    )
    return {int(sequence): Digest(content) for sequence, content in tx.execute(query)}
