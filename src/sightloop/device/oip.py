"""The Open Inference Protocol v2 with the binary tensor extension: bytes to values and back. Pure.

One input, `image`: a BYTES tensor with one element, the JPEG, PNG or WebP file. In the binary form
the element is preceded by its length; in JSON, which cannot hold bytes, it is base64 text.

Source: https://github.com/kserve/open-inference-protocol (REST), and the extension
`binary_tensor_data` as Triton documents it.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from sightloop.contracts.bundle import Detection
from sightloop.device.errors import MalformedBody

INPUT_NAME = "image"
OUTPUT_NAMES = ("boxes", "scores", "classes", "labels")
EXTENSIONS = ["binary_tensor_data"]

Datatype = Literal["BYTES", "FP32", "INT64"]


class TensorMetadata(msgspec.Struct, frozen=True):
    """Name, type and shape of a tensor; -1 is any length."""

    name: str
    datatype: Datatype
    shape: list[int]


INPUTS = [TensorMetadata(INPUT_NAME, "BYTES", [1])]
OUTPUTS = [
    TensorMetadata("boxes", "FP32", [-1, 4]),
    TensorMetadata("scores", "FP32", [-1]),
    TensorMetadata("classes", "INT64", [-1]),
    TensorMetadata("labels", "BYTES", [-1]),
]


class InferRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a client wants."""

    id: str
    image: bytes
    outputs: list[tuple[str, bool]]
    """Names in the order asked for, and whether each should come in the binary form."""
    stream: str
    group: str


class InferReply(msgspec.Struct, frozen=True):
    """A response body; `json_bytes` is set when raw tensors follow that many bytes of JSON."""

    body: bytes
    json_bytes: int | None


class _Tensor(msgspec.Struct):
    name: str
    datatype: str = ""
    shape: list[int] = []
    parameters: dict[str, Any] = {}
    data: Any = None


class _Request(msgspec.Struct):
    inputs: list[_Tensor]
    id: str = ""
    parameters: dict[str, Any] = {}
    outputs: list[_Tensor] = []


def read_request(body: bytes, *, json_bytes: int | None) -> InferRequest:
    """The request in `body`.

    Args:
        body: the whole HTTP body.
        json_bytes: the header `Inference-Header-Content-Length`; None when all of it is JSON.

    Raises:
        MalformedBody: it does not follow the protocol, or asks for tensors there are none of.
    """
    if json_bytes is not None and not 0 <= json_bytes <= len(body):
        raise MalformedBody(
            problem=f"the JSON part is announced with {json_bytes} of {len(body)} bytes"
        )
    try:
        request = msgspec.json.decode(body[:json_bytes], type=_Request)
    except msgspec.DecodeError as error:
        raise MalformedBody(problem=f"the JSON part: {error}") from error
    raw = b"" if json_bytes is None else body[json_bytes:]
    return InferRequest(
        id=request.id,
        image=_image_of(request.inputs, raw),
        outputs=_wanted(request),
        stream=_text(request.parameters, "stream"),
        group=_text(request.parameters, "group"),
    )


def write_reply(
    request: InferRequest,
    *,
    model: str,
    version: int,
    bundle: str,
    detections: Sequence[Detection],
    class_names: Sequence[str],
) -> InferReply:
    """The answer with the outputs the client asked for, in its order and form."""
    described, raw = [], []
    for name, binary in request.outputs:
        tensor = _output(name, detections, class_names)
        entry: dict[str, Any] = {
            "name": name,
            "datatype": tensor.datatype,
            "shape": tensor.shape,
        }
        if binary:
            packed = _pack(tensor)
            entry["parameters"] = {"binary_data_size": len(packed)}
            raw.append(packed)
        else:
            entry["data"] = tensor.values
        described.append(entry)
    reply: dict[str, Any] = {
        "model_name": model,
        "model_version": str(version),
        "parameters": {"bundle": bundle},
        "outputs": described,
    }
    if request.id:
        reply["id"] = request.id
    head = msgspec.json.encode(reply)
    return InferReply(head + b"".join(raw), len(head) if raw else None)


class _Output(msgspec.Struct, frozen=True):
    datatype: Datatype
    shape: list[int]
    values: list[float] | list[int] | list[str]


def _output(name: str, detections: Sequence[Detection], class_names: Sequence[str]) -> _Output:
    n = len(detections)
    if name == "boxes":
        corners = [c for d in detections for c in (d.x1, d.y1, d.x2, d.y2)]
        return _Output("FP32", [n, 4], corners)
    if name == "scores":
        return _Output("FP32", [n], [d.score for d in detections])
    if name == "classes":
        return _Output("INT64", [n], [d.class_index for d in detections])
    return _Output("BYTES", [n], [class_names[d.class_index] for d in detections])


def _pack(tensor: _Output) -> bytes:
    if tensor.datatype == "BYTES":
        elements = [str(value).encode() for value in tensor.values]
        return b"".join(struct.pack("<I", len(element)) + element for element in elements)
    letter = "f" if tensor.datatype == "FP32" else "q"
    return struct.pack(f"<{len(tensor.values)}{letter}", *tensor.values)


def _image_of(inputs: list[_Tensor], raw: bytes) -> bytes:
    if [tensor.name for tensor in inputs] != [INPUT_NAME]:
        names = [tensor.name for tensor in inputs]
        raise MalformedBody(problem=f"inputs are {names}; the only one is {INPUT_NAME!r}")
    tensor = inputs[0]
    if tensor.datatype != "BYTES" or tensor.shape not in ([1], [1, 1]):
        raise MalformedBody(
            problem=f"{INPUT_NAME!r} is {tensor.datatype} {tensor.shape}; send BYTES [1], "
            "one encoded image"
        )
    if "binary_data_size" in tensor.parameters:
        return _raw_element(raw, tensor.parameters["binary_data_size"])
    return _json_element(tensor.data)


def _raw_element(raw: bytes, size: object) -> bytes:
    if size != len(raw) or len(raw) < 4:
        raise MalformedBody(problem=f"binary_data_size is {size}, but {len(raw)} bytes follow")
    (length,) = struct.unpack_from("<I", raw)
    if length != len(raw) - 4:
        raise MalformedBody(problem=f"the element is {length} bytes long, {len(raw) - 4} follow")
    return raw[4:]


def _json_element(data: object) -> bytes:
    flat = data[0] if isinstance(data, list) and len(data) == 1 else data
    text = flat[0] if isinstance(flat, list) and len(flat) == 1 else flat
    if not isinstance(text, str):
        raise MalformedBody(problem="'data' should hold one base64 text")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedBody(problem=f"'data' is not base64 ({error})") from error


def _wanted(request: _Request) -> list[tuple[str, bool]]:
    by_default = request.parameters.get("binary_data_output") is True
    if not request.outputs:
        return [(name, by_default) for name in OUTPUT_NAMES]
    unknown = [tensor.name for tensor in request.outputs if tensor.name not in OUTPUT_NAMES]
    if unknown:
        raise MalformedBody(problem=f"outputs {unknown} do not exist; there are {OUTPUT_NAMES}")
    return [
        (tensor.name, tensor.parameters.get("binary_data", by_default) is True)
        for tensor in request.outputs
    ]


def _text(parameters: dict[str, Any], name: str) -> str:
    value = parameters.get(name, "")
    if not isinstance(value, str):
        raise MalformedBody(problem=f"parameter {name!r} should be a text")
    return value
