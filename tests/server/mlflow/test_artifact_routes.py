"""Files of runs and logged models over HTTP."""

import errno
import secrets

import pytest

from sightloop.kernel.blobs import CHUNK_BYTES
from sightloop.kernel.workspace import Workspace
from sightloop.server.mlflow import artifact_routes
from sightloop.tracking import uploading
from sightloop.tracking.artifacts import find_artifact
from tests.server.mlflow.wire import Mlflow


def names_of(mlflow: Mlflow, run: str, path: str = "") -> list[str]:
    listed = mlflow.get("artifacts/list", run_id=run, path=path)
    return [one["path"] for one in listed.get("files", [])]


def test_a_file_comes_back_as_it_was_sent(mlflow: Mlflow):
    run = mlflow.run()
    body = bytes(range(256)) * 1000
    place = f"0/{run}/artifacts/weights/best.pt"
    assert mlflow.file("PUT", place, content=body).status_code == 200
    answer = mlflow.file("GET", place)
    assert answer.content == body
    assert answer.headers["content-disposition"] == "attachment"
    assert (names_of(mlflow, run), names_of(mlflow, run, "weights")) == (
        ["weights"],
        ["weights/best.pt"],
    )


def test_the_same_bytes_are_kept_once(workspace: Workspace, mlflow: Mlflow):
    run = mlflow.run()
    n_before = len(list(workspace.blobs.list_blobs()))
    for name in ("best.pt", "last.pt"):
        mlflow.file("PUT", f"0/{run}/artifacts/{name}", content=b"weights" * 1000)
    assert len(list(workspace.blobs.list_blobs())) == n_before + 1


def test_files_of_a_logged_model_lie_below_it(mlflow: Mlflow):
    model = mlflow.model()
    mlflow.file("PUT", f"0/models/{model}/artifacts/MLmodel", content=b"flavors: {}")
    listed = mlflow.get(f"logged-models/{model}/artifacts/directories")
    assert listed == {
        "root_uri": f"mlflow-artifacts:/0/models/{model}/artifacts",
        "files": [{"path": "MLmodel", "is_dir": False, "file_size": 11}],
    }


@pytest.mark.parametrize(
    "name", ["%2e%2e/x", "a/%2e%2e/%2e%2e/x", "a%5c..%5cx", "a%00b", "x" * 1001]
)
def test_a_name_that_leads_elsewhere_is_refused(workspace: Workspace, mlflow: Mlflow, name: str):
    run = mlflow.run()
    answer = mlflow.file("PUT", f"0/{run}/artifacts/{name}", content=b"x")
    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert names_of(mlflow, run) == []


def test_nothing_is_kept_for_a_run_that_does_not_exist(mlflow: Mlflow):
    answer = mlflow.file("PUT", "0/run_nobody/artifacts/a.txt", content=b"x")
    assert (answer.status_code, answer.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_half_an_upload_leaves_nothing(
    workspace: Workspace, mlflow: Mlflow, monkeypatch: pytest.MonkeyPatch
):
    run = mlflow.run()

    def cut_off(*_: object, **__: object) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as patch:
        patch.setattr(uploading, "keep_artifact", cut_off)
        assert mlflow.file("PUT", f"0/{run}/artifacts/a", content=b"half").status_code == 500
    assert names_of(mlflow, run) == []
    assert not list(workspace.state.glob("tmp*"))
    assert mlflow.file("PUT", f"0/{run}/artifacts/a", content=b"whole").status_code == 200
    assert mlflow.file("GET", f"0/{run}/artifacts/a").content == b"whole"


def test_a_full_disk_is_told_as_such_and_leaves_nothing(
    workspace: Workspace, mlflow: Mlflow, monkeypatch: pytest.MonkeyPatch
):
    run = mlflow.run()

    async def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(artifact_routes, "_receive", full)
        answer = mlflow.file("PUT", f"0/{run}/artifacts/a", content=b"x")
    assert (answer.status_code, answer.json()["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
    assert "is full" in answer.json()["message"]
    assert names_of(mlflow, run) == []
    assert not list(workspace.state.glob("tmp*"))


@pytest.mark.parametrize("n_bytes", [9, CHUNK_BYTES + 9])
def test_a_damaged_file_is_never_given_out_as_whole(
    workspace: Workspace, mlflow: Mlflow, n_bytes: int
):
    run = mlflow.run()
    place = f"0/{run}/artifacts/best.pt"
    mlflow.file("PUT", place, content=secrets.token_bytes(n_bytes))
    with workspace.db.read() as tx:
        found = find_artifact(tx, run, "best.pt")
    assert found is not None
    path = workspace.blobs.local_path(found.digest)
    path.chmod(0o644)
    path.write_bytes(b"\0" * n_bytes)
    answer = mlflow.file("GET", place)
    if n_bytes < CHUNK_BYTES:
        assert (answer.status_code, answer.json()["error_code"]) == (500, "INTERNAL_ERROR")
        assert "[SL-611]" in answer.json()["message"]
    else:
        assert len(answer.content) < n_bytes


def test_a_file_that_is_too_large_is_refused_and_forgotten(
    workspace: Workspace, mlflow: Mlflow, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(artifact_routes, "MAX_ARTIFACT_BYTES", 1000)
    run = mlflow.run()
    answer = mlflow.file("PUT", f"0/{run}/artifacts/a", content=b"x" * 1001)
    assert answer.status_code == 400
    assert names_of(mlflow, run) == []
    assert not list(workspace.state.glob("tmp*"))


def test_a_removed_folder_takes_its_files_along(mlflow: Mlflow):
    run = mlflow.run()
    for name in ("a/1", "a/b/2", "ab"):
        mlflow.file("PUT", f"0/{run}/artifacts/{name}", content=b"x")
    mlflow.file("DELETE", f"0/{run}/artifacts/a")
    assert names_of(mlflow, run) == ["ab"]
