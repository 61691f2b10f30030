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
from typing import Any, Literal

import msgspec

from sightloop.contracts.bundle import Task
from sightloop.contracts.shapes import Keypoints, Mask, OrientedBox
from sightloop.device.errors import MalformedBody
from sightloop.device.image_request import Prediction

INPUT_NAME = "image"
EXTENSIONS = ["binary_tensor_data"]

Datatype = Literal["BYTES", "FP32", "INT64", "UINT8"]

MOST_MASK_BYTES = 256 << 20
"""Of masks as pixels in one answer; runs have no such limit."""


class TensorMetadata(msgspec.Struct, frozen=True):
    """Name, type and shape of a tensor; -1 is any length."""

    name: str
    datatype: Datatype
    shape: list[int]


INPUTS = [TensorMetadata(INPUT_NAME, "BYTES", [1])]
_BOXES = TensorMetadata("boxes", "FP32", [-1, 4])
_CLASSES = [
    TensorMetadata("scores", "FP32", [-1]),
    TensorMetadata("classes", "INT64", [-1]),
    TensorMetadata("labels", "BYTES", [-1]),
]
OUTPUTS: dict[Task, list[TensorMetadata]] = {
    "detect": [_BOXES, *_CLASSES],
    "segment": [
        _BOXES,
        *_CLASSES,
        TensorMetadata("masks", "UINT8", [-1, -1, -1]),
        TensorMetadata("mask_runs", "BYTES", [-1]),
        TensorMetadata("polygons", "BYTES", [-1]),
    ],
    "pose": [_BOXES, *_CLASSES, TensorMetadata("keypoints", "FP32", [-1, -1, 3])],
    "obb": [
        _BOXES,
        *_CLASSES,
        TensorMetadata("oriented_boxes", "FP32", [-1, 5]),
        TensorMetadata("oriented_corners", "FP32", [-1, 4, 2]),
    ],
    "classify": [*_CLASSES, TensorMetadata("probabilities", "FP32", [-1])],
}
"""Of each task. `masks` are pixels of the whole image, 0 or 1; an element of `mask_runs` is a
COCO mask and one of `polygons` a list of outlines, both as JSON. An oriented box is centre, width,
height and angle in radians."""

ONLY_WHEN_ASKED = frozenset({"masks"})
"""As large as the image for each object: a client that names no outputs does not get them."""


class InferRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a client wants."""

    id: str
    image: bytes
    outputs: list[tuple[str, bool]]
    """Names in the order asked for, and whether each should come in the binary form."""
    stream: str
    group: str
    timeout_s: float | None
    """How long it may wait for a worker; Triton's parameter `timeout`, in microseconds."""


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


def read_request(body: bytes, *, json_bytes: int | None, task: Task = "detect") -> InferRequest:
    """The request in `body`.

    Args:
        body: the whole HTTP body.
        json_bytes: the header `Inference-Header-Content-Length`; None when all of it is JSON.
        task: of the model that is asked, which decides the outputs there are.

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
        outputs=_wanted(request, task),
        stream=_text(request.parameters, "stream"),
        group=_text(request.parameters, "group"),
        timeout_s=_timeout_s(request.parameters),
    )


def write_reply(request: InferRequest, prediction: Prediction) -> InferReply:
    """The answer with the outputs the client asked for, in its order and form.

    Raises:
        MalformedBody: the model was replaced by one of another task while it answered, or the
            masks are too large to be sent as pixels.
    """
    described, raw = [], []
    for name, binary in request.outputs:
        tensor = _output(name, prediction)
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
            entry["data"] = list(tensor.values)
        described.append(entry)
    reply: dict[str, Any] = {
        "model_name": prediction.by.model,
        "model_version": str(prediction.by.version),
        "parameters": {"bundle": prediction.by.bundle},
        "outputs": described,
    }
    if request.id:
        reply["id"] = request.id
    head = msgspec.json.encode(reply)
    return InferReply(head + b"".join(raw), len(head) if raw else None)


class _Output(msgspec.Struct, frozen=True):
    datatype: Datatype
    shape: list[int]
    values: list[float] | list[int] | list[str] | bytes
    """Bytes are UINT8 elements."""


def _output(name: str, prediction: Prediction) -> _Output:
    if name not in [tensor.name for tensor in OUTPUTS[prediction.task]]:
        raise MalformedBody(problem=f"output {name!r} does not exist in the model that answered")
    found, n = prediction.detections, len(prediction.detections)
    match name:
        case "boxes":
            return _Output("FP32", [n, 4], [c for d in found for c in (d.x1, d.y1, d.x2, d.y2)])
        case "scores":
            return _Output("FP32", [n], [d.score for d in found])
        case "classes":
            return _Output("INT64", [n], [d.class_index for d in found])
        case "labels":
            return _Output("BYTES", [n], [prediction.class_names[d.class_index] for d in found])
        case "probabilities":
            return _Output("FP32", [len(prediction.probabilities)], prediction.probabilities)
        case "keypoints":
            return _keypoints([one for one in prediction.shapes if isinstance(one, Keypoints)])
        case "masks" | "mask_runs" | "polygons":
            return _masks(name, [one for one in prediction.shapes if isinstance(one, Mask)])
    return _turned(name, [one for one in prediction.shapes if isinstance(one, OrientedBox)])


def _keypoints(shapes: list[Keypoints]) -> _Output:
    n_points = len(shapes[0].points) if shapes else 0
    values = [number for shape in shapes for point in shape.points for number in point]
    return _Output("FP32", [len(shapes), n_points, 3], values)


def _turned(name: str, shapes: list[OrientedBox]) -> _Output:
    if name == "oriented_corners":
        corners = [number for one in shapes for corner in one.corners() for number in corner]
        return _Output("FP32", [len(shapes), 4, 2], corners)
    rows = [(s.center_x, s.center_y, s.width, s.height, s.angle_rad) for s in shapes]
    return _Output("FP32", [len(shapes), 5], [number for row in rows for number in row])


def _masks(name: str, shapes: list[Mask]) -> _Output:
    if name == "polygons":
        texts = [msgspec.json.encode(shape.rings).decode() for shape in shapes]
        return _Output("BYTES", [len(shapes)], texts)
    if name == "mask_runs":
        coco = [{"size": [one.height_px, one.width_px], "counts": one.runs} for one in shapes]
        return _Output("BYTES", [len(shapes)], [msgspec.json.encode(one).decode() for one in coco])
    height_px, width_px = (shapes[0].height_px, shapes[0].width_px) if shapes else (0, 0)
    if len(shapes) * height_px * width_px > MOST_MASK_BYTES:
        raise MalformedBody(
            problem=f"{len(shapes)} masks of {width_px} x {height_px} px are too large to send; "
            "ask for mask_runs"
        )
    # Only who asks for pixels makes the front load numpy.
    from sightloop.inference.masks import decode_mask

    pixels = b"".join(decode_mask(shape).astype("u1").tobytes() for shape in shapes)
    return _Output("UINT8", [len(shapes), height_px, width_px], pixels)


def _pack(tensor: _Output) -> bytes:
    if isinstance(tensor.values, bytes):
        return tensor.values
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


def _wanted(request: _Request, task: Task) -> list[tuple[str, bool]]:
    by_default = request.parameters.get("binary_data_output") is True
    names = [tensor.name for tensor in OUTPUTS[task]]
    if not request.outputs:
        return [(name, by_default) for name in names if name not in ONLY_WHEN_ASKED]
    unknown = [tensor.name for tensor in request.outputs if tensor.name not in names]
    if unknown:
        raise MalformedBody(problem=f"outputs {unknown} do not exist; there are {names}")
    return [
        (tensor.name, tensor.parameters.get("binary_data", by_default) is True)
        for tensor in request.outputs
    ]


def _timeout_s(parameters: dict[str, Any]) -> float | None:
    timeout_us = parameters.get("timeout", 0)
    if isinstance(timeout_us, bool) or not isinstance(timeout_us, int) or timeout_us < 0:
        raise MalformedBody(problem="parameter 'timeout' should be a number of microseconds")
    return timeout_us / 1e6 if timeout_us else None


def _text(parameters: dict[str, Any], name: str) -> str:
    value = parameters.get(name, "")
    if not isinstance(value, str):
        raise MalformedBody(problem=f"parameter {name!r} should be a text")
    return value
