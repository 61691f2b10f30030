"""Logged models, registered models, their versions and aliases over HTTP."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar.testing import TestClient

from sightloop.contracts.bundle import BundleFile
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Workspace
from sightloop.registry import store
from sightloop.registry.values import ModelName, ModelVersion
from sightloop.server.app import build_app
from sightloop.testing.workspaces import place_database
from sightloop.wiring import create_workspace, ensure_token
from tests.server.mlflow.wire import Mlflow

DIGEST = Digest("sha256:" + "0" * 64)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    opened = create_workspace(place_database(tmp_path), {})
    yield opened
    opened.db.close()


@pytest.fixture
def mlflow(workspace: Workspace) -> Iterator[Mlflow]:
    """Names of models are few, so each test has a registry of its own."""
    with TestClient(build_app(workspace)) as http:
        yield Mlflow(http, ensure_token(workspace))


def pack(workspace: Workspace, model: str, run: str) -> ModelVersion:
    """A version with a bundle, as packaging leaves it."""
    with workspace.db.write() as tx:
        return store.add_version(
            tx,
            model=ModelName(model),
            bundle=Digest("sha256:" + run[-8:].encode().hex().rjust(64, "0")),
            files=[BundleFile("model.onnx", DIGEST, 1)],
            run=run,
            dataset_commit=DIGEST,
            now_ms=7,
        )


def register(mlflow: Mlflow, name: str = "iris", source: str = "s3://bucket/m") -> str:
    made = mlflow.post("model-versions/create", name=name, source=source)
    version: str = made["model_version"]["version"]
    return version


def point_alias(mlflow: Mlflow, alias: str, version: str, name: str = "iris") -> object:
    body = {"name": name, "alias": alias, "version": version}
    return mlflow.send("POST", "registered-models/alias", json=body)


def test_a_logged_model_is_pending_until_its_files_have_come(mlflow: Mlflow):
    model = mlflow.model(params=[{"key": "depth", "value": "3"}])
    shown = mlflow.get(f"logged-models/{model}")["model"]
    assert shown["info"]["status"] == "LOGGED_MODEL_PENDING"
    assert shown["data"] == {"params": [{"key": "depth", "value": "3"}]}
    mlflow.patch(f"logged-models/{model}", model_id=model, status="LOGGED_MODEL_READY")
    assert mlflow.get(f"logged-models/{model}")["model"]["info"]["status"] == "LOGGED_MODEL_READY"


def test_what_a_run_measures_of_a_model_is_told_by_both(mlflow: Mlflow):
    run, model = mlflow.run(), mlflow.model()
    facts = {"key": "ap", "value": "NaN", "timestamp": 5, "step": 1, "model_id": model}
    for _ in range(2):
        mlflow.post("runs/log-metric", run_id=run, dataset_name="parts", **facts)
    (point,) = mlflow.get(f"logged-models/{model}")["model"]["data"]["metrics"]
    assert (point["value"], point["run_id"], point["dataset_name"]) == ("NaN", run, "parts")
    assert mlflow.get("runs/get", run_id=run)["run"]["data"]["metrics"][0]["key"] == "ap"


def test_a_point_of_an_unknown_model_is_refused_with_everything_beside_it(mlflow: Mlflow):
    run = mlflow.run()
    metric = {"key": "ap", "value": 1, "timestamp": 5, "model_id": "m-nobody"}
    body = {"run_id": run, "metrics": [metric], "tags": [{"key": "a", "value": "b"}]}
    assert mlflow.refused("POST", "runs/log-batch", json=body)[:2] == (
        404,
        "RESOURCE_DOES_NOT_EXIST",
    )
    assert "metrics" not in mlflow.get("runs/get", run_id=run)["run"]["data"]


def test_a_deleted_model_is_shown_to_those_who_ask_for_deleted_ones(mlflow: Mlflow):
    model = mlflow.model()
    mlflow.delete(f"logged-models/{model}")
    assert mlflow.refused("GET", f"logged-models/{model}")[:2] == (404, "RESOURCE_DOES_NOT_EXIST")
    assert mlflow.get(f"logged-models/{model}", allow_deleted="true")
    assert mlflow.post("logged-models/search", experiment_ids=["0"]) == {}


def test_numbers_count_through_versions_of_both_kinds(workspace: Workspace, mlflow: Mlflow):
    first = pack(workspace, "pcb", mlflow.run())
    second = register(mlflow, "pcb")
    third = pack(workspace, "pcb", mlflow.run())
    mlflow.delete("model-versions/delete", name="pcb", version=second)
    fourth = register(mlflow, "pcb")
    assert (first.number, second, third.number, fourth) == (1, "2", 3, "4")


def test_a_packaged_version_shows_its_run_bundle_and_alias(workspace: Workspace, mlflow: Mlflow):
    run = mlflow.run()
    version = pack(workspace, "pcb", run)
    assert point_alias(mlflow, "candidate", "1", "pcb").status_code == 200
    shown = mlflow.get("registered-models/alias", name="pcb", alias="candidate")["model_version"]
    assert (shown["run_id"], shown["aliases"]) == (run, ["candidate"])
    assert shown["source"] == f"mlflow-artifacts:/0/{run}/artifacts"
    assert {"key": "sightloop.bundle", "value": version.bundle} in shown["tags"]
    found = mlflow.get("model-versions/search", filter=f"run_id = '{run}'")["model_versions"]
    assert [one["version"] for one in found] == ["1"]


@pytest.mark.parametrize("is_packaged", [True, False])
def test_champion_takes_nothing_that_passed_no_gate(
    workspace: Workspace, mlflow: Mlflow, is_packaged: bool
):
    if is_packaged:
        pack(workspace, "iris", mlflow.run())
    else:
        mlflow.post("registered-models/create", name="iris")
        register(mlflow)
    body = {"name": "iris", "alias": "champion", "version": "1"}
    status, code, message = mlflow.refused("POST", "registered-models/alias", json=body)
    assert (status, code) == (400, "INVALID_STATE")
    assert "iris@1 cannot become champion" in message
    assert "gate" in message
    assert "aliases" not in mlflow.get("registered-models/get", name="iris")["registered_model"]


@pytest.mark.parametrize("alias", ["Champion", "v1", "latest", "1", "a b", ""])
def test_an_alias_that_could_be_taken_for_something_else_is_refused(mlflow: Mlflow, alias: str):
    mlflow.post("registered-models/create", name="iris")
    register(mlflow)
    answer = point_alias(mlflow, alias, "1")
    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


def test_what_was_packaged_is_neither_renamed_nor_deleted(workspace: Workspace, mlflow: Mlflow):
    pack(workspace, "pcb", mlflow.run())
    for method, path, body in (
        ("DELETE", "registered-models/delete", {"name": "pcb"}),
        ("DELETE", "model-versions/delete", {"name": "pcb", "version": "1"}),
        ("POST", "registered-models/rename", {"name": "pcb", "new_name": "board"}),
    ):
        status, code, message = mlflow.refused(method, path, json=body)
        assert (status, code) == (400, "INVALID_STATE")
        assert "has a bundle" in message
        assert "[REG-052]" in message


def test_an_alias_of_a_deleted_version_is_gone(mlflow: Mlflow):
    mlflow.post("registered-models/create", name="iris")
    point_alias(mlflow, "best", register(mlflow))
    mlflow.delete("model-versions/delete", name="iris", version="1")
    asked = {"name": "iris", "alias": "best"}
    status, code, _ = mlflow.refused("GET", "registered-models/alias", params=asked)
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")


def test_a_renamed_model_takes_everything_along(mlflow: Mlflow):
    mlflow.post("registered-models/create", name="iris", tags=[{"key": "a", "value": "1"}])
    point_alias(mlflow, "best", register(mlflow))
    mlflow.post("registered-models/rename", name="iris", new_name="Lily 2.0")
    shown = mlflow.get("registered-models/get", name="Lily 2.0")["registered_model"]
    assert (shown["tags"], shown["aliases"]) == (
        [{"key": "a", "value": "1"}],
        [{"alias": "best", "version": "1"}],
    )
    assert mlflow.refused("GET", "registered-models/get", params={"name": "iris"})[0] == 404


def test_a_model_registered_elsewhere_can_still_be_packaged(workspace: Workspace, mlflow: Mlflow):
    mlflow.post("registered-models/create", name="pcb", description="boards")
    version = pack(workspace, "pcb", mlflow.run())
    shown = mlflow.get("registered-models/get", name="pcb")["registered_model"]
    assert shown["description"] == "boards"
    assert [one["version"] for one in shown["latest_versions"]] == [str(version.number)]


@pytest.mark.parametrize(
    "source",
    [
        "/etc/passwd",
        "file:///etc/passwd",
        "mlflow-artifacts:/0/{run}/artifacts/../../x",
        "runs:/x/m",
    ],
)
def test_a_version_lies_neither_on_a_clients_disk_nor_elsewhere(mlflow: Mlflow, source: str):
    run = mlflow.run()
    mlflow.post("registered-models/create", name="iris")
    body = {"name": "iris", "source": source.format(run=run), "run_id": run}
    status, code, message = mlflow.refused("POST", "model-versions/create", json=body)
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert "[REG-056]" in message


def test_pages_of_versions_give_each_once(mlflow: Mlflow):
    mlflow.post("registered-models/create", name="iris")
    made = [register(mlflow) for _ in range(7)]
    found, token = [], ""
    while True:
        page = mlflow.get("model-versions/search", max_results=3, page_token=token)
        found += [one["version"] for one in page["model_versions"]]
        if not (token := page.get("next_page_token", "")):
            break
    assert sorted(found) == made
