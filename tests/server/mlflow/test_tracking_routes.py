"""Runs, metrics and parameters over HTTP: what is kept, what is refused, what is never told."""

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from sightloop.kernel.actors import Role
from sightloop.kernel.workspace import Workspace
from sightloop.server.mlflow import runs
from tests.server.mlflow.wire import API, Mlflow, token_of

pytestmark = pytest.mark.both_databases


def data_of(mlflow: Mlflow, run: str) -> dict:
    return mlflow.get("runs/get", run_id=run)["run"]["data"]


def point(value: object = 0.5, key: str = "loss", step: int = 1) -> dict[str, object]:
    return {"key": key, "value": value, "timestamp": 5, "step": step}


def test_a_run_is_named_by_either_of_two_fields(mlflow: Mlflow):
    run = mlflow.run()
    info = mlflow.get("runs/get", run_uuid=run)["run"]["info"]
    assert info["run_id"] == info["run_uuid"] == run


def test_both_prefixes_lead_to_the_same_run(mlflow: Mlflow):
    run = mlflow.run()
    address = f"/ajax-api/2.0/mlflow/runs/get?run_id={run}"
    answer = mlflow.http.get(address, headers=mlflow.headers)
    assert answer.json()["run"]["info"]["run_id"] == run


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_lacks_come_and_go_as_texts(mlflow: Mlflow, value: str):
    run = mlflow.run()
    mlflow.post("runs/log-metric", run_id=run, **point(value))
    assert data_of(mlflow, run)["metrics"][0]["value"] == value
    history = mlflow.get("metrics/get-history", run_id=run, metric_key="loss")["metrics"]
    assert [one["value"] for one in history] == [value]


def test_a_batch_that_is_sent_twice_is_one_batch(mlflow: Mlflow):
    run = mlflow.run()
    batch = {"metrics": [point("NaN"), point(1.5, step=2)], "params": [{"key": "a", "value": "1"}]}
    for _ in range(2):
        mlflow.post("runs/log-batch", run_id=run, **batch)
    history = mlflow.get("metrics/get-history", run_id=run, metric_key="loss")["metrics"]
    assert [one["value"] for one in history] == ["NaN", 1.5]


def test_a_parameter_is_written_once(mlflow: Mlflow):
    run = mlflow.run()
    mlflow.post("runs/log-parameter", run_id=run, key="lr", value="0.1")
    mlflow.post("runs/log-parameter", run_id=run, key="lr", value="0.1")
    body = {"run_id": run, "key": "lr", "value": "0.2"}
    status, code, message = mlflow.refused("POST", "runs/log-parameter", json=body)
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert "'lr'" in message
    assert "'0.1'" in message
    assert "[TRACK-014]" in message


def test_a_refused_batch_leaves_nothing(mlflow: Mlflow):
    run = mlflow.run()
    mlflow.post("runs/log-parameter", run_id=run, key="lr", value="0.1")
    changed = [{"key": "fresh", "value": "1"}, {"key": "lr", "value": "9"}]
    mlflow.refused(
        "POST", "runs/log-batch", json={"run_id": run, "params": changed, "metrics": [point()]}
    )
    assert data_of(mlflow, run) == {
        "params": [{"key": "lr", "value": "0.1"}],
        "tags": [{"key": "mlflow.runName", "value": "a run"}],
    }


def test_what_is_too_much_says_how_much_is_taken(mlflow: Mlflow):
    body = {"run_id": mlflow.run(), "metrics": [point(step=at) for at in range(1001)]}
    status, code, message = mlflow.refused("POST", "runs/log-batch", json=body)
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert "1001" in message
    assert "1000" in message


def test_a_bad_filter_says_where_it_is_bad(mlflow: Mlflow):
    body = {"experiment_ids": ["0"], "filter": "metrics.a > 1 OR metrics.b < 2"}
    status, code, message = mlflow.refused("POST", "runs/search", json=body)
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert "at character 17" in message
    assert "AND" in message


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b'"text"', b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(mlflow: Mlflow, body: bytes):
    status, code, _ = mlflow.refused("POST", "runs/create", content=body)
    assert status == 400
    assert code in ("BAD_REQUEST", "INVALID_PARAMETER_VALUE")


def test_a_body_of_100_mb_is_refused_and_the_server_goes_on(mlflow: Mlflow):
    body = b'{"run_id": "' + b"x" * 100_000_000 + b'"}'
    status, code, message = mlflow.refused("POST", "runs/log-batch", content=body)
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert "bytes" in message
    assert mlflow.run()


def test_nobody_without_a_token_is_told_anything(http: TestClient[Litestar]):
    for path in ("runs/search", "registered-models/create", "logged-models"):
        answer = http.post(f"{API}/{path}", json={"name": "x"})
        assert (answer.status_code, answer.json()["error_code"]) == (401, "UNAUTHENTICATED")


def test_a_viewer_reads_and_writes_nothing(workspace: Workspace, mlflow: Mlflow):
    run = mlflow.run()
    viewer = Mlflow(mlflow.http, token_of(workspace, Role.VIEWER))
    assert viewer.get("runs/get", run_id=run)["run"]["info"]["run_id"] == run
    body = {"run_id": run, "key": "a", "value": "1"}
    assert viewer.refused("POST", "runs/log-parameter", json=body)[:2] == (403, "PERMISSION_DENIED")


def test_a_bug_tells_a_client_no_more_than_that_there_is_one(
    mlflow: Mlflow, monkeypatch: pytest.MonkeyPatch
):
    def stumble(*_: object, **__: object) -> None:
        raise RuntimeError("secret of /etc")

    monkeypatch.setattr(runs.recording, "begin_run", stumble)
    status, code, message = mlflow.refused("POST", "runs/create", json={"experiment_id": "0"})
    assert (status, code) == (500, "INTERNAL_ERROR")
    assert "RuntimeError" in message
    assert "secret" not in message
    assert "Traceback" not in message


def test_histories_of_several_runs_keep_their_first_and_last_points(mlflow: Mlflow):
    ids = [mlflow.run(name) for name in ("a", "b")]
    for run in ids:
        points = [point(float(at), step=at) for at in range(100)]
        mlflow.post("runs/log-batch", run_id=run, metrics=points)
    found = mlflow.get(
        "metrics/get-history-bulk-interval", run_ids=ids, metric_key="loss", max_results=10
    )["metrics"]
    for run in ids:
        steps = [one["step"] for one in found if one["run_id"] == run]
        assert (len(steps), steps[0], steps[-1]) == (10, 0, 99)


def test_what_is_not_supported_sends_clients_another_way(mlflow: Mlflow):
    for method, path in (("POST", "mpu/create/0/x"), ("GET", "presigned/0/x")):
        address = f"/api/2.0/mlflow-artifacts/{path}"
        answer = mlflow.http.request(method, address, headers=mlflow.headers)
        assert (answer.status_code, answer.json()["error_code"]) == (501, "NOT_IMPLEMENTED")
