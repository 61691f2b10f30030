"""An agent serves models of every task, each as its own tensors and its own words."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
import tritonclient.http as triton
from urllib3.exceptions import HTTPError

from sightloop.contracts.bundle import Bundle, Task
from sightloop.contracts.shapes import Keypoints
from sightloop.device.bundle_files import file_path
from sightloop.device.errors import GoldenMismatch
from sightloop.device.messages import Start
from sightloop.device.model_worker import load_model
from sightloop.kernel.digests import digest_of
from sightloop.testing.agents import AgentProcess, wait_until
from sightloop.testing.bundles import CLASSES, ToyBundle, make_toy_bundle
from sightloop.testing.control_plane import ENROL_TOKEN, running_control_plane
from sightloop.testing.task_models import TURN_RAD, VISIBILITIES

TASKS: tuple[Task, ...] = ("segment", "pose", "obb", "classify")


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> dict[Task, ToyBundle]:
    folder = tmp_path_factory.mktemp("toys")
    return {task: make_toy_bundle(folder, model=task, task=task, n_reference=8) for task in TASKS}


def laid_out(folder: Path, manifest: Bundle, files: dict[str, bytes]) -> Start:
    """The bundle on disk as a worker finds it, and the message that starts one on it."""
    content = msgspec.json.encode(manifest, order="sorted")
    for name, data in files.items():
        path = file_path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (folder / "bundle.json").write_bytes(content)
    return Start(
        folder=str(folder), bundle=digest_of(content), threads=1, max_pixels=10**6, strata=[],
        redaction="", max_batch=1, background=False, n_buffers=1, buffer_bytes=1,
    )  # fmt: skip


@pytest.mark.parametrize("task", TASKS)
def test_a_worker_is_ready_when_it_sees_what_the_golden_images_promise(tmp_path, toys, task):
    toy = toys[task]
    model = load_model(laid_out(tmp_path, toy.manifest, toy.files))
    assert model.detector.facts.task == toy.manifest.task == task
    golden = toy.manifest.golden[0]
    assert golden.probabilities if task == "classify" else len(golden.shapes) > 0


def test_a_worker_refuses_a_bundle_whose_golden_shapes_it_does_not_see(tmp_path, toys):
    toy = toys["pose"]
    first = toy.manifest.golden[0]
    moved = [Keypoints([(x + 9, y, 1.0) for x, y, _ in one.points]) for one in first.shapes]
    golden = [msgspec.structs.replace(first, shapes=moved)]
    manifest = msgspec.structs.replace(toy.manifest, golden=golden)
    with pytest.raises(GoldenMismatch, match="found in another shape: keypoint 0 lies"):
        load_model(laid_out(tmp_path, manifest, toy.files))


@pytest.fixture(scope="module")
def serving(
    tmp_path_factory: pytest.TempPathFactory, toys: dict[Task, ToyBundle]
) -> Iterator[AgentProcess]:
    folder = tmp_path_factory.mktemp("agent")
    with running_control_plane(list(toys)) as plane:
        flags = ["--server", plane.url, "--enrol-token", ENROL_TOKEN]
        for task, toy in toys.items():
            plane.add(toy)
            plane.assign(toy, version=1, slot=task)
            flags += ["--stream", f"{task}:{task}"]
        agent = AgentProcess(folder / "home", *flags)
        agent.start()
        wait_until(lambda: serves_all(agent), "every slot serves")
        yield agent
        agent.kill()


def serves_all(agent: AgentProcess) -> bool:
    with contextlib.suppress(HTTPError):  # nothing listens yet
        return all(one.report.golden_passed for one in agent.status().slots)
    return False


@pytest.fixture
def client(serving: AgentProcess) -> Iterator[triton.InferenceServerClient]:
    client = triton.InferenceServerClient(serving.url.removeprefix("http://"))
    yield client
    client.close()


def tensors(client: triton.InferenceServerClient, model: str, image: bytes, *names: str):
    tensor = triton.InferInput("image", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([image], dtype=np.object_))
    wanted = [triton.InferRequestedOutput(name, binary_data=True) for name in names]
    return client.infer(model, [tensor], outputs=wanted or None)


@pytest.mark.processes
def test_masks_come_as_pixels_of_the_image_and_as_polygons(client, serving, image):
    result = tensors(client, "segment", image, "boxes", "masks")
    boxes, masks = result.as_numpy("boxes"), result.as_numpy("masks")
    assert (masks.shape, masks.dtype) == ((3, 64, 64), np.uint8)
    for (x1, y1, x2, y2), mask in zip(boxes.round().astype(int), masks, strict=True):
        assert mask.sum() == mask[y1:y2, x1:x2].sum() == (x2 - x1) * (y2 - y1)
    reply = json.loads(serving.predict(image, "?stream=segment").body)
    assert reply["task"] == "segment"
    assert reply["detections"][0]["mask"]["size"] == [64, 64]
    assert len(reply["detections"][0]["polygons_px"][0]) == 8


@pytest.mark.processes
def test_keypoints_come_with_their_visibility(client, serving, image):
    result = tensors(client, "pose", image, "boxes", "keypoints")
    boxes, keypoints = result.as_numpy("boxes"), result.as_numpy("keypoints")
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    assert np.allclose(keypoints[:, 0, :2], middles, atol=0.01)
    assert np.allclose(keypoints[:, :, 2], VISIBILITIES)
    first = json.loads(serving.predict(image, "?stream=pose").body)["detections"][0]
    assert len(first["keypoints_px"]) == 2


@pytest.mark.processes
def test_turned_boxes_come_by_angle_and_by_corners(client, serving, image):
    result = tensors(client, "obb", image, "oriented_boxes", "oriented_corners")
    assert np.allclose(result.as_numpy("oriented_boxes")[:, 4], TURN_RAD)
    assert result.as_numpy("oriented_corners").shape == (3, 4, 2)
    first = json.loads(serving.predict(image, "?stream=obb").body)["detections"][0]
    assert first["oriented_box"]["xywhr"][4] == pytest.approx(TURN_RAD)


@pytest.mark.processes
def test_a_classifier_tells_its_probabilities(client, serving, image):
    probabilities = tensors(client, "classify", image).as_numpy("probabilities")
    assert probabilities.shape == (len(CLASSES),)
    reply = json.loads(serving.predict(image, "?stream=classify").body)
    told = {one["class_index"]: one["probability"] for one in reply["probabilities"]}
    assert told == {i: pytest.approx(p, abs=1e-4) for i, p in enumerate(probabilities)}


@pytest.mark.processes
@pytest.mark.parametrize("task", TASKS)
def test_the_metadata_lists_the_tensors_that_come(client, task, image):
    listed = {one["name"] for one in client.get_model_metadata(task)["outputs"]}
    came = {one["name"] for one in tensors(client, task, image).get_response()["outputs"]}
    assert client.get_model_metadata(task)["platform"] == f"sightloop_{task}"
    assert came == listed - {"masks"}


@pytest.mark.processes
@pytest.mark.parametrize("task", TASKS)
def test_the_answer_can_be_had_as_a_picture(serving, task, image):
    answer = serving.predict(image, f"?stream={task}&drawn=1")
    assert answer.status == 200
    drawn = cv2.imdecode(np.frombuffer(answer.body, np.uint8), cv2.IMREAD_COLOR)
    plain = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
    assert drawn.shape == plain.shape
    assert (np.abs(drawn.astype(int) - plain) > 60).any()
