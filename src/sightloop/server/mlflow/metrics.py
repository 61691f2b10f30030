"""Histories of metrics at MLflow's addresses."""

from __future__ import annotations

from sightloop.kernel.actors import Permission, require
from sightloop.kernel.workspace import Call, Workspace
from sightloop.server.mlflow.endpoints import Answer, Endpoint
from sightloop.server.mlflow.requests import OfRun
from sightloop.server.mlflow.shapes import metric_shape
from sightloop.tracking import limits
from sightloop.tracking.conditions import Page, decode_token, encode_token
from sightloop.tracking.points import metric_history
from sightloop.tracking.store import find_run
from sightloop.tracking.values import MetricPoint


class GetHistory(OfRun, frozen=True, kw_only=True):
    metric_key: str
    page_token: str = ""
    max_results: int = limits.MAX_POINTS_PER_PAGE


def get_history(workspace: Workspace, call: Call, request: GetHistory) -> Answer:
    require(call.actor, Permission.READ)
    limit = min(max(request.max_results, 1), limits.MAX_POINTS_PER_PAGE)
    order = "history"
    begin = decode_token(request.page_token, order=order)
    with workspace.db.read() as tx:
        run = find_run(tx, request.run)
        after = None
        if begin is not None:
            step, at_ms, value = begin
            after = MetricPoint(key=request.metric_key, value=float(value), step=step, at_ms=at_ms)
        points = metric_history(tx, run.id, request.metric_key, after=after, limit=limit + 1)
    page = points[:limit]
    answer: Answer = {"metrics": [metric_shape(point) for point in page]}
    if len(points) > limit:
        last = page[-1]
        answer["next_page_token"] = encode_token(
            Page([last.step, last.at_ms, str(last.value)], order)
        )
    return answer


ENDPOINTS = (Endpoint("GET", "metrics/get-history", GetHistory, get_history),)
