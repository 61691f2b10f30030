"""Searching runs over HTTP gives what a plain loop over the runs would give."""

import base64
import json
import math
import re
import secrets
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.mlflow.wire import Mlflow

pytestmark = pytest.mark.both_databases


class Made(NamedTuple):
    """A run as it was logged."""

    name: str
    loss: float | None
    size: str | None


LOSSES = st.one_of(st.none(), st.just(math.nan), st.sampled_from([-1.0, 0.0, 0.5, 2.0]))
RUNS = st.lists(
    st.builds(Made, st.sampled_from("abc"), LOSSES, st.sampled_from([None, "1", "22", "3_"])),
    max_size=12,
)
Test = Callable[[Made], bool]


def with_loss(test: Callable[[float], bool]) -> Test:
    return lambda run: run.loss is not None and test(run.loss)


def with_size(test: Callable[[str], bool]) -> Test:
    return lambda run: run.size is not None and test(run.size)


CONDITIONS: dict[str, Test] = {
    "metrics.loss < 0.5": with_loss(lambda loss: loss < 0.5),
    "metrics.loss >= 0": with_loss(lambda loss: loss >= 0),
    "metrics.`loss` = 2": with_loss(lambda loss: loss == 2),
    "metrics.loss != 0.5": with_loss(lambda loss: loss != 0.5),
    "params.size = '1'": with_size(lambda size: size == "1"),
    "params.size != '1'": with_size(lambda size: size != "1"),
    "params.size LIKE '2%'": with_size(lambda size: size.startswith("2")),
    "params.size LIKE '__'": with_size(lambda size: len(size) == 2),
    "attributes.run_name = 'a'": lambda run: run.name == "a",
    "run_name ILIKE 'B'": lambda run: run.name == "b",
    "attributes.run_name IN ('a', 'c')": lambda run: run.name in ("a", "c"),
    "tags.nothing IS NULL": lambda _: True,
    "tags.`mlflow.runName` IS NOT NULL": lambda _: True,
}


def loss_rank(run: Made, sign: int) -> tuple[int, float]:
    """Numbers first, then what is none, then what is missing; whichever way it goes."""
    if run.loss is None:
        return 2, 0.0
    return (1, 0.0) if math.isnan(run.loss) else (0, sign * run.loss)


ORDERS: dict[str, Callable[[Made], Any]] = {
    "metrics.loss ASC": lambda run: loss_rank(run, 1),
    "metrics.loss DESC": lambda run: loss_rank(run, -1),
    "params.size": lambda run: (run.size is None, run.size or ""),
    "attributes.run_name": lambda run: run.name,
}


def pages(mlflow: Mlflow, size: int, **wanted: object) -> list[str]:
    found: list[str] = []
    token = ""
    while True:
        page = mlflow.post("runs/search", max_results=size, page_token=token, **wanted)
        ids = [one["info"]["run_id"] for one in page.get("runs", [])]
        assert len(ids) <= size
        found += ids
        if not (token := page.get("next_page_token", "")):
            return found


def log(mlflow: Mlflow, experiment: str, made: list[Made]) -> list[str]:
    ids = []
    for at, one in enumerate(made):
        run = mlflow.run(one.name, experiment, start_time=at)
        value = "NaN" if one.loss is not None and math.isnan(one.loss) else one.loss
        point = {"key": "loss", "value": value, "timestamp": 1}
        mlflow.post(
            "runs/log-batch",
            run_id=run,
            metrics=[] if one.loss is None else [point],
            params=[] if one.size is None else [{"key": "size", "value": one.size}],
        )
        ids.append(run)
    return ids


@pytest.mark.parametrize("page_size", [2, 5])
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    made=RUNS,
    conditions=st.lists(st.sampled_from(sorted(CONDITIONS)), max_size=2),
    order=st.sampled_from([None, *ORDERS]),
)
def test_pages_of_a_search_give_what_a_loop_gives(
    mlflow: Mlflow, page_size: int, made: list[Made], conditions: list[str], order: str | None
):
    name = f"e{len(mlflow.post('experiments/search', view_type='ALL')['experiments'])}"
    experiment = mlflow.post("experiments/create", name=name)["experiment_id"]
    runs = list(enumerate(log(mlflow, experiment, made)))
    fitting = [
        (at, run) for at, run in runs if all(CONDITIONS[one](made[at]) for one in conditions)
    ]
    fitting.sort(key=lambda one: -one[0])  # the newest first, among equals too
    if order is not None:
        fitting.sort(key=lambda one: ORDERS[order](made[one[0]]))
    found = pages(
        mlflow,
        page_size,
        experiment_ids=[experiment],
        filter=" AND ".join(conditions),
        order_by=[] if order is None else [order],
    )
    assert found == [run for _, run in fitting]


def forged(order: str, after: object) -> str:
    return base64.urlsafe_b64encode(json.dumps([order, after]).encode()).decode()


FORGED = st.one_of(
    st.lists(
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(-(2**70), 2**70),
            st.floats(),
            st.text(max_size=3),
            st.just([]),
            st.just({}),
        ),
        max_size=5,
    ),
    st.none(),
    st.just({}),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(after=FORGED, order=st.sampled_from([None, *ORDERS]))
def test_a_forged_page_token_is_a_page_or_refused_and_never_a_bug(
    mlflow: Mlflow, after: object, order: str | None
):
    experiment = mlflow.post("experiments/create", name=secrets.token_hex(8))["experiment_id"]
    for at in range(2):
        mlflow.run("a", experiment, start_time=at)
    wanted: dict[str, Any] = {"experiment_ids": [experiment], "order_by": [order] if order else []}
    token = mlflow.post("runs/search", max_results=1, **wanted)["next_page_token"]
    digest = json.loads(base64.urlsafe_b64decode(token))[0]
    body = wanted | {"page_token": forged(digest, after)}
    assert mlflow.send("POST", "runs/search", json=body).status_code in (200, 400)
    query = {"run_id": mlflow.run(), "metric_key": "loss", "page_token": forged("history", after)}
    assert mlflow.send("GET", "metrics/get-history", params=query).status_code in (200, 400)


def test_a_page_token_of_nothing_but_brackets_is_refused(mlflow: Mlflow):
    token = base64.urlsafe_b64encode(b"[" * 100_000).decode()
    body = {"experiment_ids": ["0"], "page_token": token}
    status, code, _ = mlflow.refused("POST", "runs/search", json=body)
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize("pattern", ["\\", "a\\", "a\\%", "%\\_", "\\\\", "A\\\\B"])
@pytest.mark.parametrize("operator", ["LIKE", "ILIKE"])
def test_a_backslash_in_a_pattern_is_a_backslash(mlflow: Mlflow, pattern: str, operator: str):
    experiment = mlflow.post("experiments/create", name=secrets.token_hex(8))["experiment_id"]
    texts = ["\\", "a\\", "a\\b", "a%", "a", "A\\\\b", "\\\\"]
    for text in texts:
        run = mlflow.run(text, experiment)
        mlflow.post("runs/set-tag", run_id=run, key="path", value=text)
    quoted = pattern.replace("\\", "\\\\")
    found = mlflow.post(
        "runs/search", experiment_ids=[experiment], filter=f"tags.path {operator} '{quoted}'"
    )
    flags = re.IGNORECASE if operator == "ILIKE" else 0
    wanted = re.compile(
        "".join({"%": ".*", "_": "."}.get(one, re.escape(one)) for one in pattern), flags
    )
    names = {one["info"]["run_name"] for one in found.get("runs", [])}
    assert names == {text for text in texts if wanted.fullmatch(text)}


@pytest.mark.parametrize("term", ["metrics.loss", "tags.a", "start_time", "datasets.name"])
def test_an_order_of_too_many_terms_is_refused(mlflow: Mlflow, term: str):
    body = {"experiment_ids": ["0"], "order_by": [term] * 11}
    status, code, message = mlflow.refused("POST", "runs/search", json=body)
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert "at most 10 terms, not by 11" in message
    assert mlflow.send("POST", "runs/search", json=body | {"order_by": [term] * 10}).is_success


@pytest.mark.parametrize("path", ["runs/search", "logged-models/search"])
def test_experiments_are_searched_each_once_and_not_without_end(mlflow: Mlflow, path: str):
    assert mlflow.send("POST", path, json={"experiment_ids": ["0"] * 30_000}).is_success
    body = {"experiment_ids": [str(at) for at in range(70_000)]}
    status, code, message = mlflow.refused("POST", path, json=body)
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert "names 70000, at most 30000" in message


@pytest.mark.parametrize("timestamp", ["9" * 400, 2**63, 10**30, -1])
def test_a_time_that_no_clock_tells_is_refused(mlflow: Mlflow, timestamp: object):
    point = {"key": "loss", "value": 1, "timestamp": timestamp}
    body = {"run_id": mlflow.run(), "metrics": [point]}
    status, code, message = mlflow.refused("POST", "runs/log-batch", json=body)
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert "is not between 1970" in message
