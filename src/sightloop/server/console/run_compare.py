"""Two to fifty runs side by side: curves, numbers, what went in differently, images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

from litestar import Request, Response, get

from sightloop.contracts.numbers import from_wire
from sightloop.server.console.formats import label
from sightloop.server.console.rendering import page
from sightloop.server.console.run_curves import SYSTEM, chosen_runs
from sightloop.server.console.run_files import is_image
from sightloop.server.console.runs_table import took_s
from sightloop.server.console.session import viewer_of
from sightloop.server.context import workspace_of
from sightloop.tracking.curves import better, differing, telling_metrics
from sightloop.tracking.services import PointFacts, RunFacts, ShowRun, show_run
from sightloop.tracking.values import RunArtifact

N_METRICS = 80
N_ALIKE = 200
N_PICTURES = 40
N_AXES = 200
_OFTEN_WANTED = ("confusion_matrix", "curve", "results", "pred", "labels")


class MetricRow(NamedTuple):
    """A metric of every run, and which of them have the best."""

    key: str
    values: list[float | None]
    best: set[int]


class PictureRow(NamedTuple):
    """Pictures with one name, one of each run that has it."""

    name: str
    pictures: list[RunArtifact | None]


@get("/runs/compare", sync_to_thread=True)
def runs_compare(request: Request[Any, Any, Any]) -> Response[str]:
    """Several runs side by side."""
    viewer, workspace = viewer_of(request), workspace_of(request)
    chosen = chosen_runs(request, least=2)
    found = [show_run(workspace, viewer.call, ShowRun(run=run)) for run in chosen]
    inputs = [inputs_of(one) for one in found]
    apart = differing(inputs)
    alike = sorted(set().union(*inputs) - set(apart))
    metrics = metric_rows(found)
    pictures = picture_rows(found)
    return page(
        request,
        "runs-compare.html",
        viewer,
        runs=[one.run for one in found],
        took=[took_s(workspace, one.run) for one in found],
        apart=[(name, [side.get(name) for side in inputs]) for name in apart],
        alike=[(name, inputs[0].get(name)) for name in alike[:N_ALIKE]],
        n_alike=len(alike),
        metrics=metrics[:N_METRICS],
        n_metrics=len(metrics),
        pictures=pictures[:N_PICTURES],
        n_pictures=len(pictures),
        drawn=_drawn(found, inputs, apart, metrics),
        named=urlencode([("run", run) for run in chosen]),
    )


def inputs_of(facts: RunFacts) -> dict[str, str]:
    """What decided the run, as names and texts that can be compared."""
    inputs = facts.run.inputs
    if inputs is None:
        return facts.params
    return {
        "data": inputs.dataset_commit,
        "engine": f"{inputs.engine} {inputs.engine_version}",
        "seed": str(inputs.seed),
        "threads": str(inputs.threads),
        "hardware": inputs.hardware,
        "environment": inputs.environment,
        "code": (inputs.code.commit or "no Git repository") + " changed" * inputs.code.dirty,
        **facts.params,
    }


def metric_rows(found: Sequence[RunFacts]) -> list[MetricRow]:
    """The newest value of each metric of each run, the metrics that tell most first."""
    named = [
        {key: point for key, point in one.metrics.items() if not key.startswith(SYSTEM)}
        for one in found
    ]
    keys = sorted({key for one in named for key in one})
    telling = telling_metrics(named, most=len(keys))
    order = [*telling, *(key for key in keys if key not in set(telling))]
    return [_metric_row(key, [one.metrics.get(key) for one in found]) for key in order]


def picture_rows(found: Sequence[RunFacts]) -> list[PictureRow]:
    """Pictures that at least two runs left under one name, those most looked at first."""
    by_run = [{a.name: a for a in one.artifacts if is_image(a.name)} for one in found]
    counts: dict[str, int] = {}
    for one in by_run:
        for name in one:
            counts[name] = counts.get(name, 0) + 1
    shared = sorted((name for name, n in counts.items() if n > 1), key=_picture_rank)
    return [PictureRow(name, [one.get(name) for one in by_run]) for name in shared]


def _metric_row(key: str, points: Sequence[PointFacts | None]) -> MetricRow:
    values = [None if point is None else from_wire(point.value) for point in points]
    finite = [value for value in values if value is not None and value == value]
    direction = better(key)
    if direction is None or len(set(finite)) < 2:
        return MetricRow(key, values, set())
    best = max(finite) if direction == "more" else min(finite)
    return MetricRow(key, values, {at for at, value in enumerate(values) if value == best})


def _picture_rank(name: str) -> tuple[int, str]:
    rank = next((i for i, part in enumerate(_OFTEN_WANTED) if part in name), len(_OFTEN_WANTED))
    return rank, name


def _drawn(
    found: Sequence[RunFacts],
    inputs: Sequence[dict[str, str]],
    apart: Sequence[str],
    metrics: Sequence[MetricRow],
) -> dict[str, Any]:
    """What the page's script draws from: parameters that differ, and metrics."""
    params = [name for name in apart if any(name in one.params for one in found)][:N_AXES]
    return {
        "runs": [{"id": one.run.id, "name": label(one.run.name)[:60]} for one in found],
        # Pairs: what turns them to JSON would sort names, and these are in the order that tells.
        "params": [[name, [side.get(name, "")[:60] for side in inputs]] for name in params],
        "metrics": [
            [row.key, [None if v is None or v != v or abs(v) > 1e300 else v for v in row.values]]
            for row in metrics[:N_AXES]
        ],
    }
