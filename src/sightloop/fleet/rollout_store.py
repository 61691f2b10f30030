"""The tables of rollouts and of each slot's way through them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    bindparam,
    func,
    insert,
    select,
    tuple_,
    update,
)

from sightloop.fleet.health import HealthCriteria, Placement
from sightloop.fleet.rollout import ACTIVE, Ring, Rollout, RolloutId
from sightloop.fleet.store import failing_devices
from sightloop.kernel.database import Tx, metadata
from sightloop.kernel.errors import NotFound


class Started(NamedTuple):
    """Where a rollout stands in the list of all, newest first."""

    at_ms: int
    rollout: str


class Reached(NamedTuple):
    """How many slots were assigned the bundle, have switched to it, and served it healthily."""

    n_assigned: int
    n_switched: int
    n_healthy: int


_rollouts = Table(
    "rollouts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("bundle", Text, nullable=False),
    Column("criteria", Text, nullable=False),
    Column("rings", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("started_at_ms", BigInteger, nullable=False),
    Column("paused_at_ms", BigInteger),
    Column("ended_at_ms", BigInteger),
    Column("reason", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Index("rollouts_by_state", "state"),
    Index("rollouts_by_model", "model", "started_at_ms"),
    Index("rollouts_by_time", "started_at_ms", "id"),
)
_placements = Table(
    "rollout_slots",
    metadata,
    Column("rollout", ForeignKey("rollouts.id"), nullable=False),
    Column("device", Text, nullable=False),
    Column("slot", Text, nullable=False),
    Column("ring", Text, nullable=False),
    Column("counter", Integer, nullable=False),
    Column("previous", Text),
    Column("previous_number", Integer),
    Column("previous_p95_ms", Float),
    Column("assigned_at_ms", BigInteger, nullable=False),
    Column("boot", Text, nullable=False),
    Column("serving_since_ms", BigInteger),
    Column("switched_at_ms", BigInteger),
    Column("healthy_at_ms", BigInteger),
    PrimaryKeyConstraint("rollout", "device", "slot"),
    Index("rollout_slots_by_ring", "rollout", "ring", "device", "switched_at_ms", "healthy_at_ms"),
)


def add_rollout(tx: Tx, rollout: Rollout) -> None:
    """Record a rollout that begins."""
    tx.execute(insert(_rollouts).values(_row_of(rollout)))


def move_rollout(tx: Tx, rollout: Rollout) -> bool:
    """Store the next revision of the rollout, unless somebody else did; then nothing changes."""
    unchanged = (_rollouts.c.id == rollout.id) & (_rollouts.c.revision == rollout.revision)
    values = _row_of(rollout) | {"revision": rollout.revision + 1}
    return tx.execute(update(_rollouts).where(unchanged).values(values)).rowcount == 1


def find_rollout(tx: Tx, rollout: str) -> Rollout | None:
    """The rollout of that id."""
    row = tx.execute(select(_rollouts).where(_rollouts.c.id == rollout)).mappings().first()
    return None if row is None else _rollout_of(row)


def get_rollout(tx: Tx, rollout: str) -> Rollout:
    """The rollout of that id.

    Raises:
        NotFound: there is none.
    """
    found = find_rollout(tx, rollout)
    if found is None:
        raise NotFound(what="rollout", name=rollout, hint="see `sightloop rollout status`")
    return found


def active_rollouts(tx: Tx, *, model: str | None = None) -> list[Rollout]:
    """Rollouts that are not over, oldest first."""
    query = select(_rollouts).where(_rollouts.c.state.in_(ACTIVE))
    if model is not None:
        query = query.where(_rollouts.c.model == model)
    rows = tx.execute(query.order_by(_rollouts.c.started_at_ms, _rollouts.c.id)).mappings()
    return [_rollout_of(row) for row in rows]


def rollouts(
    tx: Tx, *, model: str | None, limit: int, before: Started | None = None
) -> list[Rollout]:
    """Rollouts, newest first; with `before`, those that started earlier."""
    query = select(_rollouts).order_by(_rollouts.c.started_at_ms.desc(), _rollouts.c.id.desc())
    if model is not None:
        query = query.where(_rollouts.c.model == model)
    if before is not None:
        time = tuple_(_rollouts.c.started_at_ms, _rollouts.c.id)
        query = query.where(time < tuple_(before.at_ms, before.rollout))
    return [_rollout_of(row) for row in tx.execute(query.limit(limit)).mappings()]


def add_placements(tx: Tx, rollout: RolloutId, placements: Sequence[Placement]) -> None:
    """Record slots that the rollout has just reached."""
    if placements:
        tx.execute(insert(_placements), [_placement_row(rollout, one) for one in placements])


def change_placements(tx: Tx, rollout: RolloutId, placements: Sequence[Placement]) -> None:
    """Record how far these slots have come."""
    if not placements:
        return
    mine = (
        (_placements.c.rollout == rollout)
        & (_placements.c.device == bindparam("of_device"))
        & (_placements.c.slot == bindparam("of_slot"))
    )
    rows = [
        _placement_row(rollout, one) | {"of_device": one.device, "of_slot": one.slot}
        for one in placements
    ]
    tx.execute(update(_placements).where(mine), rows)


def drop_placements(tx: Tx, rollout: str, device: str) -> int:
    """Forget the device's slots in this rollout; how many there were."""
    mine = (_placements.c.rollout == rollout) & (_placements.c.device == device)
    return tx.execute(_placements.delete().where(mine)).rowcount


def placements_of(tx: Tx, rollout: str) -> list[Placement]:
    """Every slot the rollout has reached, by device."""
    query = (
        select(_placements)
        .where(_placements.c.rollout == rollout)
        .order_by(_placements.c.device, _placements.c.slot)
    )
    return [_placement_of(row) for row in tx.execute(query).mappings()]


def page_placements(
    tx: Tx, rollout: str, *, ring: str | None, after: tuple[str, str] | None, limit: int
) -> list[Placement]:
    """Slots the rollout has reached, by device and slot, from the one after `after` on."""
    query = select(_placements).where(_placements.c.rollout == rollout)
    key = (_placements.c.device, _placements.c.slot)
    if ring is not None:
        query = query.where(_placements.c.ring == ring)
    if after is not None:
        query = query.where(tuple_(*key) > tuple_(*after))
    return [_placement_of(row) for row in tx.execute(query.order_by(*key).limit(limit)).mappings()]


def count_placements(tx: Tx, rollout: str) -> dict[str, Reached]:
    """How far the slots of each ring have come."""
    column = _placements.c
    query = select(
        column.ring,
        func.count(),
        func.count(column.switched_at_ms),
        func.count(column.healthy_at_ms),
    ).where(column.rollout == rollout)
    return {ring: Reached(*counts) for ring, *counts in tx.execute(query.group_by(column.ring))}


def count_failing(tx: Tx, rollout: str) -> dict[str, int]:
    """How many of the slots the rollout has reached are on devices where one failed, by ring."""
    column = _placements.c
    query = (
        select(column.ring, func.count())
        .where((column.rollout == rollout) & column.device.in_(failing_devices()))
        .group_by(column.ring)
    )
    return {ring: int(n) for ring, n in tx.execute(query)}


def _row_of(rollout: Rollout) -> dict[str, object]:
    return msgspec.structs.asdict(rollout) | {
        "criteria": msgspec.json.encode(rollout.criteria, order="sorted").decode(),
        "rings": msgspec.json.encode(rollout.rings, order="sorted").decode(),
    }


def _rollout_of(row: Any) -> Rollout:  # noqa: ANN401 - a SQLAlchemy row mapping
    criteria = msgspec.json.decode(row["criteria"], type=HealthCriteria)
    rings = msgspec.json.decode(row["rings"], type=list[Ring])
    return Rollout(**{**row, "criteria": criteria, "rings": rings})


def _placement_row(rollout: RolloutId, placement: Placement) -> dict[str, object]:
    return msgspec.structs.asdict(placement) | {"rollout": rollout}


def _placement_of(row: Any) -> Placement:  # noqa: ANN401 - a SQLAlchemy row mapping
    return Placement(**{name: value for name, value in row.items() if name != "rollout"})
