"""The HTTP interface: one shape for answers, one for errors, nobody without a token."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from litestar.testing import TestClient

from sightloop.contracts.check_in import EnrolRequest
from sightloop.contracts.decode import encode
from sightloop.datasets.importing import ImportDataset
from sightloop.fleet.enrolment import CreateEnrolment, create_enrolment
from sightloop.fleet.removal import RemoveDevice
from sightloop.kernel import tokens
from sightloop.kernel.actors import ActorId, Role
from sightloop.kernel.workspace import Workspace
from sightloop.loop.services import RunLoop
from sightloop.registry.signing import SignVersion
from sightloop.server.app import build_app
from sightloop.server.operations import operations
from sightloop.server.rendering import NDJSON
from sightloop.testing.workspaces import LOCAL_CALL, place_database
from sightloop.wiring import create_workspace, ensure_token


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    opened = create_workspace(place_database(tmp_path), {})
    yield opened
    opened.db.close()


@pytest.fixture
def client(workspace: Workspace) -> Iterator[TestClient]:
    with TestClient(build_app(workspace)) as client:
        yield client


@pytest.fixture
def owner(workspace: Workspace) -> dict[str, str]:
    return {"Authorization": f"Bearer {ensure_token(workspace)}"}


def headers_of(workspace: Workspace, role: Role) -> dict[str, str]:
    with workspace.db.write() as tx:
        token = tokens.issue(tx, actor=ActorId("anna"), kind="person", role=role, now_ms=0)
    return {"Authorization": f"Bearer {token}"}


def test_the_server_says_that_it_lives_without_a_token(client: TestClient):
    assert client.get("/health").json() == {"status": "ok"}


def test_an_operation_answers_with_its_result_struct(client: TestClient, owner):
    answer = client.post("/api/v1/loop.status", headers=owner)
    assert answer.status_code == 200
    assert answer.json()["turns"] == []


@pytest.mark.parametrize(
    "path", ["/api/v1/loop.status", "/device/v1/check-in", "/device/v1/telemetry"]
)
def test_nothing_is_told_without_a_token(client: TestClient, path: str):
    answer = client.post(path)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "SL-310"


@pytest.mark.parametrize("path", ["/device/v1/check-in", "/device/v1/telemetry"])
def test_a_removed_device_is_told_so(client: TestClient, workspace: Workspace, owner, path: str):
    place = CreateEnrolment(name="line-1", ring="canary", slots={"main": "pcb"})
    made = create_enrolment(workspace, LOCAL_CALL, place)
    asked = EnrolRequest(name="", device_class="box", agent_version="1", capabilities=[])
    bearer = {"Authorization": f"Bearer {made.token}"}
    enrolled = client.post("/device/v1/enrol", content=encode(asked), headers=bearer).json()
    body = msgspec.json.encode(RemoveDevice(device="line-1"))
    assert client.post("/api/v1/devices.remove", content=body, headers=owner).status_code == 200
    own = {"Authorization": f"Bearer {enrolled['token']}"}
    answer = client.post(path, content=b"{}", headers=own)
    assert answer.status_code == 410
    assert answer.json()["error"]["code"] == "FLEET-060"


def test_a_wrong_token_is_refused(client: TestClient):
    answer = client.post("/api/v1/loop.status", headers={"Authorization": "Bearer guessed"})
    assert answer.status_code == 401
    assert "not valid here" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("role", "operation", "request_struct"),
    [
        (Role.ANNOTATOR, "loop.run", RunLoop(model="pcb")),
        (Role.ENGINEER, "models.sign", SignVersion(model="pcb", number=1)),
        (Role.VIEWER, "data.import", ImportDataset(source="a")),
    ],
)
def test_a_token_without_the_right_is_refused_by_the_service(
    client: TestClient, workspace: Workspace, role: Role, operation: str, request_struct
):
    answer = client.post(
        f"/api/v1/{operation}",
        content=msgspec.json.encode(request_struct),
        headers=headers_of(workspace, role),
    )
    assert answer.status_code == 403
    assert f"({role.value}) may not" in answer.json()["error"]["message"]


def test_an_unknown_operation_is_named(client: TestClient, owner):
    answer = client.post("/api/v1/data.conjure", headers=owner)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "SRV-001"


@pytest.mark.parametrize("body", [b"{", b'{"limit": "many"}', b"[]"])
def test_a_body_that_does_not_fit_is_refused_with_the_place(client: TestClient, owner, body):
    answer = client.post("/api/v1/runs.list", content=body, headers=owner)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "SRV-002"
    assert "runs.list" in answer.json()["error"]["message"]


def test_a_body_over_the_limit_is_refused_before_it_is_read(client: TestClient, owner):
    answer = client.post(
        "/api/v1/runs.list", headers={**owner, "Content-Length": str(1 << 40)}, content=b""
    )
    assert answer.status_code == 413
    assert "max_request_bytes" in answer.json()["error"]["message"]


def test_an_error_of_a_service_keeps_its_code_and_facts(client: TestClient, owner):
    body = b'{"run": "run_gone"}'
    answer = client.post("/api/v1/runs.show", content=body, headers=owner)
    assert answer.status_code == 404
    assert "run_gone" in answer.json()["error"]["message"]


def test_progress_comes_as_lines_before_the_result(client: TestClient, owner):
    answer = client.post("/api/v1/loop.status", headers={**owner, "Accept": NDJSON})
    lines = [msgspec.json.decode(line) for line in answer.content.splitlines()]
    assert list(lines[-1]) == ["result"]


def test_an_error_while_lines_are_sent_is_the_last_line(client: TestClient, owner):
    body = b'{"run": "run_gone"}'
    answer = client.post("/api/v1/runs.show", content=body, headers={**owner, "Accept": NDJSON})
    assert "error" in msgspec.json.decode(answer.content.splitlines()[-1])


def test_every_operation_tells_what_it_takes(client: TestClient):
    told = {one["name"]: one for one in client.get("/api/v1").json()}
    assert told.keys() == operations().keys()
    assert all(one["summary"] for one in told.values())


def test_mlflow_clients_may_send_the_token_as_a_password(client: TestClient, workspace):
    answer = client.post("/api/v1/loop.status", auth=("anybody", ensure_token(workspace)))
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/tuf/metadata/..%2f..%2fkeys%2froot.pem",
        "/tuf/metadata/root.pem",
        "/tuf/blobs/" + "0" * 64,
        "/tuf/targets/bundles/pcb/" + "0" * 64 + ".json",
    ],
)
def test_update_files_are_only_what_was_released(client: TestClient, path: str):
    assert client.get(path).status_code == 404


def test_signed_metadata_needs_no_token(client: TestClient):
    assert client.get("/tuf/metadata/timestamp.json").json()["signed"]["_type"] == "timestamp"


def test_a_blob_that_was_not_released_is_not_given_out(client: TestClient, workspace: Workspace):
    digest = workspace.blobs.put(b"a private image")
    assert client.get(f"/tuf/blobs/{digest.removeprefix('sha256:')}").status_code == 404


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("data.show", b'{"ref": "\xed\xa0\x80"}'),
        ("models.lineage", b'{"model": "a", "number": 9223372036854775808}'),
        ("review.import", b'{"annotations": "a\\u0000b"}'),
    ],
)
def test_what_no_store_can_hold_is_refused_and_no_bug(client, owner, operation: str, body: bytes):
    answer = client.post(f"/api/v1/{operation}", content=body, headers=owner)
    assert answer.status_code in (400, 404)
    assert answer.json()["error"]["code"] != "SL-999"
