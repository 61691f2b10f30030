import base64
import contextlib
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.contracts.bundle import Detection
from sightloop.device.errors import MalformedBody
from sightloop.device.oip import InferReply, InferRequest, read_request, write_reply

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
    return write_reply(
        request, model="pcb", version=3, bundle="sha256:ab", detections=FOUND, class_names=NAMES
    )


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
