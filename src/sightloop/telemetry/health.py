"""How serving went, as devices told it, and what they had to throw away."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, func, insert, select

from sightloop.contracts.telemetry import DroppedBody, HealthBody
from sightloop.kernel.database import Tx, metadata
from sightloop.kernel.digests import Digest
from sightloop.kernel.ids import derived_id
from sightloop.telemetry.envelopes import Numbered
from sightloop.telemetry.latency import HealthSums, sum_health
from sightloop.telemetry.values import StoredDrop, StoredHealth

_health = Table(
    "telemetry_health",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False, unique=True),
    Column("device", Text, nullable=False),
    Column("slot", Text, nullable=False),
    Column("bundle", Text, nullable=False),
    Column("started_at_ms", BigInteger, nullable=False),
    Column("health", Text, nullable=False),
    Column("stored_at_ms", BigInteger, nullable=False),
    Index("telemetry_health_by_bundle", "bundle", "device", "started_at_ms"),
    Index("telemetry_health_by_device", "device", "started_at_ms"),
)
_dropped = Table(
    "telemetry_dropped",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False, unique=True),
    Column("device", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("n_envelopes", Integer, nullable=False),
    Column("by_kind", Text, nullable=False),
    Index("telemetry_dropped_by_device", "device", "at_ms"),
)


def health_of(
    tx: Tx, bundle: Digest, *, device: str | None = None, since_ms: int = 0
) -> HealthSums:
    """How the bundle served in the windows that started at or after `since_ms`.

    `since_ms` is compared with the devices' clocks. None selects every device.
    """
    return sum_health(
        stored.health for stored in list_health(tx, bundle, device=device, since_ms=since_ms)
    )


def list_health(
    tx: Tx, bundle: Digest, *, device: str | None = None, since_ms: int = 0
) -> list[StoredHealth]:
    """The bundle's windows that started at or after `since_ms`, in that order."""
    query = select(_health).where(
        (_health.c.bundle == bundle) & (_health.c.started_at_ms >= since_ms)
    )
    if device is not None:
        query = query.where(_health.c.device == device)
    query = query.order_by(_health.c.started_at_ms, _health.c.number)
    return [_health_of(row) for row in tx.execute(query).mappings()]


def latest_health(tx: Tx, device: str, *, limit: int) -> list[StoredHealth]:
    """The device's latest windows of any slot and bundle, the latest first."""
    query = (
        select(_health)
        .where(_health.c.device == device)
        .order_by(_health.c.started_at_ms.desc(), _health.c.number.desc())
        .limit(limit)
    )
    return [_health_of(row) for row in tx.execute(query).mappings()]


def list_dropped(
    tx: Tx, *, device: str | None = None, since_ms: int = 0, limit: int = 1000
) -> list[StoredDrop]:
    """What devices threw away, the latest first."""
    query = select(_dropped).where(_dropped.c.at_ms >= since_ms)
    if device is not None:
        query = query.where(_dropped.c.device == device)
    query = query.order_by(_dropped.c.at_ms.desc(), _dropped.c.number.desc()).limit(limit)
    return [_drop_of(row) for row in tx.execute(query).mappings()]


def count_dropped(tx: Tx) -> int:
    """How many envelopes were thrown away on all devices, as far as they told."""
    return int(tx.execute(select(func.coalesce(func.sum(_dropped.c.n_envelopes), 0))).scalar_one())


def add_health(tx: Tx, arrived: list[Numbered], *, now_ms: int) -> None:
    """Store the health windows and drop notes among these envelopes, which are new."""
    windows: list[dict[str, Any]] = []
    drops: list[dict[str, Any]] = []
    for number, envelope in arrived:
        identity = (envelope.device, str(envelope.sequence))
        shared = {"number": number, "device": envelope.device}
        match envelope.body:
            case HealthBody() as health:
                windows.append(
                    shared
                    | {
                        "id": derived_id("health", *identity),
                        "slot": health.slot,
                        "bundle": health.bundle,
                        "started_at_ms": health.started_at_ms,
                        "health": msgspec.json.encode(health).decode(),
                        "stored_at_ms": now_ms,
                    }
                )
            case DroppedBody() as dropped:
                drops.append(
                    shared
                    | {
                        "id": derived_id("drop", *identity),
                        "at_ms": envelope.at_ms,
                        "n_envelopes": dropped.n_envelopes,
                        "by_kind": msgspec.json.encode(dropped.by_kind, order="sorted").decode(),
                    }
                )
            case _:
                pass
    for table, rows in ((_health, windows), (_dropped, drops)):
        if rows:
            tx.execute(insert(table), rows)


def _health_of(row: Any) -> StoredHealth:  # noqa: ANN401 - a SQLAlchemy row mapping
    return StoredHealth(
        id=row["id"],
        device=row["device"],
        health=msgspec.json.decode(row["health"], type=HealthBody),
        number=row["number"],
    )


def _drop_of(row: Any) -> StoredDrop:  # noqa: ANN401 - a SQLAlchemy row mapping
    by_kind = msgspec.json.decode(row["by_kind"], type=dict[str, int])
    return StoredDrop(
        id=row["id"],
        device=row["device"],
        at_ms=row["at_ms"],
        dropped=DroppedBody(n_envelopes=row["n_envelopes"], by_kind=by_kind),
        number=row["number"],
    )
