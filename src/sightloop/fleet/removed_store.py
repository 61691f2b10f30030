"""The table of devices that were removed: who they were, so that their history keeps a name."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
from sqlalchemy import BigInteger, Column, Index, Table, Text, insert, select

from sightloop.fleet.values import DeviceId
from sightloop.kernel.database import Tx, metadata

_removed = Table(
    "removed_devices",
    metadata,
    Column("device", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("ring", Text, nullable=False),
    Column("site", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("removed_by", Text, nullable=False),
    Column("removed_at_ms", BigInteger, nullable=False),
    Index("removed_devices_by_name", "name", "removed_at_ms"),
)


class RemovedDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A device that is none any more. What it sent and what happened to it stays."""

    device: DeviceId
    name: str
    ring: str
    site: str
    reason: str
    removed_by: str
    removed_at_ms: int


def add_removed(tx: Tx, removed: RemovedDevice) -> None:
    """Remember the device."""
    tx.execute(insert(_removed).values(msgspec.structs.asdict(removed)))


def find_removed(tx: Tx, name_or_id: str) -> RemovedDevice | None:
    """The device of that id, or the one removed last of those that had that name."""
    wanted = (_removed.c.device == name_or_id) | (_removed.c.name == name_or_id)
    query = select(_removed).where(wanted).order_by(_removed.c.removed_at_ms.desc())
    row = tx.execute(query).mappings().first()
    return None if row is None else RemovedDevice(**row)


def removed_names(tx: Tx, devices: Collection[str]) -> dict[str, str]:
    """The names that those of these devices had, by id."""
    query = select(_removed.c.device, _removed.c.name).where(_removed.c.device.in_(devices))
    return {row.device: row.name for row in tx.execute(query)}
