"""What people do with MLflow beyond single calls: flavours, autologging, models loaded back.

`python bench/mlflow_flavour_steps.py URL OUTPUT`, with a Python that has mlflow, scikit-learn,
torch, pandas and ultralytics. Writes, step by step, how long it took and how it ended. A step
proves what it claims: what was logged is read back and compared. The other half is
`mlflow_flavours.py`.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "1"
os.environ["MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL"] = "1"

import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.models import infer_signature
from mlflow.tracking.context.registry import resolve_tags

STEPS: dict[str, Callable[[], None]] = {}
ROWS, COLUMNS = 60, 4
RANDOM = np.random.default_rng(7)
INPUTS = RANDOM.normal(size=(ROWS, COLUMNS))
TARGETS = (INPUTS[:, 0] + INPUTS[:, 1] > 0).astype(int)


class Warnings(logging.Handler):
    """Keeps what MLflow says it could not do: autologging only warns when it fails."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.said.append(record.getMessage())


def step(name: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    def keep(function: Callable[[], None]) -> Callable[[], None]:
        STEPS[name] = function
        return function

    return keep


def linear() -> Any:  # noqa: ANN401 - an estimator of scikit-learn
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit(INPUTS, TARGETS)


@step("sklearn: log a model with signature and input example, load it by its run")
def sklearn_model() -> None:
    model = linear()
    with mlflow.start_run() as run:
        info = mlflow.sklearn.log_model(
            model,
            name="net",
            signature=infer_signature(INPUTS, model.predict(INPUTS)),
            input_example=INPUTS[:3],
        )
    for address in (info.model_uri, f"runs:/{run.info.run_id}/net"):
        loaded = mlflow.sklearn.load_model(address)
        assert (loaded.predict(INPUTS) == model.predict(INPUTS)).all()
    found = mlflow.models.get_model_info(info.model_uri)
    assert found.signature.inputs is not None
    assert found.saved_input_example_info is not None


@step("sklearn: register, name by alias, load by `models:/name@alias` and `models:/name/1`")
def registered() -> None:
    model = linear()
    with mlflow.start_run():
        mlflow.sklearn.log_model(model, name="net", registered_model_name="sorter")
    client = MlflowClient()
    client.set_registered_model_alias("sorter", "staging", 1)
    for address in ("models:/sorter@staging", "models:/sorter/1", "models:/sorter/latest"):
        loaded = mlflow.pyfunc.load_model(address)
        assert (loaded.predict(INPUTS) == model.predict(INPUTS)).all()
    assert client.get_model_version_by_alias("sorter", "staging").version == "1"
    path = mlflow.artifacts.download_artifacts("models:/sorter/1")
    assert (Path(path) / "MLmodel").is_file()


@step("sklearn: `mlflow.register_model` of a run's model, and a copied version")
def register_later() -> None:
    with mlflow.start_run() as run:
        mlflow.sklearn.log_model(linear(), name="net")
    made = mlflow.register_model(f"runs:/{run.info.run_id}/net", "later")
    assert made.version == "1"
    copied = MlflowClient().copy_model_version("models:/later/1", "later-copy")
    assert copied.name == "later-copy"
    assert len(mlflow.pyfunc.load_model("models:/later-copy/1").predict(INPUTS)) == ROWS


@step("`mlflow.autolog()`: a grid search as nested runs")
def grid_search() -> None:
    from sklearn.model_selection import GridSearchCV
    from sklearn.tree import DecisionTreeClassifier

    mlflow.autolog()
    with mlflow.start_run() as run:
        GridSearchCV(DecisionTreeClassifier(), {"max_depth": [1, 2, 3]}, cv=2).fit(INPUTS, TARGETS)
    mlflow.autolog(disable=True)
    children = mlflow.search_runs(
        filter_string=f"tags.`mlflow.parentRunId` = '{run.info.run_id}'", output_format="list"
    )
    assert sorted(child.data.params["max_depth"] for child in children) == ["1", "2", "3"]
    files = {one.path for one in MlflowClient().list_artifacts(run.info.run_id)}
    assert "cv_results.csv" in files, files


@step("sklearn: autolog of a fit, with model, metrics and dataset")
def sklearn_autolog() -> None:
    from sklearn.linear_model import LogisticRegression

    mlflow.sklearn.autolog()
    with mlflow.start_run() as run:
        LogisticRegression(C=0.5).fit(INPUTS, TARGETS)
    mlflow.sklearn.autolog(disable=True)
    found = mlflow.get_run(run.info.run_id)
    assert found.data.params["C"] == "0.5"
    assert "training_accuracy_score" in found.data.metrics
    assert found.inputs.dataset_inputs, "the data set"
    assert found.outputs.model_outputs, "the model"


@step("pytorch: log a module, load it, equal answers")
def pytorch_model() -> None:
    import torch

    module = torch.nn.Sequential(torch.nn.Linear(COLUMNS, 3), torch.nn.ReLU())
    given = torch.as_tensor(INPUTS, dtype=torch.float32)
    expected = module(given).detach()
    with mlflow.start_run():
        info = mlflow.pytorch.log_model(
            module,
            name="torch",
            input_example=given.numpy()[:2],
            registered_model_name="torch-net",
        )
    for address in (info.model_uri, "models:/torch-net/1"):
        assert torch.equal(mlflow.pytorch.load_model(address)(given).detach(), expected)
    answers = mlflow.pyfunc.load_model(info.model_uri).predict(given.numpy())
    assert np.allclose(answers, expected.numpy())


@step("pytorch: autolog of a training with Lightning")
def pytorch_autolog() -> None:
    import importlib.util

    if importlib.util.find_spec("lightning") is None:
        raise NotHere("lightning is not installed")
    import lightning
    import torch

    class Net(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(COLUMNS, 1)

        def training_step(self, batch: Any, _: int) -> Any:  # noqa: ANN401
            loss = torch.nn.functional.mse_loss(self.layer(batch[0])[:, 0], batch[1])
            self.log("loss", loss)
            return loss

        def configure_optimizers(self) -> Any:  # noqa: ANN401
            return torch.optim.SGD(self.parameters(), lr=0.1)

    given = (torch.as_tensor(INPUTS), torch.as_tensor(TARGETS))
    data = torch.utils.data.TensorDataset(*(one.float() for one in given))
    mlflow.pytorch.autolog()
    with mlflow.start_run() as run:
        trainer = lightning.Trainer(
            max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False
        )
        trainer.fit(Net(), torch.utils.data.DataLoader(data, batch_size=20))
    mlflow.pytorch.autolog(disable=True)
    assert "loss" in mlflow.get_run(run.info.run_id).data.metrics


class AddsN(mlflow.pyfunc.PythonModel):
    """A model of one's own: adds what its file says."""

    def load_context(self, context: Any) -> None:  # noqa: ANN401
        """Read the number."""
        self.n = int(Path(context.artifacts["n"]).read_text())

    def predict(self, context: Any, model_input: pd.DataFrame) -> pd.DataFrame:  # noqa: ANN401, ARG002
        """Add it."""
        return model_input + self.n


@step("pyfunc: a model of one's own with a file, input example and parameters")
def pyfunc_model() -> None:
    table = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "n.txt").write_text("5")
        with mlflow.start_run():
            info = mlflow.pyfunc.log_model(
                name="adds",
                python_model=AddsN(),
                artifacts={"n": f"{folder}/n.txt"},
                input_example=table,
                params={"kind": "toy"},
            )
    loaded = mlflow.pyfunc.load_model(info.model_uri)
    assert loaded.predict(table).to_numpy().tolist() == [[6, 8], [7, 9]]
    logged = mlflow.get_logged_model(info.model_id)
    assert logged.params["kind"] == "toy"
    assert str(logged.status) == "READY"


@step("pyfunc: a saved model folder logged as artifacts, loaded by its run")
def model_folder() -> None:
    with tempfile.TemporaryDirectory() as folder:
        mlflow.sklearn.save_model(linear(), f"{folder}/saved")
        with mlflow.start_run() as run:
            mlflow.log_artifacts(f"{folder}/saved", "saved")
    address = f"runs:/{run.info.run_id}/saved"
    assert len(mlflow.pyfunc.load_model(address).predict(INPUTS)) == ROWS


@step("log_text, log_dict, log_table, log_figure, log_image; read back")
def odds_and_ends() -> None:
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots()
    axes.plot([1, 2, 3])
    image = (RANDOM.random((12, 16, 3)) * 255).astype(np.uint8)
    with mlflow.start_run() as run:
        mlflow.log_text("Grüße", "notes/hello.txt")
        mlflow.log_dict({"a": [1, 2]}, "facts.json")
        mlflow.log_dict({"a": [1, 2]}, "facts.yaml")
        mlflow.log_table({"part": ["x", "y"], "ap": [0.5, 0.25]}, "table.json")
        mlflow.log_table({"part": ["z"], "ap": [0.75]}, "table.json")
        mlflow.log_figure(figure, "charts/curve.png")
        mlflow.log_image(image, "still.png")
        for at in range(2):
            mlflow.log_image(image, key="seen", step=at)
        mlflow.log_params({"long": "v" * 500})
    plt.close(figure)
    run_id = run.info.run_id
    assert mlflow.artifacts.load_text(f"runs:/{run_id}/notes/hello.txt") == "Grüße"
    assert mlflow.artifacts.load_dict(f"runs:/{run_id}/facts.json") == {"a": [1, 2]}
    picture = mlflow.artifacts.load_image(f"runs:/{run_id}/still.png")
    assert (np.asarray(picture)[..., :3] == image).all()
    table = mlflow.load_table("table.json", run_ids=[run_id])
    assert table["part"].tolist() == ["x", "y", "z"]
    names = [one.path for one in MlflowClient().list_artifacts(run_id, "images")]
    assert len(names) == 4, names  # a picture and its thumbnail, twice


@step("datasets: from_numpy and from_pandas as inputs, found again by filter")
def datasets() -> None:
    frame = pd.DataFrame(INPUTS, columns=list("abcd")).assign(target=TARGETS)
    numbers = mlflow.data.from_numpy(INPUTS, targets=TARGETS, name="numbers")
    table = mlflow.data.from_pandas(frame, targets="target", name="table")
    with mlflow.start_run() as run:
        mlflow.log_input(numbers, context="training")
        mlflow.log_input(table, context="validation", tags={"line": "A"})
        mlflow.log_inputs([numbers], ["test"], [{}])
    inputs = mlflow.get_run(run.info.run_id).inputs.dataset_inputs
    assert {one.dataset.name for one in inputs} == {"numbers", "table"}
    assert mlflow.data.get_source(inputs[0]) is not None
    found = mlflow.search_runs(
        filter_string="datasets.name = 'table' AND dataset.context = 'validation'",
        output_format="list",
    )
    assert [one.info.run_id for one in found] == [run.info.run_id]


@step("metrics beside a logged model and a dataset; models ranked by them")
def model_metrics() -> None:
    numbers = mlflow.data.from_numpy(INPUTS, name="ranked")
    with mlflow.start_run():
        info = mlflow.sklearn.log_model(linear(), name="ranked")
        mlflow.log_metrics(
            {"ap": 0.7, "odd": float("nan")}, model_id=info.model_id, dataset=numbers
        )
    ranked = mlflow.search_logged_models(
        filter_string="metrics.ap > 0.6",
        order_by=[{"field_name": "metrics.ap", "ascending": False}],
        output_format="list",
    )
    assert ranked[0].model_id == info.model_id
    last = mlflow.last_logged_model()
    assert last is not None


@step("system metrics, sampled each second")
def system_metrics() -> None:
    with mlflow.start_run(log_system_metrics=True) as run:
        time.sleep(3.5)
    found = mlflow.get_run(run.info.run_id).data.metrics
    assert "system/cpu_utilization_percentage" in found, sorted(found)


@step("asynchronous logging, flushed")
def asynchronous() -> None:
    with mlflow.start_run() as run:
        for at in range(50):
            mlflow.log_metric("loss", 1 / (at + 1), step=at, synchronous=False)
        mlflow.log_params({"a": 1}, synchronous=False)
        mlflow.flush_async_logging()
    history = MlflowClient().get_metric_history(run.info.run_id, "loss")
    assert sorted(point.step for point in history) == list(range(50))


@step("traces: a traced function in a run; the run is whole whatever becomes of the trace")
def traces() -> None:
    @mlflow.trace
    def double(x: int) -> int:
        return 2 * x

    with mlflow.start_run() as run:
        assert double(4) == 8
        with mlflow.start_span("inner") as span:
            span.set_inputs({"x": 1})
        mlflow.log_metric("after", 1.0)
    mlflow.flush_trace_async_logging(terminate=False)
    found = mlflow.get_run(run.info.run_id)
    assert found.info.status == "FINISHED"
    assert found.data.metrics["after"] == 1.0


@step("nested runs, resumed runs, a failed run, tags and notes")
def run_lives() -> None:
    with mlflow.start_run(run_name="outer", description="a note", tags={"line": "B"}) as outer:
        with mlflow.start_run(nested=True) as inner:
            mlflow.log_metric("x", 1.0)
        mlflow.set_tags({"stage": "early"})
    with mlflow.start_run(run_id=outer.info.run_id):
        mlflow.log_metric("resumed", 1.0)
    try:
        with mlflow.start_run() as broken:
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    assert mlflow.get_run(broken.info.run_id).info.status == "FAILED"
    assert mlflow.get_parent_run(inner.info.run_id).info.run_id == outer.info.run_id
    found = mlflow.get_run(outer.info.run_id)
    assert found.data.tags["mlflow.note.content"] == "a note"
    assert found.data.metrics["resumed"] == 1.0


@step("paging over everything with MlflowClient")
def paging() -> None:
    client = MlflowClient()
    experiment = client.create_experiment("pages")
    made = {client.create_run(experiment, run_name=f"r{at}").info.run_id for at in range(25)}
    for at in range(7):
        client.create_registered_model(f"page-{at}")
    runs = pages(lambda token: client.search_runs([experiment], max_results=4, page_token=token))
    assert {run.info.run_id for run in runs} == made
    assert len(runs) == 25
    names = [
        one.name
        for one in pages(lambda t: client.search_registered_models(max_results=3, page_token=t))
    ]
    assert {f"page-{at}" for at in range(7)} <= set(names)
    assert len(names) == len(set(names))
    experiments = pages(lambda t: client.search_experiments(max_results=1, page_token=t))
    assert {"pages", "Default"} <= {one.name for one in experiments}
    versions = pages(lambda t: client.search_model_versions(max_results=1, page_token=t))
    assert len({(one.name, one.version) for one in versions}) == len(versions) >= 3
    every = [one.experiment_id for one in experiments]
    models = pages(
        lambda t: client.search_logged_models(every, max_results=2, page_token=t or None)
    )
    assert len({one.model_id for one in models}) == len(models) >= 3


def pages(ask: Callable[[Any], Any]) -> list[Any]:
    found, token = [], None
    while True:
        page = ask(token)
        found += page
        token = page.token
        if not token:
            return found


@step("tidying up: delete and restore runs, models, aliases, artifacts of a run listed")
def tidying() -> None:
    client = MlflowClient()
    with mlflow.start_run() as run:
        mlflow.log_text("x", "a/b/c.txt")
    mlflow.delete_run(run.info.run_id)
    assert client.get_run(run.info.run_id).info.lifecycle_stage == "deleted"
    client.restore_run(run.info.run_id)
    with mlflow.start_run():
        mlflow.sklearn.log_model(linear(), name="net", registered_model_name="gone")
    client.set_registered_model_alias("gone", "staging", 1)
    client.delete_registered_model_alias("gone", "staging")
    client.delete_model_version("gone", 1)
    client.delete_registered_model("gone")
    assert [one.path for one in client.list_artifacts(run.info.run_id, "a/b")] == ["a/b/c.txt"]


@step("Ultralytics' own callback: a YOLO26n training with all metrics, settings and files")
def ultralytics_callback() -> None:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "train.py"
        script.write_text(TRAINING)
        environment = {
            **os.environ,
            "YOLO_CONFIG_DIR": folder,
            "YOLO_OFFLINE": "true",
            "MLFLOW_EXPERIMENT_NAME": "yolo-callback",
            "MLFLOW_RUN": "tiny",
        }
        subprocess.run(
            [sys.executable, "-W", "ignore", str(script)],
            check=True,
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
        )
    experiment = MlflowClient().get_experiment_by_name("yolo-callback")
    run, *_ = MlflowClient().search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED", run.info.status
    assert len(run.data.params) > 100
    client = MlflowClient()
    points = client.get_metric_history(run.info.run_id, "metrics/mAP50B")
    # After the last epoch it logs once more, when the best weights were validated again.
    assert sorted({point.step for point in points}) == [0, 1, 2], points
    top = {one.path for one in client.list_artifacts(run.info.run_id)}
    weights = {one.path for one in client.list_artifacts(run.info.run_id, "weights")}
    assert weights == {"weights/best.pt", "weights/last.pt"}, weights
    assert {"args.yaml", "results.csv"} <= top, top


TRAINING = """
import numpy as np
from pathlib import Path
from PIL import Image
from ultralytics import YOLO, settings

settings.update({"mlflow": True})
random = np.random.default_rng(3)
for split in ("train", "val"):
    for kind in ("images", "labels"):
        Path("data", kind, split).mkdir(parents=True)
    for at in range(4):
        pixels = (random.random((96, 96, 3)) * 255).astype(np.uint8)
        Image.fromarray(pixels).save(f"data/images/{split}/{at}.png")
        Path(f"data/labels/{split}/{at}.txt").write_text("0 0.5 0.5 0.4 0.4")
lines = [f"path: {Path('data').absolute()}", "train: images/train", "val: images/val"]
Path("data.yaml").write_text(chr(10).join([*lines, "names: [part]"]))
YOLO("yolo26n.yaml").train(
    data="data.yaml", epochs=2, imgsz=96, batch=2, device="cpu", workers=0,
    project=str(Path("runs").absolute()), name="tiny",
)
"""


@step("signing in by one variable: `MLFLOW_TRACKING_URI=http://token:TOKEN@host:port`")
def one_variable() -> None:
    url = urllib.parse.urlsplit(mlflow.get_tracking_uri())
    token = os.environ.get("MLFLOW_TRACKING_TOKEN", "any")
    address = f"{url.scheme}://token:{token}@{url.netloc}"
    track_elsewhere({"MLFLOW_TRACKING_URI": address})


@step("signing in by MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD")
def by_password() -> None:
    track_elsewhere(
        {
            "MLFLOW_TRACKING_URI": mlflow.get_tracking_uri(),
            "MLFLOW_TRACKING_USERNAME": "token",
            "MLFLOW_TRACKING_PASSWORD": os.environ.get("MLFLOW_TRACKING_TOKEN", "any"),
        }
    )


def track_elsewhere(settings: dict[str, str]) -> None:
    """Log, send a model and load it, in a program that knows nothing but these settings."""
    known = {name: value for name, value in os.environ.items() if "TRACKING" not in name}
    code = (
        "import mlflow, pathlib\n"
        "with mlflow.start_run() as run:\n"
        "    mlflow.log_metric('x', 1.0)\n"
        "    mlflow.log_text('hello', 'a/b.txt')\n"
        "assert mlflow.artifacts.load_text(f'runs:/{run.info.run_id}/a/b.txt') == 'hello'\n"
        "assert mlflow.get_run(run.info.run_id).data.metrics['x'] == 1.0\n"
    )
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        check=True,
        env={**known, **settings},
        stdout=subprocess.DEVNULL,
    )


class NotHere(Exception):
    """A library is missing, so the step says nothing about the server."""


def main(url: str, output: Path, only: str) -> None:
    mlflow.set_tracking_uri(url)
    resolve_tags()
    mlflow.set_experiment("flavours")
    heard = Warnings()
    logging.getLogger("mlflow").addHandler(heard)
    rows = []
    for name, function in STEPS.items():
        if only not in name:
            continue
        heard.said.clear()
        began = time.monotonic()
        outcome, why = "works", ""
        try:
            function()
        except NotHere as error:
            outcome, why = "left out", str(error)
        except BaseException as error:  # noqa: BLE001 - every step is to say how it ended
            traceback.print_exc()
            outcome, why = "fails", f"{type(error).__name__}: {error}"[:300]
        while mlflow.active_run():
            mlflow.end_run()
        took_s = time.monotonic() - began
        print(f"{outcome:8} {took_s:6.1f} s  {name}  {why}", file=sys.stderr, flush=True)
        said = sorted({one[:300] for one in heard.said})
        rows.append(
            {"name": name, "outcome": outcome, "why": why, "took_s": took_s, "warnings": said}
        )
    output.write_text(json.dumps(rows))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else "")
