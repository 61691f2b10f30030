"""Experiments: what runs are compared within. Each has a number that stays, and a name."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from sqlalchemy import func, insert, select, update

from sightloop.kernel.database import Tx
from sightloop.tracking.errors import ExperimentKnown, ExperimentUnknown
from sightloop.tracking.tables import experiment_tags, experiments, runs
from sightloop.tracking.upserts import insert_new, replace_rows

DEFAULT_ID = 0
DEFAULT_NAME = "Default"
"""Where runs of clients go that name no experiment; MLflow's clients expect it."""


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """A name that runs share."""

    id: int
    name: str
    is_deleted: bool
    artifact_location: str
    created_at_ms: int
    updated_at_ms: int
    tags: dict[str, str]


def create_default(tx: Tx, *, now_ms: int) -> None:
    """Make the default experiment, unless it is there."""
    insert_new(tx, experiments, [_row(DEFAULT_NAME, "", now_ms) | {"id": DEFAULT_ID}])


def create_experiment(
    tx: Tx,
    name: str,
    *,
    now_ms: int,
    artifact_location: str = "",
    tags: Mapping[str, str] | None = None,
) -> int:
    """The number of a new experiment.

    Raises:
        ExperimentKnown: one has that name, perhaps a deleted one.
    """
    known = look_up_by_name(tx, name)
    if known is not None:
        raise ExperimentKnown(name=name, is_deleted=known.is_deleted)
    made = tx.execute(insert(experiments).values(_row(name, artifact_location, now_ms)))
    (number,) = made.inserted_primary_key or (None,)
    assert isinstance(number, int), "the database numbers experiments"
    tag_experiment(tx, number, tags or {})
    return number


def ensure_experiment(tx: Tx, name: str, *, now_ms: int) -> int:
    """The number of the experiment of that name, made if it is not there."""
    known = tx.execute(select(experiments.c.id).where(experiments.c.name == name)).scalar()
    return create_experiment(tx, name, now_ms=now_ms) if known is None else known


def find_experiment(tx: Tx, number: int) -> Experiment:
    """The experiment of that number.

    Raises:
        ExperimentUnknown: there is none.
    """
    row = tx.execute(select(experiments).where(experiments.c.id == number)).mappings().first()
    if row is None:
        raise ExperimentUnknown(name=str(number))
    return Experiment(**row, tags=_tags_of(tx, number))


def look_up_by_name(tx: Tx, name: str) -> Experiment | None:
    """The experiment of that name, or None."""
    row = tx.execute(select(experiments).where(experiments.c.name == name)).mappings().first()
    return None if row is None else Experiment(**row, tags=_tags_of(tx, row["id"]))


def rename_experiment(tx: Tx, number: int, name: str, *, now_ms: int) -> None:
    """Call it otherwise.

    Raises:
        ExperimentUnknown: there is none of that number.
        ExperimentKnown: another has the name.
    """
    find_experiment(tx, number)
    known = look_up_by_name(tx, name)
    if known is not None and known.id != number:
        raise ExperimentKnown(name=name, is_deleted=known.is_deleted)
    _change(tx, number, name=name, updated_at_ms=now_ms)


def mark_experiment(tx: Tx, number: int, *, is_deleted: bool, now_ms: int) -> None:
    """Delete the experiment with its runs, or take it back; nothing is lost by it.

    Raises:
        ExperimentUnknown: there is none of that number.
    """
    find_experiment(tx, number)
    _change(tx, number, is_deleted=is_deleted, updated_at_ms=now_ms)
    tx.execute(update(runs).where(runs.c.experiment == number).values(is_deleted=is_deleted))


def tag_experiment(tx: Tx, number: int, tags: Mapping[str, str]) -> None:
    """Set these tags, whatever they were."""
    rows = [{"experiment": number, "key": key, "value": value} for key, value in tags.items()]
    replace_rows(tx, experiment_tags, rows)


def untag_experiment(tx: Tx, number: int, key: str) -> bool:
    """Remove a tag; whether it was there."""
    table = experiment_tags
    gone = tx.execute(table.delete().where((table.c.experiment == number) & (table.c.key == key)))
    return gone.rowcount > 0


def experiment_names(tx: Tx, *, limit: int) -> list[str]:
    """Names of experiments that have runs, sorted."""
    has_runs = select(runs.c.id).where(runs.c.experiment == experiments.c.id).exists()
    query = select(experiments.c.name).where(has_runs & ~experiments.c.is_deleted)
    return list(tx.scalars(query.order_by(experiments.c.name).limit(limit)))


def count_runs(tx: Tx, number: int) -> int:
    """How many runs it has, deleted ones included."""
    return tx.execute(select(func.count()).where(runs.c.experiment == number)).scalar_one()


def _change(tx: Tx, number: int, **values: object) -> None:
    tx.execute(update(experiments).where(experiments.c.id == number).values(**values))


def _row(name: str, artifact_location: str, now_ms: int) -> dict[str, object]:
    return {
        "name": name,
        "is_deleted": False,
        "artifact_location": artifact_location,
        "created_at_ms": now_ms,
        "updated_at_ms": now_ms,
    }


def _tags_of(tx: Tx, number: int) -> dict[str, str]:
    table = experiment_tags
    query = select(table.c.key, table.c.value).where(table.c.experiment == number)
    return {row.key: row.value for row in tx.execute(query.order_by(table.c.key))}
