"""What a finished trial is worth: the value of each objective."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sightloop.contracts.job import MODEL_ARTIFACT
from sightloop.kernel.clock import Clock
from sightloop.kernel.workspace import Workspace
from sightloop.tracking.artifacts import artifacts_of
from sightloop.tracking.points import add_points, latest_metrics, metric_history
from sightloop.tracking.values import MetricPoint
from sightloop.training.sweeps.spec import LATENCY_MS, Objective, SweepSpec

if TYPE_CHECKING:
    from sightloop.inference.runtime import OnnxSession

WARM_UP_RUNS = 3
N_BLOCKS, RUNS_PER_BLOCK = 10, 7
PAUSE_S = 0.05
TIMING_LIMIT_S = 60.0
"""A model so slow that it does not get through all blocks is judged by those it got through."""


class NoValue(Exception):
    """An objective has no value that could be compared; says why."""


def measure_objectives(workspace: Workspace, spec: SweepSpec, run: str) -> list[float]:
    """The value of each objective, for a run that has finished.

    The latency is measured here and now, unless it was before, and becomes a metric of the run.

    Raises:
        NoValue: one of them has no finite value.
    """
    return [_value_of(workspace, objective, run) for objective in spec.objectives]


def reduce_points(objective: Objective, points: Sequence[MetricPoint]) -> float:
    """The one value of a curve that counts. NaN and the infinities are no candidates for the best.

    Raises:
        NoValue: there is no finite point, or the last is not.
    """
    if not points:
        raise NoValue(f"the run has no metric {objective.metric!r}")
    if objective.of == "last":
        value = points[-1].value
        if not math.isfinite(value):
            raise NoValue(f"the last value of {objective.metric} is {value}")
        return value
    finite = [point.value for point in points if math.isfinite(point.value)]
    if not finite:
        raise NoValue(f"{objective.metric} was never a finite number")
    return max(finite) if objective.direction == "maximize" else min(finite)


def _value_of(workspace: Workspace, objective: Objective, run: str) -> float:
    if objective.metric == LATENCY_MS:
        return _latency_ms(workspace, run)
    with workspace.db.read() as tx:
        points = metric_history(tx, run, objective.metric)
        known = latest_metrics(tx, run)
    if not points and known:
        names = ", ".join(sorted(known)[:20])
        raise NoValue(f"the run has no metric {objective.metric!r}; it has {names}")
    return reduce_points(objective, points)


def _latency_ms(workspace: Workspace, run: str) -> float:
    with workspace.db.read() as tx:
        known = latest_metrics(tx, run).get(LATENCY_MS)
        kept = artifacts_of(tx, run).get(MODEL_ARTIFACT)
    if known is not None:
        return known.value  # measured by a worker that was lost before it could say so
    assert kept is not None, "a finished run has a model"
    took_ms = time_model(workspace, workspace.blobs.local_path(kept))
    point = MetricPoint(key=LATENCY_MS, value=took_ms, step=0, at_ms=workspace.clock.now_ms())
    with workspace.db.points.write() as points:
        add_points(points, run, [point])
    return took_ms


def time_model(workspace: Workspace, model_file: Path) -> float:
    """Milliseconds that one image takes through the exported model on one thread here.

    It is the thread's processor time, which is the latency on a machine that does nothing else, and
    the smallest median of some short stretches: so trials stay comparable that were timed while
    others trained. By the wall clock the same model took 2 ms in one trial and 15 ms in another.

    Raises:
        NoValue: the model cannot be run.
    """
    with _explained():
        session, shape = _opened(model_file)
        return _timed_ms(workspace.clock, session, shape)


def _opened(model_file: Path) -> tuple[OnnxSession, list[int]]:
    from sightloop.inference.runtime import OnnxSession  # NumPy and more: for those who time only

    session = OnnxSession(model_file, threads=1)
    shape = [size for size in session.inputs[0].shape if isinstance(size, int)]
    if len(shape) != len(session.inputs[0].shape):
        raise NoValue("the exported model leaves the size of its input open")
    return session, shape


def _timed_ms(clock: Clock, session: OnnxSession, shape: list[int]) -> float:
    import numpy as np

    tensor = np.full(shape, 0.5, dtype=np.float32)

    def run_s() -> float:
        began_s = time.thread_time()
        session.run(tensor)  # a session of one thread computes on its caller's
        return time.thread_time() - began_s

    deadline_s = clock.monotonic_s() + TIMING_LIMIT_S
    for _ in range(WARM_UP_RUNS):
        run_s()
    medians_s = []
    for _ in range(N_BLOCKS):
        medians_s.append(statistics.median(run_s() for _ in range(RUNS_PER_BLOCK)))
        if clock.monotonic_s() > deadline_s:
            break
        clock.sleep(PAUSE_S)
    return min(medians_s) * 1000


@contextmanager
def _explained() -> Iterator[None]:
    from sightloop.inference.errors import ForeignModel

    try:
        yield
    except ForeignModel as error:
        raise NoValue(f"the exported model cannot be timed: {error.message}") from error
