"""Histories of metrics at MLflow's addresses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from sightloop.kernel.actors import Permission, require
from sightloop.kernel.workspace import Call, Workspace
from sightloop.server.mlflow.endpoints import Answer, BadMlflowRequest, Endpoint
from sightloop.server.mlflow.requests import OfRun
from sightloop.server.mlflow.shapes import metric_shape
from sightloop.tracking import limits
from sightloop.tracking.conditions import Page, decode_token, encode_token
from sightloop.tracking.errors import BadPageToken
from sightloop.tracking.points import metric_history
from sightloop.tracking.store import find_run
from sightloop.tracking.values import MetricPoint

MAX_RUNS = 100
MAX_STEPS = 2500


class GetHistory(OfRun, frozen=True, kw_only=True):
    metric_key: str
    page_token: str = ""
    max_results: int = limits.MAX_POINTS_PER_PAGE


class GetHistories(msgspec.Struct, frozen=True, kw_only=True):
    run_ids: list[str] = []
    metric_key: str
    start_step: int | None = None
    end_step: int | None = None
    max_results: int = 2500


def get_history(workspace: Workspace, call: Call, request: GetHistory) -> Answer:
    require(call.actor, Permission.READ)
    limit = min(max(request.max_results, 1), limits.MAX_POINTS_PER_PAGE)
    order = "history"
    begin = decode_token(request.page_token, order=order, kinds=(int, int, str))
    with workspace.db.read() as tx:
        run = find_run(tx, request.run)
        after = None
        if begin is not None:
            after = _point_in(begin, request)
        points = metric_history(tx, run.id, request.metric_key, after=after, limit=limit + 1)
    page = points[:limit]
    answer: Answer = {"metrics": [metric_shape(point) for point in page]}
    if len(points) > limit:
        last = page[-1]
        answer["next_page_token"] = encode_token(
            Page([last.step, last.at_ms, str(last.value)], order)
        )
    return answer


def get_histories(workspace: Workspace, call: Call, request: GetHistories) -> Answer:
    """One metric of several runs, some steps of each, for a picture."""
    require(call.actor, Permission.READ)
    low, high = _steps(request)
    metrics: list[Answer] = []
    with workspace.db.read() as tx:
        for run in request.run_ids:
            find_run(tx, run)
            points = metric_history(tx, run, request.metric_key)
            within = [one for one in points if low <= one.step <= high]
            shown = sampled_steps([one.step for one in within], request.max_results)
            metrics += [metric_shape(one) | {"run_id": run} for one in within if one.step in shown]
    return {"metrics": metrics}


def sampled_steps(steps: Sequence[int], limit: int) -> set[int]:
    """At most `limit` of the steps, evenly over their order, the first and the last among them.

    >>> sorted(sampled_steps(range(0, 100, 10), 4))
    [0, 30, 60, 90]
    """
    every = sorted(set(steps))
    if len(every) <= limit:
        return set(every)
    if limit == 1:
        return {every[-1]}
    return {every[round(at * (len(every) - 1) / (limit - 1))] for at in range(limit)}


def _point_in(begin: list[Any], request: GetHistory) -> MetricPoint:
    step, at_ms, value = begin
    try:
        return MetricPoint(key=request.metric_key, value=float(value), step=step, at_ms=at_ms)
    except ValueError as error:
        raise BadPageToken(token=request.page_token) from error


def _steps(request: GetHistories) -> tuple[float, float]:
    n_runs = len(request.run_ids)
    if not 1 <= n_runs <= MAX_RUNS:
        raise BadMlflowRequest(problem=f"`run_ids` names {n_runs}, not 1 to {MAX_RUNS}")
    if not 1 <= request.max_results <= MAX_STEPS:
        problem = f"max_results {request.max_results} is not between 1 and {MAX_STEPS}"
        raise BadMlflowRequest(problem=problem)
    start, end = request.start_step, request.end_step
    if (start is None) != (end is None):
        raise BadMlflowRequest(problem="give both start_step and end_step, or neither")
    if start is None or end is None:
        return -math.inf, math.inf
    if start > end:
        raise BadMlflowRequest(problem=f"start_step {start} is beyond end_step {end}")
    return start, end


ENDPOINTS = (
    Endpoint("GET", "metrics/get-history", GetHistory, get_history),
    Endpoint("GET", "metrics/get-history-bulk-interval", GetHistories, get_histories),
)
