"""The tables of tracking, and the only SQL of the room.

Points are written once and read in order, so they lie clustered by (run, key, step); tables and
lists need only the newest value of each key, which `tracking_latest` keeps. A point that is sent
twice is one point, whatever its value, and finding that out costs one key lookup.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    RowMapping,
    Table,
    Text,
    func,
    insert,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from sightloop.kernel.database import Tx, metadata
from sightloop.kernel.digests import Digest, canonical_json
from sightloop.tracking.errors import BadPoint, RunEnded, RunKnown, RunUnknown
from sightloop.tracking.values import (
    MAX_KEY_CHARACTERS,
    MAX_STEP,
    MetricPoint,
    Run,
    RunArtifact,
    RunId,
    RunInputs,
    RunState,
)

_runs = Table(
    "tracking_runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("experiment", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("inputs", Text, nullable=False),
    Column("outputs", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("started_at_ms", BigInteger, nullable=False),
    Column("ended_at_ms", BigInteger),
    Column("exit_reason", Text),
    Index("tracking_runs_by_time", "started_at_ms", "id"),
    Index("tracking_runs_by_experiment", "experiment", "started_at_ms", "id"),
    Index("tracking_runs_by_state", "state", "started_at_ms", "id"),
    Index("tracking_runs_by_both", "experiment", "state", "started_at_ms", "id"),
)
# No foreign key to the run: points may move to a database file of their own, and checking it
# would cost a lookup for each of a thousand points in a batch.
_points = Table(
    "tracking_points",
    metadata,
    Column("run", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("is_nan", Boolean, nullable=False),
    Column("value", Float, nullable=False),
    PrimaryKeyConstraint("run", "key", "step", "at_ms", "is_nan", "value"),
    sqlite_with_rowid=False,
)
_latest = Table(
    "tracking_latest",
    metadata,
    Column("run", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("is_nan", Boolean, nullable=False),
    Column("value", Float, nullable=False),
    PrimaryKeyConstraint("run", "key"),
    sqlite_with_rowid=False,
)
_artifacts = Table(
    "tracking_artifacts",
    metadata,
    Column("run", ForeignKey("tracking_runs.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    PrimaryKeyConstraint("run", "name"),
)


class MetricColumns(NamedTuple):
    """The points of one metric, column by column, each (n_points,)."""

    steps: NDArray[np.int64]
    at_ms: NDArray[np.int64]
    values: NDArray[np.float64]


def start_run(
    tx: Tx, run: RunId, *, experiment: str, name: str, inputs: RunInputs, now_ms: int
) -> Run:
    """Record that this run is being executed for the first time.

    Raises:
        RunKnown: there is a run of that id.
    """
    known = look_up_run(tx, run)
    if known is not None:
        raise RunKnown(run=run, state=known.state)
    started = Run(
        id=run,
        experiment=experiment,
        name=name,
        state="running",
        inputs=inputs,
        outputs={},
        attempts=1,
        started_at_ms=now_ms,
        ended_at_ms=None,
        exit_reason=None,
    )
    tx.execute(insert(_runs).values(_row_of(started)))
    return started


def restart_run(tx: Tx, run: str, *, inputs: RunInputs, now_ms: int) -> Run:
    """Record another attempt at a run that failed or was cancelled.

    What the earlier attempt measured and left is forgotten: it describes no model that exists.

    Raises:
        RunUnknown: there is no such run.
        RunEnded: the run has finished, so there is nothing to attempt again.
    """
    before = find_run(tx, run)
    if before.state == "finished":
        raise RunEnded(run=run, state=before.state, wanted="be attempted again")
    for table in (_points, _latest, _artifacts):
        tx.execute(table.delete().where(table.c.run == run))
    again = msgspec.structs.replace(
        before,
        state="running",
        inputs=inputs,
        outputs={},
        attempts=before.attempts + 1,
        started_at_ms=now_ms,
        ended_at_ms=None,
        exit_reason=None,
    )
    tx.execute(update(_runs).where(_runs.c.id == run).values(_row_of(again)))
    return again


def finish_run(
    tx: Tx,
    run: str,
    *,
    state: RunState,
    outputs: dict[str, str],
    exit_reason: str,
    now_ms: int,
) -> Run:
    """Record how the run ended; from now on nothing about it changes.

    Raises:
        RunUnknown: there is no such run.
        RunEnded: it ended before.
    """
    running = _require_running(tx, run, wanted="end once more")
    ended = msgspec.structs.replace(
        running, state=state, outputs=outputs, ended_at_ms=now_ms, exit_reason=exit_reason
    )
    tx.execute(update(_runs).where(_runs.c.id == run).values(_row_of(ended)))
    return ended


def log_metrics(tx: Tx, run: str, points: Sequence[MetricPoint]) -> None:
    """Add the points. One that is stored already, value and time included, changes nothing.

    Raises:
        RunUnknown: there is no such run.
        RunEnded: the run has ended.
        BadPoint: a key is empty or too long, or a step does not fit 64 bits.
    """
    _require_running(tx, run, wanted="take more points")
    if not points:
        return
    rows = [_point_row(run, point) for point in points]
    tx.execute(_insert_into(tx, _points).on_conflict_do_nothing(), rows)
    newest: dict[str, dict[str, str | int | float]] = {}
    for row in sorted(rows, key=lambda row: (row["step"], row["at_ms"], row["value"])):
        newest[str(row["key"])] = row
    statement = _insert_into(tx, _latest)
    new = statement.excluded
    tx.execute(
        statement.on_conflict_do_update(
            index_elements=["run", "key"],
            set_={name: new[name] for name in ("step", "at_ms", "is_nan", "value")},
            where=tuple_(new.step, new.at_ms, new.value)
            >= tuple_(_latest.c.step, _latest.c.at_ms, _latest.c.value),
        ),
        list(newest.values()),
    )


def record_artifact(tx: Tx, run: str, name: str, *, digest: Digest, size_bytes: int) -> None:
    """Name a stored blob as this run's artifact; the same name again points to the newer blob.

    Raises:
        RunUnknown: there is no such run.
    """
    find_run(tx, run)
    row = {"run": run, "name": name, "digest": digest, "size_bytes": size_bytes}
    statement = _insert_into(tx, _artifacts).values(row)
    tx.execute(
        statement.on_conflict_do_update(
            index_elements=["run", "name"], set_={"digest": digest, "size_bytes": size_bytes}
        )
    )


def find_run(tx: Tx, run: str) -> Run:
    """The run of that id.

    Raises:
        RunUnknown: there is none.
    """
    found = look_up_run(tx, run)
    if found is None:
        raise RunUnknown(run=run)
    return found


def look_up_run(tx: Tx, run: str) -> Run | None:
    """The run of that id, or None."""
    row = tx.execute(select(_runs).where(_runs.c.id == run)).mappings().first()
    return None if row is None else _run_of(row)


def list_runs(
    tx: Tx,
    *,
    experiment: str | None = None,
    state: RunState | None = None,
    before: str | None = None,
    limit: int = 100,
) -> list[Run]:
    """Runs, newest first; `before` is the last run of the page before.

    Raises:
        RunUnknown: `before` names no run.
    """
    query = select(_runs).order_by(_runs.c.started_at_ms.desc(), _runs.c.id.desc()).limit(limit)
    if experiment is not None:
        query = query.where(_runs.c.experiment == experiment)
    if state is not None:
        query = query.where(_runs.c.state == state)
    if before is not None:
        last = find_run(tx, before)
        query = query.where(
            tuple_(_runs.c.started_at_ms, _runs.c.id) < tuple_(last.started_at_ms, last.id)
        )
    return [_run_of(row) for row in tx.execute(query).mappings()]


def artifacts_of(tx: Tx, run: str) -> dict[str, Digest]:
    """The blobs of the run's artifacts by name."""
    return {artifact.name: artifact.digest for artifact in list_artifacts(tx, run)}


def list_artifacts(tx: Tx, run: str) -> list[RunArtifact]:
    """The run's artifacts, by name."""
    query = select(_artifacts).where(_artifacts.c.run == run).order_by(_artifacts.c.name)
    return [
        RunArtifact(name=row["name"], digest=Digest(row["digest"]), size_bytes=row["size_bytes"])
        for row in tx.execute(query).mappings()
    ]


def metric_history(tx: Tx, run: str, key: str) -> list[MetricPoint]:
    """Every point of one metric, by step and then by time."""
    query = (
        select(_points)
        .where((_points.c.run == run) & (_points.c.key == key))
        .order_by(_points.c.step, _points.c.at_ms)
    )
    return _points_of(tx.execute(query).mappings())


def latest_metrics(tx: Tx, run: str) -> dict[str, MetricPoint]:
    """The newest point of each metric: highest step, then latest time, then greatest value."""
    query = select(_latest).where(_latest.c.run == run).order_by(_latest.c.key)
    return {point.key: point for point in _points_of(tx.execute(query).mappings())}


def latest_of_runs(tx: Tx, runs: Sequence[str]) -> dict[str, dict[str, MetricPoint]]:
    """`latest_metrics` of several runs, at most some hundred, in one query."""
    query = select(_latest).where(_latest.c.run.in_(runs)).order_by(_latest.c.run, _latest.c.key)
    found: dict[str, dict[str, MetricPoint]] = {run: {} for run in runs}
    for row in tx.execute(query).mappings():
        (point,) = _points_of([row])
        found[row["run"]][point.key] = point
    return found


def metric_columns(tx: Tx, run: str, key: str) -> MetricColumns:
    """Every point of one metric as `metric_history` orders them; quick for a million."""
    columns = (_points.c.step, _points.c.at_ms, _points.c.is_nan, _points.c.value)
    query = (
        select(*columns)
        .where((_points.c.run == run) & (_points.c.key == key))
        .order_by(_points.c.step, _points.c.at_ms)
    )
    rows = tx.execute(query).all()
    values = [math.nan if is_nan else value for _, _, is_nan, value in rows]
    return MetricColumns(
        steps=np.array([row[0] for row in rows], dtype=np.int64),
        at_ms=np.array([row[1] for row in rows], dtype=np.int64),
        values=np.array(values, dtype=np.float64),
    )


def experiments(tx: Tx, *, limit: int) -> list[str]:
    """Names of experiments, sorted; each costs one look into an index, however many runs it has."""
    found: list[str] = []
    query = select(func.min(_runs.c.experiment))
    name = tx.execute(query).scalar()
    while name is not None and len(found) < limit:
        found.append(name)
        name = tx.execute(query.where(_runs.c.experiment > name)).scalar()
    return found


def _require_running(tx: Tx, run: str, *, wanted: str) -> Run:
    found = find_run(tx, run)
    if found.state != "running":
        raise RunEnded(run=run, state=found.state, wanted=wanted)
    return found


def _insert_into(tx: Tx, table: Table) -> postgresql.Insert | sqlite.Insert:
    # Both databases know ON CONFLICT, but SQLAlchemy offers it only in their own dialects.
    if tx.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def _row_of(run: Run) -> dict[str, object]:
    row = msgspec.structs.asdict(run)
    return row | {
        "inputs": canonical_json(run.inputs).decode(),
        "outputs": canonical_json(run.outputs).decode(),
    }


def _run_of(row: RowMapping) -> Run:
    values = dict(row)
    values["inputs"] = msgspec.json.decode(values["inputs"], type=RunInputs)
    values["outputs"] = msgspec.json.decode(values["outputs"])
    return Run(**values)


def _point_row(run: str, point: MetricPoint) -> dict[str, str | int | float]:
    if not 0 < len(point.key) <= MAX_KEY_CHARACTERS:
        problem = f"its name has {len(point.key)} characters, not 1 to {MAX_KEY_CHARACTERS}"
        raise BadPoint(run=run, key=point.key, problem=problem)
    if not -MAX_STEP <= point.step <= MAX_STEP:
        raise BadPoint(run=run, key=point.key, problem=f"step {point.step} does not fit 64 bits")
    # SQLite stores NaN as NULL, which no key can hold: it has a column of its own.
    is_nan = math.isnan(point.value)
    return {
        "run": run,
        "key": point.key,
        "step": point.step,
        "at_ms": point.at_ms,
        "is_nan": is_nan,
        "value": 0.0 if is_nan else float(point.value),
    }


def _points_of(rows: Iterable[RowMapping]) -> list[MetricPoint]:
    return [
        MetricPoint(
            key=row["key"],
            value=math.nan if row["is_nan"] else row["value"],
            step=row["step"],
            at_ms=row["at_ms"],
        )
        for row in rows
    ]
