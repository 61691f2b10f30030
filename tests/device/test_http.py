"""The HTTP interface of a serving agent, by clients that are not ours where there are any."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from sightloop.testing.agents import AgentProcess, wait_until
from sightloop.testing.bundles import ToyBundle
from sightloop.testing.control_plane import ENROL_TOKEN, running_control_plane

pytestmark = pytest.mark.processes

MAX_BODY_BYTES = 200_000


@pytest.fixture(scope="module")
def serving(
    tmp_path_factory: pytest.TempPathFactory, bundles: list[ToyBundle]
) -> Iterator[AgentProcess]:
    folder = tmp_path_factory.mktemp("agent")
    with running_control_plane() as plane:
        plane.add(bundles[0])
        plane.assign(bundles[0], version=7)
        flags = ["--server", plane.url, "--enrol-token", ENROL_TOKEN, "--stream", "cam1"]
        flags += ["--stream", "cam2", "--stream", "rear:side"]
        flags += ["--max-body-bytes", str(MAX_BODY_BYTES), "--max-pixels", "1000000"]
        agent = AgentProcess(folder / "home", *flags, "--body-deadline-s", "1")
        agent.start()
        wait_until(lambda: agent.serves(bundles[0]), "the agent serves")
        yield agent
        agent.kill()


@pytest.fixture
def client(serving: AgentProcess) -> Iterator[triton.InferenceServerClient]:
    client = triton.InferenceServerClient(serving.url.removeprefix("http://"))
    yield client
    client.close()


def triton_input(content: bytes) -> triton.InferInput:
    tensor = triton.InferInput("image", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([content], dtype=np.object_))
    return tensor


def error_of(answer) -> str:
    return json.loads(answer.body)["error"]


# --- the Open Inference Protocol, as tritonclient speaks it ------------------------------------


def test_the_server_is_alive_and_says_what_it_is(client):
    assert client.is_server_live()
    metadata = client.get_server_metadata()
    assert metadata["name"] == "sightloop"
    assert metadata["extensions"] == ["binary_tensor_data"]


def test_a_slot_that_was_never_given_a_model_does_not_make_the_others_unready(client):
    assert client.is_server_ready()
    assert client.is_model_ready("blobs")
    assert client.is_model_ready("blobs", "7")


def test_the_model_says_which_tensors_it_takes_and_gives(client):
    metadata = client.get_model_metadata("blobs")
    assert metadata["versions"] == ["7"]
    assert metadata["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [1]}]
    assert [one["name"] for one in metadata["outputs"]] == ["boxes", "scores", "classes", "labels"]


def test_an_image_comes_back_as_tensors(client, serving, image):
    found = serving.predict(image).prediction().detections
    result = client.infer("blobs", [triton_input(image)], request_id="seven")
    assert result.get_response()["id"] == "seven"
    assert result.get_response()["model_version"] == "7"
    boxes = result.as_numpy("boxes")
    assert (boxes.shape, boxes.dtype) == ((3, 4), np.float32)
    assert boxes.tolist() == [pytest.approx(one.box_px) for one in found]
    assert result.as_numpy("classes").dtype == np.int64
    assert result.as_numpy("classes").tolist() == [one.class_index for one in found]
    labels = [label.decode() for label in result.as_numpy("labels")]
    assert labels == [one.class_name for one in found]


def test_outputs_come_as_json_when_asked_for(client, image):
    wanted = [triton.InferRequestedOutput("scores", binary_data=False)]
    result = client.infer("blobs", [triton_input(image)], model_version="7", outputs=wanted)
    assert [one["name"] for one in result.get_response()["outputs"]] == ["scores"]
    assert result.as_numpy("scores") == pytest.approx([1, 1, 1], abs=1e-3)


def test_a_picture_of_nothing_has_empty_tensors(client):
    nothing = cv2.imencode(".png", np.full((64, 64, 3), 110, np.uint8))[1].tobytes()
    result = client.infer("blobs", [triton_input(nothing)])
    assert result.as_numpy("boxes").shape == (0, 4)


@pytest.mark.parametrize(
    ("model", "version", "words"),
    [("cars", "", "running model 'cars'"), ("blobs", "6", "blobs@6.*this device runs: blobs@7")],
)
def test_a_model_that_does_not_run_here_is_named(client, image, model, version, words):
    with pytest.raises(InferenceServerException, match=words) as caught:
        client.infer(model, [triton_input(image)], model_version=version)
    assert caught.value.status() == "404"


def test_an_unreadable_image_is_the_clients_error_in_both_protocols(client, serving):
    with pytest.raises(InferenceServerException, match="cannot be read") as caught:
        client.infer("blobs", [triton_input(b"no image")])
    assert caught.value.status() == "422"
    answer = serving.predict(b"no image")
    assert (answer.status, json.loads(answer.body)["code"]) == (422, "DEV-054")


def test_a_tensor_of_another_kind_is_refused_with_a_reason(client):
    tensor = triton.InferInput("image", [1, 4], "FP32")
    tensor.set_data_from_numpy(np.zeros((1, 4), np.float32))
    with pytest.raises(InferenceServerException, match="'image' is FP32") as caught:
        client.infer("blobs", [tensor])
    assert caught.value.status() == "400"


# --- /predict ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "media_type"), [(".jpg", "image/jpeg"), (".png", "image/png"), (".webp", "")]
)
def test_every_common_format_is_read(serving, image, suffix: str, media_type: str):
    picture = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
    content = cv2.imencode(suffix, picture)[1].tobytes()
    answer = serving.ask("POST", "/predict", content, {"Content-Type": media_type})
    assert answer.prediction().width_px == 64


def test_a_prediction_names_everything_about_itself(serving, bundles, image):
    reply = json.loads(serving.predict(image).body)
    assert reply | {"detections": [], "duration_ms": 0} == {
        "format": "sightloop.prediction/1",
        "model": "blobs",
        "version": 7,
        "bundle": bundles[0].digest,
        "stream": "cam1",
        "width_px": 64,
        "height_px": 64,
        "task": "detect",
        "detections": [],
        "duration_ms": 0,
    }
    assert set(reply["detections"][0]) == {"class", "class_index", "score", "box_px"}
    assert 0 < reply["duration_ms"] < 5000


def test_a_form_with_a_file_is_read(serving, image):
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
    body = head + image + b"\r\n--x--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert serving.ask("POST", "/predict", body, headers).status == 200


def test_a_body_that_is_too_long_is_refused_whether_announced_or_not(serving):
    long = bytes(MAX_BODY_BYTES + 1)
    answer = serving.predict(long)
    assert answer.status == 413
    assert f"longer than {MAX_BODY_BYTES} bytes" in error_of(answer)
    chunked = f"{len(long):x}\r\n".encode() + long + b"\r\n0\r\n\r\n"
    head = b"POST /predict HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert talk(serving, head + chunked).startswith(b"HTTP/1.1 413")


def test_a_bomb_is_not_decoded(serving):
    bomb = cv2.imencode(".png", np.zeros((4000, 4000), np.uint8))[1].tobytes()
    assert len(bomb) < MAX_BODY_BYTES
    answer = serving.predict(bomb)
    assert answer.status == 422
    assert "16000000 pixels, more than the 1000000 allowed" in error_of(answer)


@pytest.mark.parametrize(
    ("path", "headers", "status", "words"),
    [
        ("/predict", {"Content-Type": "text/plain"}, 415, "'text/plain' is not read here"),
        ("/predict", {"Content-Encoding": "gzip"}, 415, "without content-encoding"),
        ("/predict?stream=cam9", {}, 404, "no stream 'cam9'; declared are: cam1, cam2, rear"),
        ("/predict?stream=rear", {}, 503, "slot 'side' has no model yet"),
        ("/predict", {"Content-Type": "multipart/form-data"}, 400, "names no boundary"),
        ("/nowhere", {}, 404, "Not Found"),
    ],
)
def test_what_is_wrong_with_a_request_is_said(serving, image, path, headers, status, words):
    answer = serving.ask("POST", path, image, headers)
    assert answer.status == status
    assert words in error_of(answer)


def test_a_wrong_method_is_named(serving):
    assert serving.ask("GET", "/predict").status == 405


def test_a_slow_client_is_cut_off_and_holds_up_nobody(serving, image):
    with socket.create_connection(("127.0.0.1", serving.port)) as slow:
        slow.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
        begin_s = time.monotonic()
        assert all(serving.predict(image).status == 200 for _ in range(20))
        assert time.monotonic() - begin_s < 1
        slow.settimeout(10)
        assert slow.recv(12) == b"HTTP/1.1 408"


def test_a_client_that_leaves_in_the_middle_costs_nothing(serving, image):
    with socket.create_connection(("127.0.0.1", serving.port)) as leaving:
        leaving.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
    assert serving.predict(image).status == 200


def talk(serving: AgentProcess, content: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", serving.port), timeout=10) as connection:
        connection.sendall(content)
        return connection.recv(1000)


# --- what the agent says of itself ------------------------------------------------------------


def test_the_status_counts_requests_but_not_what_clients_got_wrong_as_failed(serving, image):
    before = serving.slot().report
    serving.predict(image)
    serving.predict(b"no image")
    after = serving.slot().report
    assert after.n_requests - before.n_requests == 2
    assert after.n_failed == before.n_failed == 0
    assert after.latency_p95_ms > 0


def test_the_page_shows_what_runs(serving):
    page = serving.ask("GET", "/").body.decode()
    assert "<td>blobs@7" in page
    assert "<td>side</td><td>none</td>" in page


def test_an_agent_logs_events_with_fields(serving):
    log = Path(serving.log).read_text()
    assert "agent.serving device=device_test url=http://127.0.0.1:" in log
