"""The tables of rollouts and of each slot's way through them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
    insert,
    select,
    update,
)

from sightloop.fleet.health import HealthCriteria, Placement
from sightloop.fleet.rollout import ACTIVE, Ring, Rollout, RolloutId
from sightloop.kernel.database import Tx, metadata
from sightloop.kernel.errors import NotFound

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


def rollouts(tx: Tx, *, model: str | None, limit: int) -> list[Rollout]:
    """Rollouts, newest first."""
    query = select(_rollouts).order_by(_rollouts.c.started_at_ms.desc(), _rollouts.c.id.desc())
    if model is not None:
        query = query.where(_rollouts.c.model == model)
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


def placements_of(tx: Tx, rollout: str) -> list[Placement]:
    """Every slot the rollout has reached, by device."""
    query = (
        select(_placements)
        .where(_placements.c.rollout == rollout)
        .order_by(_placements.c.device, _placements.c.slot)
    )
    return [_placement_of(row) for row in tx.execute(query).mappings()]


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
