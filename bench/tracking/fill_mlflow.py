"""Fills MLflow's database with runs: run by the Python of a virtual environment with mlflow.

`python fill_mlflow.py DATABASE_URL`, after MLflow's server made the tables. Its own interface takes
about an hour for the two million entries; what is asked afterwards is the same.
"""

from __future__ import annotations

import sys

from mlflow.store.tracking.dbmodels.models import (
    SqlExperiment,
    SqlLatestMetric,
    SqlMetric,
    SqlParam,
    SqlRun,
    SqlTag,
)
from runs_to_ask import SETS, RunToAsk, runs_of
from sqlalchemy import Connection, create_engine, insert


def main(url: str) -> None:
    engine = create_engine(url)
    for number, one in enumerate(SETS, start=1):
        with engine.begin() as tx:
            tx.execute(
                insert(SqlExperiment.__table__),
                {
                    "experiment_id": one.experiment, "name": one.name, "workspace": "default",
                    "artifact_location": f"mlflow-artifacts:/{number}", "lifecycle_stage": "active",
                    "creation_time": 0, "last_update_time": 0,
                },
            )  # fmt: skip
            waiting: list[RunToAsk] = []
            for run in runs_of(one):
                waiting.append(run)
                if len(waiting) == 500:
                    add(tx, one.experiment, waiting)
                    waiting = []
            add(tx, one.experiment, waiting)


def add(tx: Connection, experiment: int, runs: list[RunToAsk]) -> None:
    if not runs:
        return
    common = {
        "source_type": "LOCAL", "source_name": "", "entry_point_name": "", "user_id": "bench",
        "status": "FINISHED", "lifecycle_stage": "active", "source_version": "",
    }  # fmt: skip
    rows = [
        {
            **common, "run_uuid": run.id, "name": run.name, "start_time": run.started_at_ms,
            "end_time": run.started_at_ms + 1000, "experiment_id": experiment,
            "artifact_uri": f"mlflow-artifacts:/{experiment}/{run.id}/artifacts",
        }
        for run in runs
    ]  # fmt: skip
    tx.execute(insert(SqlRun.__table__), rows)
    params = [
        {"run_uuid": run.id, "key": key, "value": value}
        for run in runs
        for key, value in run.params.items()
    ]
    tx.execute(insert(SqlParam.__table__), params)
    named = [{"run_uuid": run.id, "key": "mlflow.runName", "value": run.name} for run in runs]
    tx.execute(insert(SqlTag.__table__), named)
    points = [
        {"run_uuid": run.id, "key": key, "value": value, "timestamp": run.started_at_ms,
         "step": 0, "is_nan": False}
        for run in runs
        for key, value in run.metrics.items()
    ]  # fmt: skip
    for table in (SqlMetric, SqlLatestMetric):
        tx.execute(insert(table.__table__), points)


if __name__ == "__main__":
    main(sys.argv[1])
