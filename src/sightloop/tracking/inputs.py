"""Data sets and models that a run names as its inputs and outputs, as its client describes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from sqlalchemy import BigInteger, Column, ForeignKey, PrimaryKeyConstraint, Table, Text, select

from sightloop.kernel.database import Tx, metadata
from sightloop.kernel.digests import canonical_json, digest_of_record
from sightloop.tracking.upserts import insert_new, replace_rows

CONTEXT_TAG = "mlflow.data.context"
"""The tag of an input that says what the data set was for, such as training."""

datasets = Table(
    "tracking_datasets",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("source_type", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("schema", Text, nullable=False),
    Column("profile", Text, nullable=False),
)
run_datasets = Table(
    "tracking_run_datasets",
    metadata,
    Column("run", ForeignKey("tracking_runs.id"), nullable=False),
    Column("dataset", ForeignKey("tracking_datasets.id"), nullable=False),
    Column("context", Text, nullable=False),
    Column("tags", Text, nullable=False),
    PrimaryKeyConstraint("run", "dataset"),
    sqlite_with_rowid=False,
)
run_models = Table(
    "tracking_run_models",
    metadata,
    Column("run", ForeignKey("tracking_runs.id"), nullable=False),
    Column("model", Text, nullable=False),
    Column("side", Text, nullable=False),  # input or output
    Column("step", BigInteger, nullable=False),
    PrimaryKeyConstraint("run", "model", "side"),
    sqlite_with_rowid=False,
)


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """A data set as a client describes it; `digest` is the client's own."""

    name: str
    digest: str
    source_type: str = ""
    source: str = ""
    schema: str = ""
    profile: str = ""


class DatasetInput(msgspec.Struct, frozen=True, kw_only=True):
    """A data set that a run used."""

    dataset: Dataset
    tags: list[tuple[str, str]]


class ModelLink(msgspec.Struct, frozen=True, kw_only=True):
    """A logged model that a run used or made; `step` tells at which point of its training."""

    model: str
    step: int = 0


def add_datasets(tx: Tx, run: str, inputs: Iterable[DatasetInput]) -> None:
    """Record what the run used; the same again changes nothing."""
    for one in inputs:
        facts = msgspec.structs.asdict(one.dataset)
        number = digest_of_record([one.dataset.name, one.dataset.digest])
        insert_new(tx, datasets, [facts | {"id": number}])
        tags = dict(one.tags)
        row = {
            "run": run,
            "dataset": number,
            "context": tags.get(CONTEXT_TAG, ""),
            "tags": canonical_json(one.tags).decode(),
        }
        insert_new(tx, run_datasets, [row])


def add_models(tx: Tx, run: str, links: Sequence[ModelLink], *, side: str) -> None:
    """Record models that the run used (`input`) or made (`output`)."""
    rows = [{"run": run, "model": one.model, "side": side, "step": one.step} for one in links]
    replace_rows(tx, run_models, rows)


def datasets_of(tx: Tx, runs: Sequence[str]) -> Mapping[str, list[DatasetInput]]:
    """What each of the runs used."""
    found: dict[str, list[DatasetInput]] = {run: [] for run in runs}
    query = (
        select(run_datasets.c.run, run_datasets.c.tags, *datasets.columns)
        .join_from(run_datasets, datasets)
        .where(run_datasets.c.run.in_(runs))
        .order_by(run_datasets.c.run, datasets.c.id)
    )
    for row in tx.execute(query).mappings():
        facts = {name: row[name] for name in Dataset.__struct_fields__}
        tags = msgspec.json.decode(row["tags"], type=list[tuple[str, str]])
        found[row["run"]].append(DatasetInput(dataset=Dataset(**facts), tags=tags))
    return found


def models_of(tx: Tx, runs: Sequence[str], *, side: str) -> Mapping[str, list[ModelLink]]:
    """Models that each of the runs used or made."""
    found: dict[str, list[ModelLink]] = {run: [] for run in runs}
    table = run_models
    query = select(table).where(table.c.run.in_(runs) & (table.c.side == side))
    for row in tx.execute(query.order_by(table.c.run, table.c.model)).mappings():
        found[row["run"]].append(ModelLink(model=row["model"], step=row["step"]))
    return found
