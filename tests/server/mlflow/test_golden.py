"""What MLflow's own server answered to a client's requests, asked of Sightloop.

`golden.json` was recorded by `make bench-mlflow-differential` with --record: a request a line.
"""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from sightloop.testing.exchanges import Names, differences, hidden_answer
from tests.server.mlflow.wire import Mlflow

pytestmark = pytest.mark.both_databases

GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text())
A_FILE = "<a file>"
DIFFER = {
    "rename it to a taken name",
    "what was kept of them",
    "the history of infinity",
    "runs by names",
    "runs not by names",
    "fetch a file",
    "models by status",
    "point the champion",
    "a state nobody knows",
    "a point that is true",
    "a point that is a list",
    "a step with a fraction",
    "a filter with two ANDs",
    "a filter that ends in AND",
    "a file at the root",
    "tags that are texts",
    "a view nobody knows",
    "an address nobody knows",
    "another method",
}
"""Calls answered otherwise on purpose; bench/mlflow_differential.py says why."""


def replay(mlflow: Mlflow, names: Names, row: dict[str, Any]) -> list[str]:
    """Send the request of the row; where the answer differs from the one recorded."""
    path = quote(names.show(row["path"]), safe="/:%")
    query = [(key, names.show(value)) for key, value in row["query"]]
    body = names.show(row["body"]) if row["body"] else None
    if body == A_FILE:
        body = "flavors: {}" if path.endswith("MLmodel") else "hello"
    answer = mlflow.http.request(
        row["method"], path, params=query, content=body, headers=mlflow.headers
    )
    found = hidden_answer(names, answer.text)
    if answer.status_code != row["status"]:
        return [f"status {answer.status_code}, recorded was {row['status']}"]
    return differences(found, row["answer"])


def test_sightloop_answers_as_mlflows_own_server_did(mlflow: Mlflow):
    names = Names()
    differing = {}
    for row in GOLDEN:
        if row["path"].endswith("/server-info"):
            continue
        lines = replay(mlflow, names, row)
        if lines and row["call"] not in DIFFER:
            differing[f"{row['call']} #{row['request']}"] = lines
    assert differing == {}
    assert len({row["call"] for row in GOLDEN}) > 250
