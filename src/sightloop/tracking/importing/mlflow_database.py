"""Reading MLflow's SQLite databases, as MLflow 3 lays them out. The file is opened to read only."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

import numpy as np

from sightloop.kernel.workspace import Call, Workspace
from sightloop.tracking.errors import NothingToImport, UnreadableSource
from sightloop.tracking.importing.account import Account
from sightloop.tracking.importing.keeping import columns_of
from sightloop.tracking.importing.mlflow import MAX_FINITE, MlflowRun, import_runs_of
from sightloop.tracking.inputs import Dataset, DatasetInput
from sightloop.tracking.points import MetricColumns

MAGIC = b"SQLite format 3\0"
_ROWS_AT_ONCE = 50_000
_NEEDED = {"experiments", "runs", "metrics", "params", "tags"}
_LEFT_OUT = {
    "logged_models": "logged models are not imported, the files of their runs are",
    "registered_models": "register the models of imported runs again",
    "trace_info": "traces are not imported",
    "experiment_tags": "tags of experiments are not imported",
}


def import_database(
    workspace: Workspace, call: Call, path: Path, experiment: str, account: Account
) -> None:
    """Import every run of the database that is not deleted.

    Raises:
        NothingToImport: it has no runs.
        UnreadableSource: it is no database of MLflow, or is damaged or locked.
    """
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as source:
            source.execute("PRAGMA query_only = 1")
            tables = {name for (name,) in source.execute("SELECT name FROM sqlite_master")}
            if missing := _NEEDED - tables:
                problem = f"it has no table {', '.join(sorted(missing))}, so it is not MLflow's"
                raise UnreadableSource(path=str(path), problem=problem)
            source.execute("BEGIN")  # one view, however long it takes
            n_runs = _count(source, "runs WHERE lifecycle_stage = 'active'")
            n_deleted = _count(source, "runs WHERE lifecycle_stage <> 'active'")
            account.skip(str(path), "run", "it is deleted in MLflow", n_deleted)
            for table in _LEFT_OUT.keys() & tables:
                account.skip(str(path), table, _LEFT_OUT[table], _count(source, table))
            if not n_runs:
                raise NothingToImport(path=str(path), wanted="run that is not deleted")
            runs = _runs(source, has_inputs="input_tags" in tables)
            import_runs_of(
                workspace,
                call,
                runs,
                n_runs=n_runs,
                root=path.parent,
                experiment=experiment,
                account=account,
            )
    except sqlite3.Error as error:
        raise UnreadableSource(path=str(path), problem=str(error)) from error


def _count(source: sqlite3.Connection, what: str) -> int:
    return int(source.execute(f"SELECT count(*) FROM {what}").fetchone()[0])  # noqa: S608


def _runs(source: sqlite3.Connection, *, has_inputs: bool) -> Iterator[MlflowRun]:
    query = """
        SELECT run_uuid, experiments.name, runs.name, user_id, status, start_time, end_time,
               artifact_uri
        FROM runs JOIN experiments USING (experiment_id)
        WHERE runs.lifecycle_stage = 'active' ORDER BY start_time, run_uuid
    """
    for uuid, experiment, name, user, status, start, end, uri in source.execute(query):
        yield MlflowRun(
            uuid=uuid,
            experiment=experiment,
            name=name or "",
            user=user or "",
            status=status or "",
            started_at_ms=start or 0,
            ended_at_ms=end,
            artifact_uri=uri or "",
            params=dict(
                source.execute("SELECT key, value FROM params WHERE run_uuid = ?", (uuid,))
            ),
            tags={
                key: value or ""
                for key, value in source.execute(
                    "SELECT key, value FROM tags WHERE run_uuid = ?", (uuid,)
                )
            },
            datasets=_datasets(source, uuid) if has_inputs else [],
            metrics=_metrics(source, uuid),
        )


def _metrics(source: sqlite3.Connection, uuid: str) -> Iterator[tuple[str, MetricColumns]]:
    query = """
        SELECT key, step, timestamp, CASE WHEN is_nan THEN NULL ELSE value END FROM metrics
        WHERE run_uuid = ? ORDER BY key, step, timestamp
    """
    cursor = source.execute(query, (uuid,))
    while rows := cursor.fetchmany(_ROWS_AT_ONCE):
        for key, mine in groupby(rows, key=lambda row: row[0]):
            found = [
                (step, at_ms, math.nan if value is None else value)
                for _, step, at_ms, value in mine
            ]
            yield key, infinite_again(columns_of(found))


def infinite_again(columns: MetricColumns) -> MetricColumns:
    """The columns with infinities where MLflow's databases hold the greatest number."""
    values = columns.values
    is_infinite = np.abs(values) >= MAX_FINITE
    return columns._replace(values=np.where(is_infinite, np.copysign(np.inf, values), values))


def _datasets(source: sqlite3.Connection, uuid: str) -> list[DatasetInput]:
    query = """
        SELECT input_uuid, name, digest, dataset_source_type, dataset_source, dataset_schema,
               dataset_profile
        FROM inputs JOIN datasets ON dataset_uuid = source_id
        WHERE source_type = 'DATASET' AND destination_type = 'RUN' AND destination_id = ?
    """
    tags = "SELECT name, value FROM input_tags WHERE input_uuid = ?"
    return [
        DatasetInput(
            dataset=Dataset(
                name=name,
                digest=digest,
                source_type=source_type or "",
                source=where or "",
                schema=schema or "",
                profile=profile or "",
            ),
            tags=list(source.execute(tags, (number,))),
        )
        for number, name, digest, source_type, where, schema, profile in source.execute(
            query, (uuid,)
        )
    ]
