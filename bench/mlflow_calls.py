"""The calls that are made to MLflow's server and to Sightloop's, and what went over the wire.

`python bench/mlflow_calls.py URL OUTPUT`, with a Python that has mlflow. Writes, call by call, how
it ended and every request with its answer. The other half is `mlflow_differential.py`.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"

import requests
from mlflow import MlflowClient
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelInput,
    LoggedModelOutput,
    LoggedModelParameter,
    LoggedModelStatus,
    Metric,
    Param,
    RunTag,
    ViewType,
)
from mlflow.exceptions import MlflowException

NAN, INF = float("nan"), float("inf")
T0 = 1_700_000_000_000


class Recorder:
    """Keeps what goes over the wire while a call is made."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.calls: list[dict[str, Any]] = []
        self._exchanges: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        send = requests.Session.send

        def watched(
            session: requests.Session, request: requests.PreparedRequest, **options: object
        ) -> requests.Response:
            answer = send(session, request, **options)
            with self._lock:
                self._exchanges.append(exchange_of(request, answer))
            return answer

        requests.Session.send = watched

    def do(self, name: str, call: Callable[[], Any]) -> Any:  # noqa: ANN401 - as the call
        """Make the call; its result, or None when it was refused."""
        self._exchanges = []
        result, outcome = None, "ok"
        try:
            result = call()
        except MlflowException as error:
            outcome = error.error_code
        except requests.HTTPError as error:
            outcome = f"HTTP {error.response.status_code}"
        self.calls.append({"name": name, "outcome": outcome, "exchanges": self._exchanges})
        return result

    def raw(self, name: str, method: str, path: str, **options: Any) -> None:  # noqa: ANN401
        """Send a request that the client would not send."""
        headers = {}
        if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
            headers["Authorization"] = f"Bearer {token}"
        url = f"{self.url}/api/2.0/{path}"
        self.do(name, lambda: requests.request(method, url, headers=headers, **options))


def exchange_of(request: requests.PreparedRequest, answer: requests.Response) -> dict[str, Any]:
    parts = urlsplit(request.url)
    body = request.body
    if isinstance(body, bytes):
        body = body.decode(errors="replace")
    elif body is not None and not isinstance(body, str):
        body = "<a file>"
    return {
        "method": request.method,
        "path": parts.path,
        "query": parse_qsl(parts.query, keep_blank_values=True),
        "body": body,
        "status": answer.status_code,
        "answer": answer.text,
    }


def make_calls(r: Recorder, c: MlflowClient) -> None:
    experiments(r, c)
    runs(r, c)
    searches(r, c)
    artifacts(r, c)
    logged_models(r, c)
    registry(r, c)
    wrong_requests(r, c)


def experiments(r: Recorder, c: MlflowClient) -> None:
    do = r.do
    do("the default experiment", lambda: c.get_experiment("0"))
    do("an unknown experiment", lambda: c.get_experiment("987654"))
    do("no experiment of that name", lambda: c.get_experiment_by_name("nobody"))
    do("create an experiment", lambda: c.create_experiment("first", tags={"team": "a"}))
    do("create it again", lambda: c.create_experiment("first"))
    do("create one with an empty name", lambda: c.create_experiment(""))
    do("create one with too long a name", lambda: c.create_experiment("n" * 501))
    do("find it by name", lambda: c.get_experiment_by_name("first"))
    do("create a second", lambda: c.create_experiment("second"))
    do("create a third", lambda: c.create_experiment("third", tags={"team": "b", "x y": "z"}))
    do("tag an experiment", lambda: c.set_experiment_tag("1", "stage", "early"))
    do("tag it with too long a text", lambda: c.set_experiment_tag("1", "stage", "v" * 20_001))
    do("take the tag away", lambda: c.delete_experiment_tag("1", "stage"))
    do("take it away again", lambda: c.delete_experiment_tag("1", "stage"))
    do("rename an experiment", lambda: c.rename_experiment("2", "renamed"))
    do("rename it to a taken name", lambda: c.rename_experiment("2", "first"))
    do("delete an experiment", lambda: c.delete_experiment("3"))
    do("delete it again", lambda: c.delete_experiment("3"))
    do("show the deleted one", lambda: c.get_experiment("3"))
    do("create one with its name", lambda: c.create_experiment("third"))
    do("list active experiments", lambda: c.search_experiments())
    do("list deleted ones", lambda: c.search_experiments(view_type=ViewType.DELETED_ONLY))
    do("list all by name", lambda: c.search_experiments(ViewType.ALL, order_by=["name DESC"]))
    do("filter by name", lambda: c.search_experiments(filter_string="name LIKE 'fir%'"))
    do("filter by tag", lambda: c.search_experiments(filter_string="tags.team = 'a'"))
    do("filter them badly", lambda: c.search_experiments(filter_string="name > 'a'"))
    do("order them badly", lambda: c.search_experiments(order_by=["nothing"]))
    page = do("a page of experiments", lambda: c.search_experiments(max_results=2))
    do("the next page", lambda: c.search_experiments(max_results=2, page_token=page.token))
    do("a page of none", lambda: c.search_experiments(max_results=0))
    do("restore an experiment", lambda: c.restore_experiment("3"))
    do("restore it again", lambda: c.restore_experiment("3"))
    do("delete an unknown experiment", lambda: c.delete_experiment("987654"))


def runs(r: Recorder, c: MlflowClient) -> None:
    do = r.do
    run = do("begin a run", lambda: c.create_run("1", T0, {"line": "x"}, run_name="one"))
    run_id = run.info.run_id
    do("begin one in no experiment", lambda: c.create_run("987654", T0, run_name="none"))
    do("show a run", lambda: c.get_run(run_id))
    do("show an unknown run", lambda: c.get_run("0" * 32))
    do("log a parameter", lambda: c.log_param(run_id, "lr", 0.1))
    do("log it again", lambda: c.log_param(run_id, "lr", 0.1))
    do("log another value for it", lambda: c.log_param(run_id, "lr", 0.2))
    other = do("begin another run", lambda: c.create_run("1", T0, run_name="odd")).info.run_id
    do("log too long a parameter", lambda: c.log_param(other, "long", "v" * 6001))
    do("set too long a tag", lambda: c.set_tag(other, "long", "v" * 8001))
    do("what was kept of them", lambda: c.get_run(other))
    do("log infinity", lambda: c.log_metric(other, "odd", INF, timestamp=T0 + 1, step=2))
    do("log minus infinity", lambda: c.log_metric(other, "low", -INF, timestamp=T0, step=0))
    do("the history of infinity", lambda: c.get_metric_history(other, "odd"))
    do("a batch of infinities", lambda: c.log_batch(other, [Metric("odd", INF, T0 + 1, 2)] * 2))
    do("log a parameter with a bad name", lambda: c.log_param(run_id, "a//b", "1"))
    do("log a parameter with too long a name", lambda: c.log_param(run_id, "k" * 251, "1"))
    do("log to an unknown run", lambda: c.log_param("0" * 32, "lr", "1"))
    do("log a point", lambda: c.log_metric(run_id, "loss", 0.5, timestamp=T0, step=1))
    do("log it again", lambda: c.log_metric(run_id, "loss", 0.5, timestamp=T0, step=1))
    do("log not a number", lambda: c.log_metric(run_id, "odd", NAN, timestamp=T0, step=1))
    do("log a negative step", lambda: c.log_metric(run_id, "early", 1.5, timestamp=T0, step=-3))
    do("log with a bad name", lambda: c.log_metric(run_id, "a?b", 1.0, timestamp=T0, step=0))
    do(
        "log a name with spaces",
        lambda: c.log_metric(run_id, "val/m AP 50", 1, timestamp=T0, step=0),
    )
    points = [Metric("acc", at / 10, T0 + at, at) for at in range(5)]
    batch = (points, [Param("epochs", "3"), Param("opt", "sgd")], [RunTag("who", "me")])
    do("log a batch", lambda: c.log_batch(run_id, *batch))
    do("log the batch again", lambda: c.log_batch(run_id, *batch))
    many = [Metric("many", 1.0, T0, at) for at in range(1001)]
    r.raw(
        *("log too many points", "POST", "mlflow/runs/log-batch"),
        json={"run_id": run_id, "metrics": [dict(m) for m in many]},
    )
    tags = [{"key": f"t{at}", "value": "v"} for at in range(101)]
    r.raw(
        "log too many tags", "POST", "mlflow/runs/log-batch", json={"run_id": run_id, "tags": tags}
    )
    params = [{"key": "p", "value": "1"}, {"key": "p", "value": "2"}]
    r.raw(
        "log one name twice",
        "POST",
        "mlflow/runs/log-batch",
        json={"run_id": run_id, "params": params},
    )
    changed = [{"key": "lr", "value": "9"}, {"key": "fresh", "value": "1"}]
    r.raw(
        "a batch that changes",
        "POST",
        "mlflow/runs/log-batch",
        json={"run_id": run_id, "params": changed},
    )
    do("nothing of it was kept", lambda: c.get_run(run_id))
    do("set a tag", lambda: c.set_tag(run_id, "mood", "good"))
    do("set it otherwise", lambda: c.set_tag(run_id, "mood", "better"))
    do("take a tag away", lambda: c.delete_tag(run_id, "mood"))
    do("take it away again", lambda: c.delete_tag(run_id, "mood"))
    dataset = Dataset("parts", "d1", "local", "{}", schema="{}", profile="{}")
    given = DatasetInput(dataset, [InputTag("mlflow.data.context", "train")])
    do("log a data set", lambda: c.log_inputs(run_id, [given]))
    do("log it again", lambda: c.log_inputs(run_id, [given]))
    do("the history of a metric", lambda: c.get_metric_history(run_id, "acc"))
    do("the history with odd values", lambda: c.get_metric_history(run_id, "odd"))
    do("the history of nothing", lambda: c.get_metric_history(run_id, "nothing"))
    do("rename a run", lambda: c.update_run(run_id, name="uno"))
    do("end a run", lambda: c.set_terminated(run_id, "FINISHED", T0 + 9000))
    do("log after the end", lambda: c.log_metric(run_id, "late", 1.0, timestamp=T0, step=0))
    do("show everything", lambda: c.get_run(run_id))
    do("delete a run", lambda: c.delete_run(run_id))
    do("delete it again", lambda: c.delete_run(run_id))
    do("log to the deleted run", lambda: c.log_metric(run_id, "loss", 0.1, timestamp=T0, step=3))
    do("show the deleted run", lambda: c.get_run(run_id))
    do("restore a run", lambda: c.restore_run(run_id))
    do("restore it again", lambda: c.restore_run(run_id))
    histories = {"run_ids": run_id, "metric_key": "acc", "max_results": 3}
    r.raw("sampled histories", "GET", "mlflow/metrics/get-history-bulk-interval", params=histories)
    r.raw(
        *("sampled histories of a range", "GET", "mlflow/metrics/get-history-bulk-interval"),
        params=histories | {"start_step": 1, "end_step": 3, "max_results": 100},
    )
    r.raw(
        *("a range without an end", "GET", "mlflow/metrics/get-history-bulk-interval"),
        params=histories | {"start_step": 1},
    )


def searches(r: Recorder, c: MlflowClient) -> None:
    do = r.do
    for at, (name, loss) in enumerate([("b", 0.3), ("a", 0.1), ("c", NAN), ("d", None)]):
        run = do(f"run {name}", lambda: c.create_run("2", T0 + at, {"line": name}, run_name=name))  # noqa: B023
        run_id = run.info.run_id
        if loss is not None:
            do(f"loss of {name}", lambda: c.log_metric(run_id, "loss", loss, T0, 1))  # noqa: B023
        if at % 2:
            do(f"parameter of {name}", lambda: c.log_param(run_id, "size", f"{at}"))  # noqa: B023
    find = lambda name, text="", **more: do(name, lambda: c.search_runs(["2"], text, **more))  # noqa: E731
    find("find all runs")
    find("runs by metric", "metrics.loss < 0.2")
    find("runs by unequal metric", "metrics.loss != 0.1")
    find("runs by parameter", "params.size = '1'")
    find("runs by pattern", "params.size LIKE '%3%'")
    find("runs by tag", "tags.line ILIKE 'A'")
    find("runs without a tag", "tags.nothing IS NULL")
    find("runs with a tag", "tags.line IS NOT NULL")
    find("runs by name", "attributes.run_name = 'a'")
    find("runs by state", "attributes.status = 'RUNNING'")
    find("runs by several", "metrics.loss > 0.05 AND tags.line = 'a' and run_name = 'a'")
    find("runs by start", f"attributes.start_time > {T0 + 1}")
    find("runs by names", "attributes.run_name IN ('a', 'b')")
    find("runs not by names", "attributes.run_name NOT IN ('a', 'b')")
    find("runs by user", "attributes.user_id != 'nobody'")
    find("runs by quoted key", "metrics.`loss` >= 0.3")
    find("runs by data set", "datasets.name = 'parts'")
    find("runs by address", "attributes.artifact_uri LIKE '%artifacts'")
    find("runs joined by OR", "metrics.loss < 1 OR metrics.loss > 2")
    find("runs by a metric as text", "metrics.loss = 'x'")
    find("runs by a parameter as number", "params.size = 1")
    find("runs by an unknown attribute", "attributes.weight = 'x'")
    find("runs by an unknown entity", "weights.loss = 1")
    find("runs by LIKE on a metric", "metrics.loss LIKE 'a'")
    find("runs by half a condition", "metrics.loss >")
    find("runs by nonsense", "what is this")
    find("runs by metric, sorted", order_by=["metrics.loss ASC"])
    find("runs by metric, down", order_by=["metrics.loss DESC"])
    find("runs by parameter, sorted", order_by=["params.size ASC"])
    find("runs by name, sorted", order_by=["attributes.run_name DESC"])
    find("runs sorted by two", order_by=["tags.line DESC", "metrics.loss"])
    find("runs sorted badly", order_by=["metrics.loss UP"])
    page = find("a page of runs", max_results=3, order_by=["run_name"])
    find("the next page of runs", max_results=3, order_by=["run_name"], page_token=page.token)
    find("too large a page of runs", max_results=50_001)
    find("a bad page token", page_token="not a token")
    do("deleted runs", lambda: c.search_runs(["1", "2"], run_view_type=ViewType.DELETED_ONLY))
    do("runs of nowhere", lambda: c.search_runs([]))


def artifacts(r: Recorder, c: MlflowClient) -> None:
    do = r.do
    run = do("a run for files", lambda: c.create_run("1", T0, run_name="files"))
    run_id = run.info.run_id
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "a.txt"
        file.write_text("hello")
        do("send a file", lambda: c.log_artifact(run_id, str(file)))
        do("send it into a folder", lambda: c.log_artifact(run_id, str(file), "deep/er"))
        do("list files", lambda: c.list_artifacts(run_id))
        do("list a folder", lambda: c.list_artifacts(run_id, "deep"))
        do("list what is not there", lambda: c.list_artifacts(run_id, "nothing"))
        do("list above", lambda: c.list_artifacts(run_id, "../other"))
        do("fetch a file", lambda: c.download_artifacts(run_id, "a.txt", folder))
    below = f"mlflow-artifacts/artifacts/1/{run_id}/artifacts"
    r.raw("fetch what is not there", "GET", f"{below}/nothing.txt")
    r.raw("fetch above", "GET", "mlflow-artifacts/artifacts/1/%2e%2e/%2e%2e/etc/passwd")
    r.raw("send above", "PUT", f"{below}/%2e%2e/%2e%2e/x", data=b"x")
    r.raw("remove a file", "DELETE", f"{below}/a.txt")
    do("it is gone", lambda: c.list_artifacts(run_id))
    do("files of an unknown run", lambda: c.list_artifacts("0" * 32))


def logged_models(r: Recorder, c: MlflowClient) -> None:
    do = r.do
    run = do("a run for models", lambda: c.create_run("1", T0, run_name="models"))
    run_id = run.info.run_id
    first = do(
        "log a model",
        lambda: c.create_logged_model(
            *("1", "net", run_id), tags={"kind": "x"}, params={"depth": "3"}, model_type="vision"
        ),
    )
    model = first.model_id
    do("log one without a run", lambda: c.create_logged_model("1", "lonely"))
    do("log one with a bad name", lambda: c.create_logged_model("1", "a/b"))
    do("log one in no experiment", lambda: c.create_logged_model("987654", "x"))
    do("the run made the model", lambda: c.log_outputs(run_id, [LoggedModelOutput(model, 2)]))
    do("a run uses the model", lambda: c.log_inputs(run_id, models=[LoggedModelInput(model)]))
    do("its run", lambda: c.get_run(run_id))
    do(
        "measure the model",
        lambda: c.log_metric(
            *(run_id, "ap", 0.7, T0, 5), model_id=model, dataset_name="parts", dataset_digest="d1"
        ),
    )
    do(
        "measure it without a data set",
        lambda: c.log_metric(run_id, "f1", 0.5, T0, 5, model_id=model),
    )
    extra = [LoggedModelParameter("width", "8")]
    store = c._tracking_client.store  # noqa: SLF001 - the client has no call for it
    do("give parameters", lambda: store.log_logged_model_params(model, extra))
    do("finish the model", lambda: c.finalize_logged_model(model, LoggedModelStatus.READY))
    do("show the model", lambda: c.get_logged_model(model))
    do("show an unknown model", lambda: c.get_logged_model("m-" + "0" * 32))
    do("tag the model", lambda: c.set_logged_model_tags(model, {"kind": "y", "more": "z"}))
    do("take its tag away", lambda: c.delete_logged_model_tag(model, "more"))
    do("take it away again", lambda: c.delete_logged_model_tag(model, "more"))
    find = lambda name, text=None, **more: do(  # noqa: E731
        name, lambda: c.search_logged_models(["1"], text, **more)
    )
    find("find all models")
    find("models by metric", "metrics.ap > 0.5")
    find("models by parameter", "params.depth = '3'")
    find("models by tag", "tags.kind = 'y'")
    find("models by name", "name = 'net'")
    find("models by status", "status = 'READY'")
    find("models by type", "model_type IN ('vision')")
    find("models by run", f"source_run_id = '{run_id}'")
    find(
        "models by data set",
        "metrics.ap > 0.5",
        datasets=[{"dataset_name": "parts", "dataset_digest": "d1"}],
    )
    find("models by another data set", "metrics.ap > 0.5", datasets=[{"dataset_name": "no"}])
    find("models sorted by metric", order_by=[{"field_name": "metrics.ap", "ascending": False}])
    find("models sorted by name", order_by=[{"field_name": "name"}])
    find("models sorted badly", order_by=[{"field_name": "weight"}])
    find("models by bad filter", "name > 'a'")
    page = find("a page of models", max_results=1, order_by=[{"field_name": "name"}])
    find(
        "the next page of models",
        max_results=1,
        order_by=[{"field_name": "name"}],
        page_token=page.token,
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "MLmodel"
        file.write_text("flavors: {}")
        do("send a file of the model", lambda: c.log_model_artifact(model, str(file)))
    do("list its files", lambda: c.list_logged_model_artifacts(model))
    legacy = {
        "artifact_path": "m",
        "flavors": {"a": {}},
        "utc_time_created": "now",
        "run_id": run_id,
    }
    old = {"run_id": run_id, "model_json": json.dumps(legacy)}
    r.raw("log a model as old clients do", "POST", "mlflow/runs/log-model", json=old)
    lacking = {"run_id": run_id, "model_json": "{}"}
    r.raw("log one that lacks facts", "POST", "mlflow/runs/log-model", json=lacking)
    do("delete a model", lambda: c.delete_logged_model(model))
    do("show the deleted model", lambda: c.get_logged_model(model))


def registry(r: Recorder, c: MlflowClient) -> None:
    do = r.do
    run = do("a run to register", lambda: c.create_run("1", T0, run_name="registered"))
    run_id = run.info.run_id
    address = f"mlflow-artifacts:/1/{run_id}/artifacts"
    do("register a name", lambda: c.create_registered_model("iris", {"a": "1"}, "flowers"))
    do("register it again", lambda: c.create_registered_model("iris"))
    do("register a bad name", lambda: c.create_registered_model("a/b"))
    do("register an empty name", lambda: c.create_registered_model(" "))
    do("register a name with spaces", lambda: c.create_registered_model("My Model 2.0"))
    do("show a registered model", lambda: c.get_registered_model("iris"))
    do("show an unknown one", lambda: c.get_registered_model("nobody"))
    do("describe it", lambda: c.update_registered_model("iris", "many flowers"))
    do("tag it", lambda: c.set_registered_model_tag("iris", "b", "2"))
    do("take its tag away", lambda: c.delete_registered_model_tag("iris", "b"))
    do("take it away again", lambda: c.delete_registered_model_tag("iris", "b"))
    do("tag an unknown one", lambda: c.set_registered_model_tag("nobody", "b", "2"))
    do("register a version", lambda: c.create_model_version("iris", f"{address}/m", run_id))
    do(
        "register another",
        lambda: c.create_model_version(
            "iris", f"{address}/n", run_id, {"t": "1"}, description="two"
        ),
    )
    do("register one elsewhere", lambda: c.create_model_version("iris", "s3://bucket/m"))
    do("a version of nothing", lambda: c.create_model_version("nobody", f"{address}/m", run_id))
    version = {"name": "iris", "source": "/etc/passwd"}
    r.raw("a version at a local path", "POST", "mlflow/model-versions/create", json=version)
    version = {"name": "iris", "source": f"{address}/../../x", "run_id": run_id}
    r.raw("a version that leads elsewhere", "POST", "mlflow/model-versions/create", json=version)
    version = {"name": "iris", "source": address}
    r.raw("a version without its run", "POST", "mlflow/model-versions/create", json=version)
    made = do("log a model to register", lambda: c.create_logged_model("1", "flower", run_id))
    do(
        "register a logged model",
        lambda: c.create_model_version(
            "iris", f"models:/{made.model_id}", run_id, model_id=made.model_id
        ),
    )
    do("show a version", lambda: c.get_model_version("iris", "2"))
    do("show an unknown version", lambda: c.get_model_version("iris", "99"))
    do("show a version that is no number", lambda: c.get_model_version("iris", "two"))
    do("describe a version", lambda: c.update_model_version("iris", "1", "the first"))
    do("tag a version", lambda: c.set_model_version_tag("iris", "1", "k", "v"))
    do("take a version's tag away", lambda: c.delete_model_version_tag("iris", "1", "k"))
    do("where it is", lambda: c.get_model_version_download_uri("iris", "1"))
    do("where the logged one is", lambda: c.get_model_version_download_uri("iris", "4"))
    do("point an alias", lambda: c.set_registered_model_alias("iris", "best", "2"))
    do("point it elsewhere", lambda: c.set_registered_model_alias("iris", "best", "1"))
    do("point it nowhere", lambda: c.set_registered_model_alias("iris", "best", "99"))
    do("point a bad alias", lambda: c.set_registered_model_alias("iris", "a b", "1"))
    do("point a reserved alias", lambda: c.set_registered_model_alias("iris", "v3", "1"))
    do("follow an alias", lambda: c.get_model_version_by_alias("iris", "best"))
    do("follow an unknown alias", lambda: c.get_model_version_by_alias("iris", "nothing"))
    do("the model with its alias", lambda: c.get_registered_model("iris"))
    do("take an alias away", lambda: c.delete_registered_model_alias("iris", "best"))
    do("take the alias away again", lambda: c.delete_registered_model_alias("iris", "best"))
    do("move to a stage", lambda: c.transition_model_version_stage("iris", "1", "Staging"))
    do(
        "move another there",
        lambda: c.transition_model_version_stage(
            "iris", "2", "staging", archive_existing_versions=True
        ),
    )
    do("move to no stage", lambda: c.transition_model_version_stage("iris", "1", "Nowhere"))
    do("the newest of each stage", lambda: c.get_latest_versions("iris"))
    do("the newest in a stage", lambda: c.get_latest_versions("iris", ["Staging"]))
    do("all registered models", lambda: c.search_registered_models())
    do("models by their name", lambda: c.search_registered_models("name = 'iris'"))
    do("models by pattern", lambda: c.search_registered_models("name ILIKE 'MY%'"))
    do("registered by tag", lambda: c.search_registered_models("tags.a = '1'"))
    do("registered, sorted", lambda: c.search_registered_models(order_by=["name DESC"]))
    do("registered by bad filter", lambda: c.search_registered_models("weight = 'x'"))
    page = do("a page of registered", lambda: c.search_registered_models(max_results=1))
    do(
        "the next page of registered",
        lambda: c.search_registered_models(max_results=1, page_token=page.token),
    )
    order = ["version_number ASC"]
    find = lambda name, text, **more: do(  # noqa: E731
        name, lambda: c.search_model_versions(text, order_by=order, **more)
    )
    find("versions by name", "name = 'iris'")
    find("versions by run", f"run_id = '{run_id}'")
    find("versions by runs", f"run_id IN ('{run_id}', 'x')")
    find("versions by source", "source_path LIKE 's3%'")
    find("versions by tag", "tags.t = '1'")
    find("versions by number", "version_number > 2")
    find("versions by bad filter", "weight = 'x'")
    page = find("a page of versions", "name = 'iris'", max_results=3)
    find("the next page of versions", "name = 'iris'", max_results=3, page_token=page.token)
    do("delete a version", lambda: c.delete_model_version("iris", "3"))
    do("show the deleted version", lambda: c.get_model_version("iris", "3"))
    do("its number stays taken", lambda: c.create_model_version("iris", f"{address}/o", run_id))
    do("rename a registered model", lambda: c.rename_registered_model("iris", "lily"))
    do("rename it to a taken one", lambda: c.rename_registered_model("lily", "My Model 2.0"))
    do("its version under the new name", lambda: c.get_model_version("lily", "2"))
    do("a version of another", lambda: c.create_model_version("My Model 2.0", "s3://bucket/x"))
    do(
        "point the champion",
        lambda: c.set_registered_model_alias("My Model 2.0", "champion", "1"),
    )
    do("delete a registered model", lambda: c.delete_registered_model("lily"))
    do("show the deleted one now", lambda: c.get_registered_model("lily"))


def wrong_requests(r: Recorder, c: MlflowClient) -> None:
    r.raw("a body that is not JSON", "POST", "mlflow/runs/create", data=b"{")
    r.raw("a body that is a list", "POST", "mlflow/runs/create", json=[1])
    r.raw("a run that is not named", "GET", "mlflow/runs/get")
    r.raw("a number where text belongs", "POST", "mlflow/experiments/create", json={"name": 5})
    r.raw("a name that is missing", "POST", "mlflow/experiments/create", json={})
    metric = {"run_id": "0" * 32, "key": "k", "value": "what", "timestamp": 1}
    r.raw("a value that is no number", "POST", "mlflow/runs/log-metric", json=metric)
    r.raw("a point without a value", "POST", "mlflow/runs/log-metric", json={"run_id": "0" * 32})
    r.raw("a batch of no run", "POST", "mlflow/runs/log-batch", json={"metrics": []})
    extra = {"name": "with more", "weight": 3}
    r.raw("a field nobody knows", "POST", "mlflow/experiments/create", json=extra)
    bad = {"experiment_ids": ["0"], "max_results": "many"}
    r.raw("a size that is no number", "POST", "mlflow/runs/search", json=bad)
    view = {"experiment_ids": ["0"], "run_view_type": "SOME"}
    r.raw("a view nobody knows", "POST", "mlflow/runs/search", json=view)
    finished_runs(r, c)
    wrong_values(r, c)
    wrong_filters(r, c)
    wrong_files(r, c)
    r.raw("an address nobody knows", "GET", "mlflow/nothing/here")
    r.raw("another method", "GET", "mlflow/runs/create")
    r.raw(
        *("tags that are texts", "POST", "mlflow/runs/create"),
        json={"experiment_id": "0", "tags": ["a"]},
    )


def finished_runs(r: Recorder, c: MlflowClient) -> None:
    """What is logged after the end, and ends that are none."""
    run = r.do("a run that ends", lambda: c.create_run("0", T0, run_name="ended")).info.run_id
    r.do("end it", lambda: c.set_terminated(run, end_time=T0 + 5))
    r.do("a parameter after the end", lambda: c.log_param(run, "late", 1))
    r.do("a tag after the end", lambda: c.set_tag(run, "late", "1"))
    r.do("a batch after the end", lambda: c.log_batch(run, [Metric("late", 1.0, T0, 0)]))
    r.do("end it again, earlier", lambda: c.set_terminated(run, "FAILED", end_time=T0 - 5))
    r.do("what became of it", lambda: c.get_run(run))
    status = {"run_id": run, "status": "SLEEPING"}
    r.raw("a state nobody knows", "POST", "mlflow/runs/update", json=status)
    r.raw("an update of nothing", "POST", "mlflow/runs/update", json={"run_id": run})
    early = {"run_id": run, "status": "FINISHED", "end_time": -1}
    r.raw("an end before time began", "POST", "mlflow/runs/update", json=early)


def wrong_values(r: Recorder, c: MlflowClient) -> None:
    """Kinds of values that the client would not send."""
    run = r.do(
        "a run for odd values", lambda: c.create_run("0", T0, run_name="odd values")
    ).info.run_id
    point = {"run_id": run, "key": "k", "timestamp": T0}
    for name, value in (
        ("a point that is true", True),
        ("a point that is null", None),
        ("a point that is a list", [1]),
        ("a point that is a number as text", "0.5"),
        ("a point that is NaN as text", "NaN"),
        ("a point that is minus infinity as text", "-Infinity"),
        ("a point of great size", 1e308),
    ):
        r.raw(name, "POST", "mlflow/runs/log-metric", json={**point, "value": value})
    bad = {**point, "value": 1.0}
    r.raw(
        *("a step that is text", "POST", "mlflow/runs/log-metric"),
        json={**bad, "step": "first"},
    )
    r.raw(
        *("a step with a fraction", "POST", "mlflow/runs/log-metric"),
        json={**bad, "step": 1.5},
    )
    r.raw(
        *("a time that is text", "POST", "mlflow/runs/log-metric"),
        json={**bad, "timestamp": "noon"},
    )
    r.raw("a key that is empty", "POST", "mlflow/runs/log-metric", json={**bad, "key": ""})
    r.raw(
        *("a tag without a value", "POST", "mlflow/runs/set-tag"),
        json={"run_id": run, "key": "t"},
    )
    r.raw(
        *("a parameter that is a number", "POST", "mlflow/runs/log-parameter"),
        json={"run_id": run, "key": "p", "value": 3},
    )
    r.raw(
        *("a batch that is no list", "POST", "mlflow/runs/log-batch"),
        json={"run_id": run, "metrics": {"k": 1}},
    )
    r.raw("a run of an experiment in words", "POST", "mlflow/runs/create", json=_IN_WORDS)
    r.do("a tag with too long a key", lambda: c.set_tag(run, "k" * 251, "v"))
    r.do("a metric with too long a key", lambda: c.log_metric(run, "k" * 251, 1.0, T0, 0))
    r.do("what was kept of odd values", lambda: c.get_run(run))


_IN_WORDS = {"experiment_id": "first"}


def wrong_filters(r: Recorder, c: MlflowClient) -> None:
    """Filters that cannot be read, each in another place."""
    for name, text in (
        ("a filter without its value", "metrics.loss >"),
        ("a filter with an open quote", "tags.line = 'a"),
        ("a filter with a wrong word", "metrics.loss is 3"),
        ("a filter in parentheses", "(metrics.loss > 1)"),
        ("a filter with two ANDs", "metrics.loss > 1 AND AND metrics.ap > 2"),
        ("a filter that ends in AND", "metrics.loss > 1 AND"),
        ("a filter of a comma", "metrics.loss > 1, metrics.ap > 2"),
        ("a filter by a bad time", "attributes.start_time > 'noon'"),
        ("a filter of a list on a metric", "metrics.loss IN (1, 2)"),
    ):
        r.do(name, lambda text=text: c.search_runs(["0"], text))
    r.do("an order by nothing", lambda: c.search_runs(["0"], order_by=[""]))
    r.do("an order by a bad word", lambda: c.search_runs(["0"], order_by=["metrics.a SIDEWAYS"]))


def wrong_files(r: Recorder, c: MlflowClient) -> None:
    """Names of files that lead elsewhere."""
    run = r.do(
        "a run for odd files", lambda: c.create_run("0", T0, run_name="odd files")
    ).info.run_id
    at = f"mlflow-artifacts/artifacts/0/{run}/artifacts"
    r.raw("a file above the rest", "PUT", f"{at}/%2e%2e/%2e%2e/x", data=b"x")
    r.raw("a file far above", "PUT", "mlflow-artifacts/artifacts/%2e%2e/x", data=b"x")
    r.raw("a file at the root", "PUT", f"{at}/%2Fetc%2Fpasswd", data=b"x")
    r.raw("a file of another name in code", "PUT", f"{at}/a%252e%252e%2Fx", data=b"x")
    r.raw("a folder above the rest", "GET", f"mlflow/artifacts/list?run_id={run}&path=../..")
    r.raw("a folder at the root", "GET", f"mlflow/artifacts/list?run_id={run}&path=/etc")
    r.raw("fetch from above", "GET", f"{at}/%2e%2e/%2e%2e/%2e%2e/mlflow.db")
    r.raw("remove from above", "DELETE", f"{at}/%2e%2e/x")


def main(url: str, output: Path) -> None:
    recorder = Recorder(url)
    make_calls(recorder, MlflowClient(url, url))
    output.write_text(json.dumps(recorder.calls))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
