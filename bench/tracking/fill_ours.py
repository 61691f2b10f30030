"""Fills a workspace with the runs that MLflow's database is filled with."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

from sqlalchemy import insert

from bench.servers import our_environment
from bench.tracking.runs_to_ask import SETS, RunSet, RunToAsk, runs_of
from sightloop.kernel.database import Database
from sightloop.tracking.tables import experiments, latest, params, points, runs
from sightloop.wiring import open_workspace


def fill(folder: Path, database: str = "") -> None:
    """Add every set of runs to the workspace in this folder, past its services."""
    workspace = open_workspace(folder, our_environment(database))
    try:
        for one in SETS:
            _experiment(workspace.db, one)
            waiting = runs_of(one)
            while batch := list(itertools.islice(waiting, 500)):
                _runs(workspace.db, one.experiment, batch)
    finally:
        workspace.db.close()


def _experiment(db: Database, one: RunSet) -> None:
    row = {
        "id": one.experiment, "name": one.name, "is_deleted": False, "artifact_location": "",
        "created_at_ms": 0, "updated_at_ms": 0,
    }  # fmt: skip
    with db.write() as tx:
        tx.execute(insert(experiments), row)


def _runs(db: Database, experiment: int, batch: Iterable[RunToAsk]) -> None:
    rows = [
        {
            "id": run.id, "experiment": experiment, "name": run.name, "user": "bench",
            "state": "finished", "is_deleted": False, "inputs": None, "outputs": "{}",
            "attempts": 1, "started_at_ms": run.started_at_ms,
            "ended_at_ms": run.started_at_ms + 1000, "exit_reason": None,
        }
        for run in batch
    ]  # fmt: skip
    pairs = [
        {"run": run.id, "key": key, "value": value}
        for run in batch
        for key, value in run.params.items()
    ]
    measured = [
        {
            "run": run.id, "key": key, "step": 0, "at_ms": run.started_at_ms, "is_nan": False,
            "value": value,
        }
        for run in batch
        for key, value in run.metrics.items()
    ]  # fmt: skip
    with db.write() as tx:
        tx.execute(insert(runs), rows)
        tx.execute(insert(params), pairs)
    with db.points.write() as tx:
        tx.execute(insert(points), measured)
        tx.execute(insert(latest), measured)
