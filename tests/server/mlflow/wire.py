"""Requests as MLflow's client makes them, without MLflow."""

from typing import Any

from httpx import Response
from litestar import Litestar
from litestar.testing import TestClient

from sightloop.kernel import tokens
from sightloop.kernel.actors import ActorId, Role
from sightloop.kernel.workspace import Workspace

API = "/api/2.0/mlflow"


class Mlflow:
    """Requests as MLflow's client makes them, without MLflow."""

    def __init__(self, http: TestClient[Litestar], token: str) -> None:
        self.http = http
        self.headers = {"Authorization": f"Bearer {token}"}

    def send(self, method: str, path: str, **options: Any) -> Response:
        return self.http.request(method, f"{API}/{path}", headers=self.headers, **options)

    def get(self, path: str, /, **query: object) -> Any:
        return told(self.send("GET", path, params=query))

    def post(self, path: str, /, **body: object) -> Any:
        return told(self.send("POST", path, json=body))

    def patch(self, path: str, /, **body: object) -> Any:
        return told(self.send("PATCH", path, json=body))

    def delete(self, path: str, /, **body: object) -> Any:
        return told(self.send("DELETE", path, json=body))

    def refused(self, method: str, path: str, **options: Any) -> tuple[int, str, str]:
        """The status, the code and the message of a refusal."""
        answer = self.send(method, path, **options)
        content = answer.json()
        return answer.status_code, content["error_code"], content["message"]

    def file(self, method: str, path: str, **options: Any) -> Response:
        """A request about an artifact."""
        address = f"/api/2.0/mlflow-artifacts/artifacts/{path}"
        return self.http.request(method, address, headers=self.headers, **options)

    def run(self, name: str = "a run", experiment: str = "0", **more: object) -> str:
        """The id of a new run."""
        body = {"experiment_id": experiment, "run_name": name, "start_time": 1} | more
        run: str = self.post("runs/create", **body)["run"]["info"]["run_id"]
        return run

    def model(self, name: str = "net", **more: object) -> str:
        """The id of a new logged model."""
        made = self.post("logged-models", experiment_id="0", name=name, **more)
        model: str = made["model"]["info"]["model_id"]
        return model


def told(answer: Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def token_of(workspace: Workspace, role: Role) -> str:
    with workspace.db.write() as tx:
        return tokens.issue(tx, actor=ActorId("anna"), kind="person", role=role, now_ms=0)
