import base64
import contextlib
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.contracts.bundle import Detection, Task
from sightloop.contracts.shapes import Keypoints, Mask, OrientedBox
from sightloop.device import oip
from sightloop.device.errors import MalformedBody
from sightloop.device.image_request import Prediction
from sightloop.device.oip import InferReply, InferRequest, read_request, write_reply
from sightloop.device.state import Installed
from sightloop.kernel.digests import Digest

FOUND = [Detection(1, 0.75, 1.0, 2.0, 3.5, 4.0), Detection(0, 0.5, 5.0, 6.0, 7.0, 8.0)]
NAMES = ["scratch", "dent"]


def binary_request(image: bytes, **more: Any) -> tuple[bytes, int]:
    raw = struct.pack("<I", len(image)) + image
    tensor = {
        "name": "image",
        "datatype": "BYTES",
        "shape": [1],
        "parameters": {"binary_data_size": len(raw)},
    }
    head = json.dumps({"inputs": [tensor], **more}).encode()
    return head + raw, len(head)


def json_request(data: object, **more: Any) -> bytes:
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "data": data}
    return json.dumps({"inputs": [tensor | more.pop("tensor", {})], **more}).encode()


def reply_to(request: InferRequest) -> InferReply:
    return write_reply(request, prediction())


def prediction(task: Task = "detect", **more: Any) -> Prediction:
    by = Installed(bundle=Digest("sha256:ab"), model="pcb", version=3)
    return Prediction(by, task, NAMES, 8, 6, FOUND, **more)


@given(st.binary(min_size=1))
def test_an_image_travels_as_raw_bytes(image: bytes):
    body, json_bytes = binary_request(image)
    assert read_request(body, json_bytes=json_bytes).image == image


@given(st.binary())
def test_an_image_travels_as_base64_in_json(image: bytes):
    body = json_request([base64.b64encode(image).decode()])
    assert read_request(body, json_bytes=None).image == image


def test_the_reply_repeats_the_id_and_names_the_version():
    request = read_request(json_request(["aGk="], id="seven"), json_bytes=None)
    reply = json.loads(reply_to(request).body)
    assert (reply["id"], reply["model_name"], reply["model_version"]) == ("seven", "pcb", "3")


def test_outputs_come_as_json_unless_asked_for_in_binary():
    request = read_request(json_request(["aGk="]), json_bytes=None)
    outputs = json.loads(reply_to(request).body)["outputs"]
    assert [output["name"] for output in outputs] == ["boxes", "scores", "classes", "labels"]
    assert outputs[0] == {
        "name": "boxes",
        "datatype": "FP32",
        "shape": [2, 4],
        "data": [1.0, 2.0, 3.5, 4.0, 5.0, 6.0, 7.0, 8.0],
    }
    assert [output["data"] for output in outputs[1:]] == [[0.75, 0.5], [1, 0], ["dent", "scratch"]]


def test_only_the_outputs_asked_for_come_in_the_order_asked_for():
    wanted = [
        {"name": "classes", "parameters": {"binary_data": True}},
        {"name": "scores"},
        {"name": "labels", "parameters": {"binary_data": True}},
    ]
    reply = reply_to(read_request(json_request(["aGk="], outputs=wanted), json_bytes=None))
    assert reply.json_bytes is not None
    head, raw = json.loads(reply.body[: reply.json_bytes]), reply.body[reply.json_bytes :]
    assert [output["name"] for output in head["outputs"]] == ["classes", "scores", "labels"]
    assert head["outputs"][0]["parameters"] == {"binary_data_size": 16}
    assert raw == struct.pack("<qqI4sI7s", 1, 0, 4, b"dent", 7, b"scratch")


def test_all_outputs_can_be_asked_for_in_binary_at_once():
    body = json_request(["aGk="], parameters={"binary_data_output": True})
    reply = reply_to(read_request(body, json_bytes=None))
    outputs = json.loads(reply.body[: reply.json_bytes])["outputs"]
    assert [output["parameters"]["binary_data_size"] for output in outputs] == [32, 8, 16, 19]


@pytest.mark.parametrize(
    ("body", "json_bytes", "problem"),
    [
        (b"{}", None, "inputs"),
        (b"not json", None, "the JSON part"),
        (b'{"inputs": []}', None, "inputs are"),
        (b"{}", 7, "announced with 7 of 2 bytes"),
        (json_request(["aGk="], tensor={"datatype": "FP32"}), None, "is FP32"),
        (json_request(["aGk="], tensor={"shape": [2]}), None, r"BYTES \[2\]"),
        (json_request(["not base64!"]), None, "not base64"),
        (json_request([]), None, "one base64 text"),
        (json_request(["aGk="], outputs=[{"name": "masks"}]), None, "do not exist"),
        (json_request(["aGk="], parameters={"stream": 7}), None, "should be a text"),
        (binary_request(b"image")[0][:-1], binary_request(b"image")[1], "8 bytes follow"),
    ],
)
def test_what_breaks_the_protocol_is_refused_with_a_reason(
    body: bytes, json_bytes: int | None, problem: str
):
    with pytest.raises(MalformedBody, match=problem) as caught:
        read_request(body, json_bytes=json_bytes)
    assert (caught.value.code, caught.value.http_status) == ("DEV-053", 400)


@given(st.binary(), st.none() | st.integers(0, 40))
def test_no_body_makes_the_reader_fail_otherwise(body: bytes, json_bytes: int | None):
    with contextlib.suppress(MalformedBody):
        read_request(body, json_bytes=json_bytes)


def outputs_of(task: Task, *names: str, **more: Any) -> dict[str, Any]:
    """What a client of a model of this task gets, by the output's name."""
    asked = {"outputs": [{"name": name} for name in names]} if names else {}
    request = read_request(json_request(["aGk="], **asked), json_bytes=None, task=task)
    reply = json.loads(write_reply(request, prediction(task, **more)).body)
    return {output["name"]: output for output in reply["outputs"]}


MASKS = [Mask(2, 3, [2, 3, 1], [[1, 0, 1, 1]]), Mask(2, 3, [6])]


def test_masks_come_as_pixels_only_to_those_who_ask():
    assert "masks" not in outputs_of("segment", shapes=MASKS)
    pixels = outputs_of("segment", "masks", shapes=MASKS)["masks"]
    assert (pixels["datatype"], pixels["shape"]) == ("UINT8", [2, 2, 3])
    assert pixels["data"] == [0, 1, 1, 0, 1, 0] + [0] * 6


def test_masks_come_as_coco_runs_and_as_outlines():
    outputs = outputs_of("segment", shapes=MASKS)
    assert json.loads(outputs["mask_runs"]["data"][0]) == {"size": [2, 3], "counts": [2, 3, 1]}
    assert json.loads(outputs["polygons"]["data"][0]) == [[1, 0, 1, 1]]


def test_masks_as_pixels_can_come_as_raw_bytes():
    wanted = [{"name": "masks", "parameters": {"binary_data": True}}]
    body = json_request(["aGk="], outputs=wanted)
    request = read_request(body, json_bytes=None, task="segment")
    reply = write_reply(request, prediction("segment", shapes=MASKS))
    assert reply.body[reply.json_bytes :] == bytes([0, 1, 1, 0, 1, 0] + [0] * 6)


def test_more_pixels_than_one_answer_holds_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(oip, "MOST_MASK_BYTES", 11)
    with pytest.raises(MalformedBody, match=r"2 masks of 3 x 2 px are too large .* mask_runs"):
        outputs_of("segment", "masks", shapes=MASKS)


def test_keypoints_come_with_their_visibility():
    shapes = [Keypoints([(1, 2, 0.5), (3, 4, 1)]), Keypoints([(5, 6, 0), (7, 8, 1)])]
    keypoints = outputs_of("pose", shapes=shapes)["keypoints"]
    assert keypoints["shape"] == [2, 2, 3]
    assert keypoints["data"] == [1, 2, 0.5, 3, 4, 1, 5, 6, 0, 7, 8, 1]


def test_turned_boxes_come_by_their_angle_and_by_their_corners():
    outputs = outputs_of("obb", shapes=[OrientedBox(5, 5, 4, 2, 0.0)] * 2)
    assert outputs["oriented_boxes"]["data"][:5] == [5, 5, 4, 2, 0]
    assert outputs["oriented_corners"]["shape"] == [2, 4, 2]
    assert outputs["oriented_corners"]["data"][:8] == [7, 6, 7, 4, 3, 4, 3, 6]


def test_a_classifier_tells_every_probability_and_no_boxes():
    outputs = outputs_of("classify", probabilities=[0.25, 0.75])
    assert outputs["probabilities"]["data"] == [0.25, 0.75]
    assert "boxes" not in outputs


def test_no_objects_of_a_task_make_empty_tensors_of_the_right_rank():
    request = read_request(json_request(["aGk="]), json_bytes=None, task="pose")
    nothing = Prediction(prediction().by, "pose", NAMES, 8, 6, [])
    outputs = json.loads(write_reply(request, nothing).body)["outputs"]
    assert {tuple(o["shape"]) for o in outputs} == {(0, 4), (0,), (0, 0, 3)}


def test_an_output_of_the_model_that_ran_before_is_refused():
    request = read_request(json_request(["aGk="]), json_bytes=None, task="segment")
    with pytest.raises(MalformedBody, match="does not exist in the model that answered"):
        write_reply(request, prediction("detect"))
