"""The runs that both servers are asked for, the same in both; needs the standard library alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple


class RunSet(NamedTuple):
    """An experiment with runs of one shape."""

    experiment: int
    """Its number, equal in both servers."""
    name: str
    n_runs: int
    n_params: int
    n_metrics: int


class RunToAsk(NamedTuple):
    """A finished run with parameters and the last value of each metric."""

    id: str
    name: str
    started_at_ms: int
    params: dict[str, str]
    metrics: dict[str, float]


WIDE = RunSet(101, "wide", 10_000, 100, 100)
MANY = RunSet(102, "many", 30_000, 5, 5)
SETS = (WIDE, MANY)


def runs_of(one: RunSet) -> Iterator[RunToAsk]:
    """The runs of a set, always the same."""
    chance = random.Random(one.experiment)
    for n in range(one.n_runs):
        yield RunToAsk(
            id=f"{one.experiment:08x}{n:024x}",
            name=f"run-{n}",
            started_at_ms=1_700_000_000_000 + 1000 * n,
            params={f"p_{k}": str(chance.randrange(10)) for k in range(one.n_params)},
            metrics={f"m_{k}": chance.random() for k in range(one.n_metrics)},
        )
