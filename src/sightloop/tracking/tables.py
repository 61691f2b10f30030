"""The tables of tracking. Only modules of this room execute statements on them.

Points are written once and read in order, so they lie clustered by (run, key, step), in a file of
their own where the database is embedded; tables and lists need only the newest value of each key,
which `latest` keeps. A point that is sent twice is one point, whatever its value, and finding that
out costs one key lookup.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
)

from sightloop.kernel.database import POINTS, metadata

# SQLite numbers rows itself only when the key is exactly INTEGER.
_Number = BigInteger().with_variant(Integer, "sqlite")

experiments = Table(
    "tracking_experiments",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("name", Text, nullable=False, unique=True),
    Column("is_deleted", Boolean, nullable=False),
    Column("artifact_location", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("updated_at_ms", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)
experiment_tags = Table(
    "tracking_experiment_tags",
    metadata,
    Column("experiment", ForeignKey("tracking_experiments.id"), nullable=False),
    Column("key", Text, nullable=False),
    Column("value", Text, nullable=False),
    PrimaryKeyConstraint("experiment", "key"),
    sqlite_with_rowid=False,
)
runs = Table(
    "tracking_runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("experiment", ForeignKey("tracking_experiments.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("user", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("is_deleted", Boolean, nullable=False),
    Column("inputs", Text),
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
params = Table(
    "tracking_params",
    metadata,
    Column("run", ForeignKey("tracking_runs.id"), nullable=False),
    Column("key", Text, nullable=False),
    Column("value", Text, nullable=False),
    PrimaryKeyConstraint("run", "key"),
    sqlite_with_rowid=False,
)
tags = Table(
    "tracking_tags",
    metadata,
    Column("run", ForeignKey("tracking_runs.id"), nullable=False),
    Column("key", Text, nullable=False),
    Column("value", Text, nullable=False),
    PrimaryKeyConstraint("run", "key"),
    sqlite_with_rowid=False,
)
artifacts = Table(
    "tracking_artifacts",
    metadata,
    Column("owner", Text, nullable=False),  # a run, or a logged model
    Column("name", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    PrimaryKeyConstraint("owner", "name"),
    sqlite_with_rowid=False,
)
# No foreign key to the run: points lie in a file of their own, and checking it would cost a lookup
# for each of a thousand points in a batch.
points = Table(
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
    schema=POINTS,
)
latest = Table(
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
    schema=POINTS,
)
