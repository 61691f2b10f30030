"""What somebody else's code says about models: versions without a bundle, descriptions, tags.

A model of any flavour can be registered; such a version is a name, a number and where its files
are. Numbers count through a model's versions of both kinds, and are never given twice. Nothing
here is released to devices: that takes a bundle, a gate and a signature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
    update,
)

from sightloop.kernel.database import Tx, metadata
from sightloop.tracking.upserts import insert_new, replace_rows

MODEL = 0
"""Stands for the model itself where a number of a version could stand."""

registered_versions = Table(
    "registered_versions",
    metadata,
    Column("model", ForeignKey("models.name"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("source", Text, nullable=False),
    Column("location", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("logged_model", Text, nullable=False),
    Column("run_link", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("is_deleted", Boolean, nullable=False),
    PrimaryKeyConstraint("model", "number"),
)
registry_notes = Table(
    "registry_notes",
    metadata,
    Column("model", ForeignKey("models.name"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("description", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("updated_at_ms", BigInteger, nullable=False),
    PrimaryKeyConstraint("model", "number"),
)
registry_tags = Table(
    "registry_tags",
    metadata,
    Column("model", ForeignKey("models.name"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("key", Text, nullable=False),
    Column("value", Text, nullable=False),
    PrimaryKeyConstraint("model", "number", "key"),
)


class ForeignVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version that has no bundle."""

    model: str
    number: int
    source: str
    """Where its files are, as its client says it."""
    location: str
    """Where they can be fetched: `source`, or what it pointed to."""
    run: str = ""
    logged_model: str = ""
    run_link: str = ""
    created_at_ms: int
    is_deleted: bool = False


def highest_number(tx: Tx, model: str) -> int:
    """The greatest number such a version of the model has or had; 0 for none."""
    query = select(func.max(registered_versions.c.number)).where(
        registered_versions.c.model == model
    )
    return tx.execute(query).scalar() or 0


def add_foreign_version(tx: Tx, version: ForeignVersion) -> None:
    """Record a new one; its number is the caller's to choose."""
    tx.execute(insert(registered_versions).values(msgspec.structs.asdict(version)))


def look_up_foreign(tx: Tx, model: str, number: int) -> ForeignVersion | None:
    """That version, if it is one without a bundle and was not deleted."""
    mine = (registered_versions.c.model == model) & (registered_versions.c.number == number)
    found = select(registered_versions).where(mine & ~registered_versions.c.is_deleted)
    row = tx.execute(found).mappings().first()
    return None if row is None else ForeignVersion(**row)


def mark_foreign_deleted(tx: Tx, model: str, number: int) -> None:
    """Hide it; its number stays taken."""
    mine = (registered_versions.c.model == model) & (registered_versions.c.number == number)
    tx.execute(update(registered_versions).where(mine).values(is_deleted=True))


def note(tx: Tx, model: str, number: int = MODEL, *, now_ms: int, **values: str) -> None:
    """Write a `description` or a `stage` beside the version or the model, and when."""
    blank = {"model": model, "number": number, "description": "", "stage": ""}
    insert_new(tx, registry_notes, [blank | {"updated_at_ms": now_ms}])
    mine = (registry_notes.c.model == model) & (registry_notes.c.number == number)
    tx.execute(update(registry_notes).where(mine).values(updated_at_ms=now_ms, **values))


def set_registry_tags(tx: Tx, model: str, number: int, tags: Mapping[str, str]) -> None:
    """Set these tags, whatever they were."""
    rows = [
        {"model": model, "number": number, "key": key, "value": value}
        for key, value in tags.items()
    ]
    replace_rows(tx, registry_tags, rows)


def remove_registry_tag(tx: Tx, model: str, number: int, key: str) -> None:
    """Remove a tag, if it is there."""
    table = registry_tags
    mine = (table.c.model == model) & (table.c.number == number) & (table.c.key == key)
    tx.execute(delete(table).where(mine))


def tags_of_models(tx: Tx, models: Sequence[str]) -> dict[tuple[str, int], dict[str, str]]:
    """The tags of these models and of all their versions, by model and number."""
    found: dict[tuple[str, int], dict[str, str]] = {}
    table = registry_tags
    query = select(table).where(table.c.model.in_(models))
    for row in tx.execute(query.order_by(table.c.model, table.c.key)).mappings():
        found.setdefault((row["model"], row["number"]), {})[row["key"]] = row["value"]
    return found


def forget_model(tx: Tx, model: str) -> None:
    """Remove all of this about the model."""
    for table in (registered_versions, registry_notes, registry_tags):
        tx.execute(delete(table).where(table.c.model == model))


def hand_over(tx: Tx, model: str, *, to: str) -> None:
    """Let all of this be about the model `to`, which is there."""
    for table in (registered_versions, registry_notes, registry_tags):
        tx.execute(update(table).where(table.c.model == model).values(model=to))
