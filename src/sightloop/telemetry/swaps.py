"""Which bundles slots switched to or refused."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import BigInteger, Column, Index, Table, Text, insert, select

from sightloop.contracts.telemetry import SwapBody
from sightloop.kernel.database import Tx, metadata
from sightloop.kernel.digests import Digest
from sightloop.kernel.ids import derived_id
from sightloop.telemetry.envelopes import Numbered
from sightloop.telemetry.values import StoredSwap

_swaps = Table(
    "telemetry_swaps",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False, unique=True),
    Column("device", Text, nullable=False),
    Column("slot", Text, nullable=False),
    Column("bundle", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("started_at_ms", BigInteger, nullable=False),
    Column("swap", Text, nullable=False),
    Column("stored_at_ms", BigInteger, nullable=False),
    Index("telemetry_swaps_by_device", "device", "started_at_ms"),
    Index("telemetry_swaps_by_bundle", "bundle", "started_at_ms"),
)


def list_swaps(
    tx: Tx,
    *,
    device: str | None = None,
    bundle: Digest | None = None,
    since_ms: int = 0,
    limit: int = 1000,
) -> list[StoredSwap]:
    """Swaps that started at or after `since_ms`, the latest first; None selects every value."""
    query = select(_swaps).where(_swaps.c.started_at_ms >= since_ms)
    if device is not None:
        query = query.where(_swaps.c.device == device)
    if bundle is not None:
        query = query.where(_swaps.c.bundle == bundle)
    query = query.order_by(_swaps.c.started_at_ms.desc(), _swaps.c.number.desc()).limit(limit)
    return [_swap_of(row) for row in tx.execute(query).mappings()]


def add_swaps(tx: Tx, arrived: list[Numbered], *, now_ms: int) -> None:
    """Store the swaps among these envelopes, which are new."""
    rows = [
        {
            "number": number,
            "id": derived_id("swap", envelope.device, str(envelope.sequence)),
            "device": envelope.device,
            "slot": envelope.body.slot,
            "bundle": envelope.body.bundle,
            "outcome": envelope.body.outcome,
            "started_at_ms": envelope.body.started_at_ms,
            "swap": msgspec.json.encode(envelope.body).decode(),
            "stored_at_ms": now_ms,
        }
        for number, envelope in arrived
        if isinstance(envelope.body, SwapBody)
    ]
    if rows:
        tx.execute(insert(_swaps), rows)


def _swap_of(row: Any) -> StoredSwap:  # noqa: ANN401 - a SQLAlchemy row mapping
    return StoredSwap(
        id=row["id"],
        device=row["device"],
        swap=msgspec.json.decode(row["swap"], type=SwapBody),
        number=row["number"],
    )
