"""How many points `log_batch` takes a second: 1,000 at once, on SQLite and on PostgreSQL.

    python -m bench.points

Calls the service itself, in one process; HTTP and JSON come on top. PostgreSQL is the server that
tests use (with fsync off: points are not waited for on a disk in a real one either). Prints, for
each way, the best and the median of `N_BATCHES`, a batch of 1,000 that is sent again, and what the
first statement alone would take row by row.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

from sqlalchemy.dialects.postgresql import insert

from sightloop.kernel.workspace import Workspace
from sightloop.testing import postgresql
from sightloop.testing.workspaces import LOCAL_CALL, place_database
from sightloop.tracking.recording import BeginRun, LogBatch, begin_run, log_batch
from sightloop.tracking.tables import points
from sightloop.tracking.values import MetricPoint
from sightloop.wiring import create_workspace

N_BATCHES = 60
N_POINTS = 1_000


def main() -> None:
    """Measure both databases."""
    with tempfile.TemporaryDirectory() as folder:
        for kind, url in (("SQLite", ""), ("PostgreSQL", postgresql.server().empty())):
            workspace = create_workspace(place_database(Path(folder) / kind, url), {})
            measure(kind, workspace)
            workspace.db.close()
    postgresql.leave()


def measure(kind: str, workspace: Workspace) -> None:
    """Print how quick one database is."""
    run = begin_run(workspace, LOCAL_CALL, BeginRun(experiment=0)).run.id
    batches = [batch(number) for number in range(N_BATCHES)]
    tell(f"{kind}, new points", [log(workspace, run, one) for one in batches])
    tell(f"{kind}, sent again", [log(workspace, run, one) for one in batches[:20]])
    if kind == "PostgreSQL":
        tell(f"{kind}, row by row", [row_by_row(workspace, batch(n)) for n in range(20)])


def batch(number: int) -> list[MetricPoint]:
    """1,000 points of ten metrics, as a training sends them."""
    return [
        MetricPoint(
            key=f"metric-{n % 10}",
            value=random.random(),
            step=number * 100 + n // 10,
            at_ms=1_700_000_000_000 + number * 1_000 + n,
        )
        for n in range(N_POINTS)
    ]


def log(workspace: Workspace, run: str, metrics: list[MetricPoint]) -> float:
    """Seconds that the service takes."""
    request = LogBatch(run=run, metrics=metrics)
    return timed(partial(log_batch, workspace, LOCAL_CALL, request))


def row_by_row(workspace: Workspace, metrics: list[MetricPoint]) -> float:
    """Seconds that inserting the points takes when each is a message of its own."""
    rows = [
        {
            "run": "other",
            "key": one.key,
            "step": one.step,
            "at_ms": one.at_ms,
            "is_nan": False,
            "value": one.value,
        }
        for one in metrics
    ]

    def write() -> None:
        with workspace.db.points.write() as tx:
            tx.execute(insert(points).on_conflict_do_nothing(), rows)

    return timed(write)


def timed(work: Callable[[], None]) -> float:
    """Seconds that it takes."""
    began_s = time.perf_counter()
    work()
    return time.perf_counter() - began_s


def tell(what: str, seconds: list[float]) -> None:
    """Print points per second, best and median."""
    best, middle = (N_POINTS / one for one in (min(seconds), median(seconds)))
    print(f"{what:24} {best:9,.0f} points/s at best, {middle:9,.0f} in the middle")


if __name__ == "__main__":
    main()
