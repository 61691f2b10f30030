"""Audited losses: how wrong a bundle was on images of the audit lane, known from their labels."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import BigInteger, Column, Float, Index, Table, Text, insert, select

from sightloop.kernel.database import Tx, metadata
from sightloop.kernel.digests import Digest
from sightloop.telemetry.envelopes import take_numbers
from sightloop.telemetry.values import AuditedLoss, StreamKey

# `kept` is no foreign key: an image may have to be erased, and what was learnt from it may stay.
_losses = Table(
    "telemetry_losses",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False, unique=True),
    Column("kept", Text, nullable=False, unique=True),
    Column("device", Text, nullable=False),
    Column("stream", Text, nullable=False),
    Column("stratum_stream", Text, nullable=False),
    Column("strata", Text, nullable=False),
    Column("bundle", Text, nullable=False),
    Column("loss", Float, nullable=False),
    Column("inclusion_probability", Float, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Index("telemetry_losses_by_stream", "device", "stream", "number"),
)


def record_loss(tx: Tx, loss: AuditedLoss) -> bool:
    """Store the loss unless its kept image has one already; whether it was new.

    The first one stays: a monitor may have counted it, and counting a corrected one as well would
    count the image twice.
    """
    (number,) = take_numbers(tx, 1)
    if tx.execute(select(_losses.c.id).where(_losses.c.kept == loss.kept)).first() is not None:
        return False
    row = msgspec.structs.asdict(loss) | {
        "number": number,
        "strata": msgspec.json.encode(loss.strata).decode(),
    }
    tx.execute(insert(_losses).values(row))
    return True


def losses_after(tx: Tx, number: int, *, limit: int = 1000) -> list[AuditedLoss]:
    """Losses in the order in which they became visible, from the first above `number`.

    As with `profiles_after`, none ever becomes visible below a number already seen.
    """
    query = select(_losses).where(_losses.c.number > number).order_by(_losses.c.number).limit(limit)
    return [_loss_of(row) for row in tx.execute(query).mappings()]


def losses_of(tx: Tx, camera: StreamKey, *, bundle: Digest) -> list[AuditedLoss]:
    """Every loss of the bundle on this stream, in the order in which the labels came in."""
    mine = (_losses.c.device == camera.device) & (_losses.c.stream == camera.stream)
    query = select(_losses).where(mine & (_losses.c.bundle == bundle)).order_by(_losses.c.number)
    return [_loss_of(row) for row in tx.execute(query).mappings()]


def find_loss(tx: Tx, *, kept: str) -> AuditedLoss | None:
    """The loss on this kept image; None when it was not labelled yet or not audited."""
    row = tx.execute(select(_losses).where(_losses.c.kept == kept)).mappings().first()
    return None if row is None else _loss_of(row)


def _loss_of(row: Any) -> AuditedLoss:  # noqa: ANN401 - a SQLAlchemy row mapping
    strata = msgspec.json.decode(row["strata"], type=list[str])
    return AuditedLoss(**(dict(row) | {"strata": strata}))
