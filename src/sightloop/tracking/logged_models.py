"""Logged models: what a run saved as a model, with parameters, tags and measurements of its own.

A logged model is pending until its client says that every file of it has arrived. Its files are
artifacts whose owner is the model. Points measured of a model lie beside those of runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, NewType

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    PrimaryKeyConstraint,
    RowMapping,
    Table,
    Text,
    delete,
    insert,
    select,
    update,
)

from sightloop.kernel.database import POINTS, Tx, metadata
from sightloop.tracking.errors import LoggedModelUnknown, ModelParamChanged
from sightloop.tracking.upserts import insert_new, replace_rows
from sightloop.tracking.values import MetricPoint

LoggedModelId = NewType("LoggedModelId", str)
ModelStatus = Literal["pending", "ready", "failed"]

_AT_ONCE = 900
"""Models named in one statement."""

logged_models = Table(
    "tracking_logged_models",
    metadata,
    Column("id", Text, primary_key=True),
    Column("experiment", ForeignKey("tracking_experiments.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("model_type", Text, nullable=False),
    Column("source_run", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("is_deleted", Boolean, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("updated_at_ms", BigInteger, nullable=False),
    Index("tracking_logged_models_by_experiment", "experiment", "created_at_ms", "id"),
    Index("tracking_logged_models_by_run", "source_run"),
)
model_params = Table(
    "tracking_model_params",
    metadata,
    Column("model", ForeignKey("tracking_logged_models.id"), nullable=False),
    Column("key", Text, nullable=False),
    Column("value", Text, nullable=False),
    PrimaryKeyConstraint("model", "key"),
    sqlite_with_rowid=False,
)
model_tags = Table(
    "tracking_model_tags",
    metadata,
    Column("model", ForeignKey("tracking_logged_models.id"), nullable=False),
    Column("key", Text, nullable=False),
    Column("value", Text, nullable=False),
    PrimaryKeyConstraint("model", "key"),
    sqlite_with_rowid=False,
)
model_points = Table(
    "tracking_model_points",
    metadata,
    Column("model", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("run", Text, nullable=False),
    Column("dataset_name", Text, nullable=False),
    Column("dataset_digest", Text, nullable=False),
    Column("is_nan", Boolean, nullable=False),
    Column("value", Float, nullable=False),
    PrimaryKeyConstraint(
        *("model", "key", "step", "at_ms", "run", "dataset_name", "dataset_digest"),
        *("is_nan", "value"),
    ),
    sqlite_with_rowid=False,
    schema=POINTS,
)


class LoggedModel(msgspec.Struct, frozen=True, kw_only=True):
    """What is written once of a logged model, and how far its upload is."""

    id: LoggedModelId
    experiment: int
    name: str
    model_type: str = ""
    source_run: str = ""
    """The run that made it; empty when none did."""
    status: ModelStatus = "pending"
    is_deleted: bool = False
    created_at_ms: int
    updated_at_ms: int


class ModelPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A number that a run measured of a logged model, on a data set if one is named."""

    model: str
    run: str
    point: MetricPoint
    dataset_name: str = ""
    dataset_digest: str = ""


class LoggedModelWithFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A logged model and everything that is listed with it."""

    model: LoggedModel
    params: dict[str, str]
    tags: dict[str, str]
    points: list[ModelPoint]


def add_logged_model(tx: Tx, model: LoggedModel) -> None:
    """Record a new one."""
    tx.execute(insert(logged_models).values(msgspec.structs.asdict(model)))


def find_logged_model(tx: Tx, model: str, *, with_deleted: bool = False) -> LoggedModel:
    """The logged model of that id.

    Raises:
        LoggedModelUnknown: there is none, or it was deleted.
    """
    row = tx.execute(select(logged_models).where(logged_models.c.id == model)).mappings().first()
    if row is None or (row["is_deleted"] and not with_deleted):
        raise LoggedModelUnknown(model=model)
    return LoggedModel(**row)


def has_logged_model(tx: Tx, model: str) -> bool:
    """Whether there is one of that id, deleted or not."""
    return (
        tx.execute(select(logged_models.c.id).where(logged_models.c.id == model)).first()
        is not None
    )


def change_logged_model(tx: Tx, model: str, **values: object) -> None:
    """Write these facts about it."""
    tx.execute(update(logged_models).where(logged_models.c.id == model).values(**values))


def add_model_params(tx: Tx, model: str, added: Mapping[str, str]) -> None:
    """Add the parameters; one that is there with the same value changes nothing.

    Raises:
        ModelParamChanged: one is there with another value.
    """
    mine = (model_params.c.model == model) & model_params.c.key.in_(list(added))
    for row in tx.execute(select(model_params.c.key, model_params.c.value).where(mine)):
        if added[row.key] != row.value:
            raise ModelParamChanged(
                model=model, key=row.key, before=row.value, after=added[row.key]
            )
    insert_new(tx, model_params, _pairs(model, added))


def set_model_tags(tx: Tx, model: str, tags: Mapping[str, str]) -> None:
    """Set these tags, whatever they were."""
    replace_rows(tx, model_tags, _pairs(model, tags))


def remove_model_tag(tx: Tx, model: str, key: str) -> bool:
    """Remove a tag; whether it was there."""
    mine = (model_tags.c.model == model) & (model_tags.c.key == key)
    return tx.execute(delete(model_tags).where(mine)).rowcount > 0


def add_model_points(tx: Tx, points: Iterable[ModelPoint]) -> None:
    """Add the points; one that is there changes nothing."""
    insert_new(tx, model_points, [_point_row(one) for one in points])


def with_model_facts(tx: Tx, ids: Sequence[str]) -> list[LoggedModelWithFacts]:
    """These models in this order, with everything that is listed with them."""
    found: dict[str, LoggedModelWithFacts] = {}
    for some in _chunks(ids):
        models = select(logged_models).where(logged_models.c.id.in_(some))
        for row in tx.execute(models).mappings():
            found[row["id"]] = LoggedModelWithFacts(
                model=LoggedModel(**row), params={}, tags={}, points=[]
            )
        for table, field in ((model_params, "params"), (model_tags, "tags")):
            pairs = (
                select(table).where(table.c.model.in_(some)).order_by(table.c.model, table.c.key)
            )
            for row in tx.execute(pairs).mappings():
                getattr(found[row["model"]], field)[row["key"]] = row["value"]
        points = select(model_points).where(model_points.c.model.in_(some))
        order = (
            model_points.c.model,
            model_points.c.key,
            model_points.c.step,
            model_points.c.at_ms,
        )
        for row in tx.execute(points.order_by(*order)).mappings():
            found[row["model"]].points.append(_point_of(row))
    return [found[one] for one in ids if one in found]


def _pairs(model: str, values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"model": model, "key": key, "value": value} for key, value in values.items()]


def _point_row(one: ModelPoint) -> dict[str, str | int | float]:
    is_nan = math.isnan(one.point.value)
    return {
        "model": one.model,
        "key": one.point.key,
        "step": one.point.step,
        "at_ms": one.point.at_ms,
        "run": one.run,
        "dataset_name": one.dataset_name,
        "dataset_digest": one.dataset_digest,
        "is_nan": is_nan,
        "value": 0.0 if is_nan else one.point.value,
    }


def _point_of(row: RowMapping) -> ModelPoint:
    value = math.nan if row["is_nan"] else row["value"]
    point = MetricPoint(key=row["key"], value=value, step=row["step"], at_ms=row["at_ms"])
    names = ("model", "run", "dataset_name", "dataset_digest")
    return ModelPoint(**{name: row[name] for name in names}, point=point)


def _chunks(values: Sequence[str]) -> Iterator[Sequence[str]]:
    for at in range(0, len(values), _AT_ONCE):
        yield values[at : at + _AT_ONCE]
