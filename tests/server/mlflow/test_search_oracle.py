"""Searching runs over HTTP gives what a plain loop over the runs would give."""

import math
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
