"""Batches, challengers, drawn answers, the page, metrics and what clients get wrong."""

import base64
import contextlib
import json
import os
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import tritonclient.http as triton

from sightloop.testing.agents import AgentProcess, wait_until
from sightloop.testing.bundles import ToyBundle, make_toy_bundle
from sightloop.testing.control_plane import ENROL_TOKEN, ControlPlane, running_control_plane
from sightloop.testing.models import draw_blob_image

pytestmark = pytest.mark.processes

GREY = np.full((64, 64, 3), 110, np.uint8)


@pytest.fixture(scope="module")
def batching(tmp_path_factory: pytest.TempPathFactory) -> ToyBundle:
    """Of a model that looks at several images in one run."""
    return make_toy_bundle(tmp_path_factory.mktemp("several"), takes_several=True)


@pytest.fixture(scope="module")
def both(
    tmp_path_factory: pytest.TempPathFactory, batching: ToyBundle, bundles: list[ToyBundle]
) -> Iterator[tuple[AgentProcess, ControlPlane]]:
    """An agent that batches in `main`, with a challenger, and the plane it hears from."""
    folder = tmp_path_factory.mktemp("agent")
    with running_control_plane() as plane:
        plane.add(batching)
        plane.add(bundles[0])
        plane.assign(batching, version=3)
        flags = ["--server", plane.url, "--enrol-token", ENROL_TOKEN, "--stream", "cam1"]
        flags += ["--shadow", "main=candidate:1", "--triton-metrics", "--batch-delay-s", "0.05"]
        agent = AgentProcess(folder / "home", *flags, "--max-body-bytes", "400000")
        agent.start()
        wait_until(lambda: agent.serves(batching), "the agent serves")
        yield agent, plane
        agent.kill()


@pytest.fixture
def serving(both: tuple[AgentProcess, ControlPlane]) -> AgentProcess:
    return both[0]


def images_of(n_blobs: int, seed: int) -> bytes:
    return draw_blob_image(np.random.default_rng(seed), n_blobs=n_blobs).content


def encoded(picture: np.ndarray, suffix: str = ".jpg") -> bytes:
    return cv2.imencode(suffix, picture)[1].tobytes()


def form_of(*images: bytes) -> tuple[bytes, dict[str, str]]:
    head = 'Content-Disposition: form-data; name="image{}"; filename="a.jpg"\r\n\r\n'
    parts = [f"--x\r\n{head.format(i)}".encode() + one for i, one in enumerate(images)]
    body = b"\r\n".join([*parts, b"--x--\r\n"])
    return body, {"Content-Type": "multipart/form-data; boundary=x"}


def metric(agent: AgentProcess, name: str, **labels: str) -> float:
    """The sum of the samples with these labels."""
    total = 0.0
    for line in agent.ask("GET", "/metrics").body.decode().splitlines():
        is_named = line.startswith((f"{name}{{", f"{name} "))
        if is_named and all(f'{key}="{value}"' in line for key, value in labels.items()):
            total += float(line.rpartition(" ")[2])
    return total


# --- batches ----------------------------------------------------------------------------------


def test_every_caller_of_a_batch_gets_exactly_its_own_rows(serving):
    images = [(images_of(n, seed=10 * n + turn), n) for turn in range(6) for n in (1, 2, 3, 4)]
    alone = {image: serving.predict(image).prediction().detections for image, _ in images}
    n_runs = metric(serving, "sightloop_batch_images_count")
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(serving.predict, [image for image, _ in images]))
    for (image, n_blobs), answer in zip(images, answers, strict=True):
        found = answer.prediction().detections
        assert len(found) == n_blobs
        assert [one.class_index for one in found] == [one.class_index for one in alone[image]]
        for one, wanted in zip(found, alone[image], strict=True):
            assert one.box_px == pytest.approx(wanted.box_px, abs=0.1)
    assert metric(serving, "sightloop_batch_images_count") - n_runs < len(images) / 2


def test_an_unreadable_image_spoils_no_other_of_its_batch(serving, image):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(serving.predict, [image, b"no image", image, b"\xff\xd8\xff"] * 2))
    assert [one.status for one in answers] == [200, 422] * 4


def test_callers_of_a_batch_get_the_outputs_they_asked_for_under_their_own_ids(serving, image):
    def ask(number: int) -> dict:
        client = triton.InferenceServerClient(serving.url.removeprefix("http://"))
        tensor = triton.InferInput("image", [1], "BYTES")
        tensor.set_data_from_numpy(np.array([image], dtype=np.object_))
        name = ("boxes", "scores", "labels")[number % 3]
        outputs = [triton.InferRequestedOutput(name)]
        answer = client.infer("blobs", [tensor], request_id=str(number), outputs=outputs)
        client.close()
        return answer.get_response()

    with ThreadPoolExecutor(9) as pool:
        told = list(pool.map(ask, range(9)))
    assert [one["id"] for one in told] == [str(number) for number in range(9)]
    names = ["boxes", "scores", "labels"] * 3
    assert [[output["name"] for output in one["outputs"]] for one in told] == [[n] for n in names]


def test_a_client_may_set_its_own_time_in_the_queue(serving, image):
    client = triton.InferenceServerClient(serving.url.removeprefix("http://"))
    tensor = triton.InferInput("image", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([image], dtype=np.object_))
    with pytest.raises(triton.InferenceServerException, match="no worker was free within"):
        client.infer("blobs", [tensor], timeout=2000)  # less than a batch waits for company here
    client.close()


# --- several images, drawn answers, the page --------------------------------------------------


def test_several_images_of_a_form_are_answered_each_with_its_own(serving, image):
    body, headers = form_of(image, b"no image", encoded(GREY, ".png"), image)
    answer = serving.ask("POST", "/predict", body, headers)
    told = json.loads(answer.body)["images"]
    assert [one["name"] for one in told] == ["image0", "image1", "image2", "image3"]
    assert [one["outcome"] for one in told] == ["answer", "error", "answer", "answer"]
    assert told[1]["code"] == "DEV-054"
    found = [len(one["prediction"]["detections"]) for one in told if "prediction" in one]
    assert found == [3, 0, 3]


def test_a_form_with_nothing_readable_is_an_error(serving):
    body, headers = form_of(b"no image", b"none either")
    assert serving.ask("POST", "/predict", body, headers).status == 422


def test_drawn_answers_come_back_as_pictures(serving, image):
    answer = serving.predict(image, "?drawn=1")
    drawn = cv2.imdecode(np.frombuffer(answer.body, np.uint8), cv2.IMREAD_COLOR)
    plain = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
    assert (np.abs(drawn.astype(int) - plain) > 60).any()
    body, headers = form_of(image, image)
    several = json.loads(serving.ask("POST", "/predict?drawn=1", body, headers).body)["images"]
    assert all(base64.b64decode(one["drawn_jpeg"]).startswith(b"\xff\xd8\xff") for one in several)


def test_the_page_shows_the_last_picture_of_a_stream_once_somebody_looks(serving, image):
    live = "/live.json?stream=cam1"
    serving.ask("GET", live)
    serving.predict(image)
    wait_until(lambda: json.loads(serving.ask("GET", live).body)["at_ms"] is not None, "a picture")
    told = json.loads(serving.ask("GET", live).body)
    assert (told["model"], told["version"], told["n_objects"]) == ("blobs", 3, 3)
    assert serving.ask("GET", "/live.jpg?stream=cam1").body.startswith(b"\xff\xd8\xff")
    page = serving.ask("GET", "/")
    assert b"<script src=" in page.body
    assert b"<style" not in page.body


# --- a challenger -----------------------------------------------------------------------------


def test_a_challenger_is_compared_and_never_affects_an_answer(both, bundles, image):
    serving, plane = both
    assert serving.predict(image).prediction().version == 3  # it has no model yet
    plane.assign(bundles[0], version=9, slot="candidate")
    wait_until(lambda: serving.status().slots[1].report.golden_passed, "the challenger is ready")
    serving.predict(image)
    name = "sightloop_shadow_same_images_total"
    wait_until(lambda: metric(serving, name, challenger_version="blobs@9") >= 1, "it is compared")
    pid = serving.status().slots[1].worker_pid
    os.kill(pid, 19)  # it hangs
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(serving.predict, [image] * 12))
    assert {one.prediction().version for one in answers} == {3}
    assert metric(serving, "sightloop_shadow_skipped_images_total") > 0
    os.kill(pid, 9)
    assert serving.predict(image).prediction().version == 3


# --- metrics and the document -----------------------------------------------------------------

LINE = re.compile(
    r'[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-z_]+="(\\.|[^"\\\n])*"(,(?=[a-z]))?)*\})? '
    r"(\+Inf|-?\d+(\.\d+)?(e[+-]?\d+)?)"
)


def test_metrics_follow_the_text_format_and_every_name_carries_its_unit(serving, image):
    serving.predict(image)
    text = serving.ask("GET", "/metrics").body.decode()
    names = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    for line in text.splitlines():
        assert line.startswith("# ") or LINE.fullmatch(line), line
    assert len(names) == text.count("# TYPE") == text.count("# HELP")
    assert {"sightloop_request_duration_seconds", "nv_inference_request_success"} <= names
    assert not [one for one in names if one.startswith("sightloop") and "_ms" in one]
    labels = {"model": "blobs", "version": "3"}
    count = metric(serving, "sightloop_request_duration_seconds_count", **labels)
    last = metric(serving, "sightloop_request_duration_seconds_bucket", le="+Inf", **labels)
    assert count == last == metric(serving, "sightloop_requests_total", **labels)
    answered = metric(serving, "sightloop_requests_total", outcome="answered", **labels)
    assert metric(serving, "nv_inference_request_success", **labels) == answered


def test_the_openapi_document_lists_what_there_is(serving):
    document = json.loads(serving.ask("GET", "/openapi.json").body)
    assert document["openapi"].startswith("3.1")
    for path, methods in document["paths"].items():
        place = path.replace("{model}", "blobs").replace("{version}", "3")
        if "get" in methods:
            assert serving.ask("GET", place).status == 200, path
        else:
            assert serving.ask("GET", place).status == 405, path


# --- what clients get wrong -------------------------------------------------------------------


def bad_images() -> dict[str, bytes]:
    jpeg, png = encoded(GREY), encoded(GREY, ".png")
    webp = encoded(GREY, ".webp")
    huge = bytearray(encoded(np.zeros((8, 8), np.uint8), ".png"))
    huge[16:24] = (60_000).to_bytes(4, "big") * 2
    return {
        "nothing": b"",
        "text": b"hello",
        "truncated jpeg": jpeg[: len(jpeg) // 2],
        "truncated png": png[: len(png) // 2],
        "truncated webp": webp[: len(webp) // 2],
        "only a header": jpeg[:20],
        "a gif": b"GIF89a" + bytes(40),
        "a damaged chunk": png[:40] + b"!" + png[41:],
        "a size that is a lie": bytes(huge),
        "a bomb": encoded(np.zeros((8000, 8000), np.uint8), ".png"),
    }


@pytest.mark.parametrize("name", list(bad_images()))
def test_a_bad_image_is_the_clients_error_in_one_line_and_costs_no_worker(serving, name):
    before = serving.slot()
    answer = serving.predict(bad_images()[name])
    assert answer.status == 422, answer
    assert "\n" not in json.loads(answer.body)["error"]
    after = serving.slot()
    assert (after.worker_pid, after.n_replaced) == (before.worker_pid, before.n_replaced)


def test_deep_grey_and_transparent_images_are_read(serving):
    deep = np.full((64, 64, 3), 110 * 257, np.uint16)
    clear = np.dstack([GREY, np.zeros((64, 64), np.uint8)])
    for content in (encoded(deep, ".png"), encoded(GREY[:, :, 0]), encoded(clear, ".png")):
        assert serving.predict(content).prediction().detections == []


def test_an_image_on_its_side_is_stood_up(serving):
    jpeg = encoded(GREY[:40])
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    turned = jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:]
    prediction = serving.predict(turned).prediction()
    assert (prediction.width_px, prediction.height_px) == (40, 64)


@pytest.mark.parametrize(
    "tensor",
    [
        {"name": "images"},
        {"datatype": "FP32"},
        {"shape": [2]},
        {"shape": "one"},
        {"shape": [-1]},
        {"data": []},
        {"data": [1]},
        {"data": ["not base64!"]},
        {"parameters": {"binary_data_size": 7}},
        {"parameters": 7},
    ],
)
def test_a_wrong_tensor_is_refused_with_a_reason(serving, image, tensor):
    right = {"name": "image", "datatype": "BYTES", "shape": [1]}
    right["data"] = [base64.b64encode(image).decode()]
    body = json.dumps({"inputs": [right | tensor]}).encode()
    answer = serving.ask("POST", "/v2/models/blobs/infer", body)
    assert answer.status == 400
    assert "\n" not in json.loads(answer.body)["error"]


def test_a_thousand_connections_are_served_and_slow_ones_keep_nobody_waiting(serving, image):
    n_memory = resident_kb(serving.pid)
    with contextlib.ExitStack() as stack:
        address = ("127.0.0.1", serving.port)
        open_ones = [stack.enter_context(socket.create_connection(address)) for _ in range(1000)]
        for one in open_ones[:500]:
            one.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
        assert all(serving.predict(image).status == 200 for _ in range(5))
        head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\n"
        whole = head + f"Content-Length: {len(image)}\r\n\r\n".encode() + image
        asked = open_ones[500:700]
        for one in asked:
            one.sendall(whole)
        for one in asked:
            one.settimeout(30)
            assert one.recv(12) == b"HTTP/1.1 200"
    assert resident_kb(serving.pid) - n_memory < 100_000
    assert serving.predict(image).status == 200


def resident_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1])


# --- workers that leak or keep ending ---------------------------------------------------------


@contextlib.contextmanager
def agent_with(folder: Path, plane: ControlPlane, hook: str, *flags: str) -> Iterator[AgentProcess]:
    """One whose redaction hook, which runs in the worker, misbehaves; the file `die` is its cue."""
    (folder / "bad_hooks.py").write_text(hook)
    more = ["--server", plane.url, "--enrol-token", ENROL_TOKEN, "--stream", "cam1", *flags]
    path = f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    environment = {"PYTHONPATH": path, "DIE": str(folder / "die")}
    agent = AgentProcess(
        folder / "home", *more, "--redaction", "bad_hooks:hook", environment=environment
    )
    agent.start()
    try:
        yield agent
    finally:
        agent.kill()


def test_a_worker_that_leaks_is_replaced_without_a_failed_request(tmp_path, plane, bundles, image):
    hook = "kept = []\ndef hook(image):\n    kept.append(b'x' * 10_000_000)\n    return image\n"
    plane.add(bundles[0])
    plane.assign(bundles[0], version=1)
    with agent_with(tmp_path, plane, hook, "--max-growth-bytes", "60000000") as agent:
        wait_until(lambda: agent.serves(bundles[0]), "it serves")
        statuses = []
        while agent.slot().n_refreshed == 0:
            statuses.append(agent.predict(image, "?drawn=1").status)  # each is redacted: it leaks
            assert len(statuses) < 2000
    assert set(statuses) == {200}


DYING = """
import os, sys
worker = sys.modules['__main__']
decode = worker.decode_picture
def dying(content, *, name):
    if name == 'sent' and os.path.exists(os.environ['DIE']):
        os._exit(3)
    return decode(content, name=name)
worker.decode_picture = dying
def hook(image):
    return image
"""


def test_a_version_that_ends_over_every_image_gives_way_to_the_one_before(
    tmp_path, plane, bundles, image
):
    for bundle in bundles[:2]:
        plane.add(bundle)
    plane.assign(bundles[0], version=1)
    with agent_with(tmp_path, plane, DYING) as agent:
        wait_until(lambda: agent.serves(bundles[0]), "it serves")
        plane.assign(bundles[1], version=2)
        wait_until(lambda: agent.serves(bundles[1]), "the second serves")
        (tmp_path / "die").touch()
        for seed in range(3):
            assert agent.predict(images_of(2, seed)).status == 500
        wait_until(lambda: agent.slot().report.quarantined == [bundles[1].digest], "quarantined")
        (tmp_path / "die").unlink()
        assert agent.predict(image).prediction().version == 1
