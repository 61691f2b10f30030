"""Connections that drop, a database somebody else holds, a clock that jumps: over a real socket."""

import dataclasses
import http.client
import json
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from litestar.testing import TestClient

from sightloop.kernel.database import Database, sqlite_url
from sightloop.kernel.workspace import Workspace
from sightloop.server.app import build_app
from sightloop.testing.clock import ManualClock
from sightloop.wiring import create_workspace, ensure_token
from tests.server.mlflow.wire import Mlflow

FILES = "/api/2.0/mlflow-artifacts/artifacts"
BODY = bytes(range(256)) * 4096


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    opened = create_workspace(tmp_path, {})
    yield opened
    opened.db.close()


@pytest.fixture
def port(workspace: Workspace) -> Iterator[int]:
    """Of a server that answers for the workspace."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(build_app(workspace), log_config=None, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join()


class Wire:
    """Plain requests to the server."""

    def __init__(self, port: int, token: str) -> None:
        self.port = port
        self.token = token

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, path, body, {"Authorization": f"Bearer {self.token}"})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, content

    def begin_run(self) -> str:
        body = json.dumps({"experiment_id": "0"}).encode()
        made = json.loads(self.ask("POST", "/api/2.0/mlflow/runs/create", body)[1])
        run: str = made["run"]["info"]["run_id"]
        return run

    def drop(self, method: str, path: str, sent: bytes, *, promised: int) -> None:
        """Send the head and the beginning of a body, and hang up the hard way."""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.token}\r\n"
            f"Content-Length: {promised}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", self.port)) as one:
            one.sendall(head.encode() + sent)
            time.sleep(0.1)  # the server is now in the middle of it

    def names(self, run: str) -> list[str]:
        listed = json.loads(self.ask("GET", f"/api/2.0/mlflow/artifacts/list?run_id={run}")[1])
        return [one["path"] for one in listed.get("files", [])]


@pytest.fixture
def wire(workspace: Workspace, port: int) -> Wire:
    return Wire(port, ensure_token(workspace))


def left_behind(workspace: Workspace) -> list[Path]:
    return list(workspace.state.glob("tmp*"))


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_an_upload_whose_connection_drops_leaves_nothing_and_a_repeat_works(
    workspace: Workspace, wire: Wire
):
    run = wire.begin_run()
    path = f"{FILES}/0/{run}/artifacts/best.pt"
    wire.drop("PUT", path, BODY[: len(BODY) // 2], promised=len(BODY))
    wait_until(lambda: not left_behind(workspace))
    assert wire.names(run) == []
    assert list(workspace.blobs.list_blobs()) == []
    assert wire.ask("PUT", path, BODY)[0] == 200
    assert wire.ask("GET", path) == (200, BODY)


def test_an_upload_that_drops_keeps_the_file_that_was_there(workspace: Workspace, wire: Wire):
    run = wire.begin_run()
    path = f"{FILES}/0/{run}/artifacts/best.pt"
    wire.ask("PUT", path, b"before")
    wire.drop("PUT", path, BODY[:1000], promised=len(BODY))
    wait_until(lambda: not left_behind(workspace))
    assert wire.ask("GET", path) == (200, b"before")


def test_a_batch_whose_connection_drops_logs_nothing(wire: Wire):
    run = wire.begin_run()
    metrics = [{"key": "loss", "value": 1.0, "timestamp": 1, "step": at} for at in range(100)]
    body = json.dumps({"run_id": run, "metrics": metrics}).encode()
    path = "/api/2.0/mlflow/runs/log-batch"
    wire.drop("POST", path, body[: len(body) // 2], promised=len(body))
    shown = json.loads(wire.ask("GET", f"/api/2.0/mlflow/runs/get?run_id={run}")[1])
    assert "metrics" not in shown["run"]["data"]
    assert wire.ask("POST", path, body)[0] == 200


def test_a_body_of_100_mb_is_refused_before_it_is_read(wire: Wire):
    head = 100 << 20
    with socket.create_connection(("127.0.0.1", wire.port), timeout=10) as one:
        one.sendall(
            f"POST /api/2.0/mlflow/runs/log-batch HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {wire.token}\r\nContent-Length: {head}\r\n\r\n{{".encode()
        )
        answer = one.recv(4096).decode()
    assert answer.startswith("HTTP/1.1 400")
    assert "INVALID_PARAMETER_VALUE" in answer


@pytest.fixture
def hurried(workspace: Workspace) -> Iterator[Workspace]:
    """The same workspace, waiting for its database no longer than a moment."""
    db = Database(sqlite_url(workspace.state / "sightloop.db"), busy_timeout_s=0.05)
    yield dataclasses.replace(workspace, db=db)
    db.close()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("runs/set-tag", {"key": "line", "value": "A"}),
        ("runs/log-parameter", {"key": "lr", "value": "0.1"}),
        ("runs/update", {"status": "FINISHED", "end_time": 5}),
        ("runs/log-batch", {"params": [{"key": "a", "value": "1"}]}),
    ],
)
def test_a_database_held_by_another_process_answers_what_clients_retry_and_loses_nothing(
    workspace: Workspace, hurried: Workspace, path: str, body: dict[str, Any]
):
    with TestClient(build_app(hurried), raise_server_exceptions=False) as client:
        mlflow = Mlflow(client, ensure_token(workspace))
        run = mlflow.run()
        before = mlflow.get("runs/get", run_id=run)
        other = sqlite3.connect(workspace.state / "sightloop.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        refused = mlflow.refused("POST", path, json={"run_id": run, **body})
        assert refused[:2] == (503, "TEMPORARILY_UNAVAILABLE")
        assert "Traceback" not in refused[2]
        assert mlflow.get("runs/get", run_id=run) == before, "readers wait for nobody"
        other.execute("ROLLBACK")
        other.close()
        assert mlflow.send("POST", path, json={"run_id": run, **body}).status_code == 200
        assert mlflow.get("runs/get", run_id=run) != before


def test_metrics_that_meet_a_held_database_are_refused_and_taken_once_it_is_free(
    workspace: Workspace, hurried: Workspace
):
    with TestClient(build_app(hurried), raise_server_exceptions=False) as client:
        mlflow = Mlflow(client, ensure_token(workspace))
        point = {"run_id": mlflow.run(), "key": "loss", "value": 1.0, "timestamp": 1}
        other = sqlite3.connect(workspace.state / "sightloop.points.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        refused = mlflow.refused("POST", "runs/log-metric", json=point)
        assert refused[:2] == (503, "TEMPORARILY_UNAVAILABLE")
        other.execute("ROLLBACK")
        other.close()
        mlflow.post("runs/log-metric", **point)
        found = mlflow.get("metrics/get-history", run_id=point["run_id"], metric_key="loss")
        assert [one["value"] for one in found["metrics"]] == [1.0]


def test_a_clock_that_jumps_back_loses_no_run_no_page_and_no_version(workspace: Workspace):
    clock = ManualClock()
    with TestClient(build_app(dataclasses.replace(workspace, clock=clock))) as client:
        mlflow = Mlflow(client, ensure_token(workspace))
        made = []
        for name in ("one", "two", "three"):
            run = mlflow.run(name)
            mlflow.post("runs/set-tag", run_id=run, key="name", value=name)
            mlflow.post("runs/update", run_id=run, status="FINISHED")
            made.append(run)
            clock.set_back(86_400)
        assert len(set(made)) == 3
        assert sorted(paged(mlflow, "runs/search", "runs", experiment_ids=["0"])) == sorted(made)
        mlflow.post("registered-models/create", name="net")
        for _ in range(2):
            clock.set_back(86_400)
            mlflow.post("model-versions/create", name="net", source="s3://bucket/net")
        found = mlflow.get("model-versions/search", filter="name='net'")["model_versions"]
        assert sorted(one["version"] for one in found) == ["1", "2"]


def paged(mlflow: Mlflow, path: str, name: str, **body: object) -> list[str]:
    found, token = [], ""
    while True:
        page = mlflow.post(path, **body, max_results=1, page_token=token)
        found += [one["info"]["run_id"] for one in page.get(name, [])]
        token = page.get("next_page_token", "")
        if not token:
            return found


@pytest.mark.parametrize(
    "credentials", ["Bearer nobody", "Basic !!!", "Basic dG9rZW46bm9ib2R5", "Digest x", ""]
)
def test_a_token_that_is_none_is_unauthenticated_in_words_clients_know(
    workspace: Workspace, credentials: str
):
    with TestClient(build_app(workspace)) as client:
        answer = client.get(
            "/api/2.0/mlflow/experiments/get?experiment_id=0",
            headers={"Authorization": credentials},
        )
    assert (answer.status_code, answer.json()["error_code"]) == (401, "UNAUTHENTICATED")


@pytest.mark.parametrize("user", ["token", "anna", ""])
def test_the_token_is_also_taken_as_a_password_whoever_the_user_is(workspace: Workspace, user: str):
    with TestClient(build_app(workspace)) as client:
        answer = client.get(
            "/api/2.0/mlflow/experiments/get?experiment_id=0",
            auth=(user, ensure_token(workspace)),
        )
    assert answer.status_code == 200


@pytest.mark.parametrize("prefix", ["/api/3.0/mlflow", "/ajax-api/3.0/mlflow"])
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_traces_are_declined_in_words_clients_know(workspace: Workspace, prefix: str, method: str):
    with TestClient(build_app(workspace)) as client:
        answer = client.request(method, f"{prefix}/traces/tr-1")
    assert (answer.status_code, answer.json()["error_code"]) == (404, "ENDPOINT_NOT_FOUND")
