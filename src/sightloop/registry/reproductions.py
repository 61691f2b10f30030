"""What was found when versions were made again: kept for good, with the version."""

from __future__ import annotations

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKeyConstraint,
    Integer,
    Table,
    Text,
    insert,
    select,
)

from sightloop.kernel.database import Tx, metadata
from sightloop.registry.likeness import Likeness, Proof
from sightloop.training.reproducing.differences import Difference
from sightloop.training.reproducing.planning import EnvironmentChoice

_reproductions = Table(
    "registry_reproductions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("ended_at_ms", BigInteger, nullable=False),
    Column("account", Text, nullable=False),
    ForeignKeyConstraint(["model", "number"], ["model_versions.model", "model_versions.number"]),
)


class Reproduction(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to make a version again, and what came out."""

    id: str
    model: str
    number: int
    run: str
    verdict: Likeness
    proof: Proof
    differences: list[Difference]
    """What was not as it was, what reaches furthest first."""
    story: list[str]
    """In sentences: which data, code and environment were used."""
    environment: EnvironmentChoice
    """`fresh` or `this`: which was used in the end."""
    hardware: str
    by: str
    started_at_ms: int
    ended_at_ms: int

    @property
    def name(self) -> str:
        """The version, as people write it."""
        return f"{self.model}@{self.number}"


def add_reproduction(tx: Tx, found: Reproduction) -> bool:
    """Keep it; False when it was kept before."""
    if tx.execute(select(_reproductions.c.id).where(_reproductions.c.id == found.id)).first():
        return False
    tx.execute(
        insert(_reproductions).values(
            id=found.id,
            model=found.model,
            number=found.number,
            verdict=found.verdict,
            by=found.by,
            ended_at_ms=found.ended_at_ms,
            account=msgspec.json.encode(found).decode(),
        )
    )
    return True


def reproductions_of(tx: Tx, model: str, number: int) -> list[Reproduction]:
    """Every reproduction of the version, newest first."""
    mine = (_reproductions.c.model == model) & (_reproductions.c.number == number)
    query = (
        select(_reproductions.c.account)
        .where(mine)
        .order_by(_reproductions.c.ended_at_ms.desc(), _reproductions.c.id.desc())
    )
    return [msgspec.json.decode(one, type=Reproduction) for one in tx.scalars(query)]
