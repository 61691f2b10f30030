"""Whatever bytes arrive, every parser of the device answers with a value or with its own error.

Seconds here; `make fuzz` runs the same for minutes (`SIGHTLOOP_FUZZ_EXAMPLES`).
"""

import contextlib
import json
import os
import struct

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sightloop.contracts.bundle import Bundle
from sightloop.contracts.check_in import CheckInReply
from sightloop.contracts.decode import decode
from sightloop.contracts.telemetry import TelemetryReply
from sightloop.device import multipart, oip
from sightloop.device.errors import BadSetting, MalformedBody
from sightloop.device.framing import Frames
from sightloop.device.settings import AgentSettings, parse_shadow, parse_stream
from sightloop.inference.containers import read_outline
from sightloop.inference.errors import UnreadableImage
from sightloop.inference.images import decode_picture
from sightloop.kernel.errors import SightloopError

fuzzed = settings(
    max_examples=int(os.environ.get("SIGHTLOOP_FUZZ_EXAMPLES", "60")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

GREY = np.full((24, 32, 3), 110, np.uint8)
WHOLE = [cv2.imencode(suffix, GREY)[1].tobytes() for suffix in (".jpg", ".png", ".webp", ".bmp")]


@st.composite
def damaged(draw: st.DrawFn, wholes: list[bytes]) -> bytes:
    """A file that was right once: cut off, with other bytes in it, or with more behind it."""
    content = bytearray(draw(st.sampled_from(wholes)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(content)))
        content[at : at + draw(st.integers(0, 4))] = draw(st.binary(max_size=6))
    return bytes(content[: draw(st.integers(0, len(content)))])


@fuzzed
@given(st.binary(max_size=200) | damaged(WHOLE))
def test_every_image_is_read_or_refused(content: bytes):
    with contextlib.suppress(UnreadableImage):
        outline = read_outline(content, name="fuzzed")
        if outline.width_px * outline.height_px <= 1_000_000:
            picture = decode_picture(content, name="fuzzed")
            assert picture.dtype == np.uint8
            assert picture.shape[2] == 3


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
TENSOR = st.fixed_dictionaries(
    {"name": st.just("image") | JSON, "datatype": st.just("BYTES") | JSON},
    optional={
        "shape": st.just([1]) | JSON,
        "data": st.just(["aGk="]) | JSON,
        "parameters": st.fixed_dictionaries({"binary_data_size": JSON}) | JSON,
    },
)
REQUEST = st.fixed_dictionaries(
    {"inputs": st.lists(TENSOR, max_size=2) | JSON},
    optional={
        "id": JSON,
        "outputs": st.lists(st.fixed_dictionaries({"name": JSON}), max_size=2) | JSON,
        "parameters": st.fixed_dictionaries({"timeout": JSON, "stream": JSON}) | JSON,
    },
)


@fuzzed
@given(REQUEST, st.binary(max_size=20), st.none() | st.integers(-5, 200))
def test_every_inference_request_is_read_or_refused(request: dict, raw: bytes, cut: int | None):
    head = json.dumps(request).encode()
    for json_bytes in (None, len(head), cut):
        with contextlib.suppress(MalformedBody):
            oip.read_request(head + raw, json_bytes=json_bytes)


FORM = b'--x\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\nbytes\r\n--x--\r\n'


@fuzzed
@given(
    st.binary(max_size=100) | damaged([FORM, FORM.replace(b"--x--", b"--x") + FORM]),
    st.just("multipart/form-data; boundary=x") | st.text(max_size=40),
)
def test_every_form_is_read_or_refused(body: bytes, content_type: str):
    with contextlib.suppress(MalformedBody):
        assert multipart.file_parts(body, content_type=content_type)


@fuzzed
@given(st.text(max_size=40))
def test_every_flag_is_read_or_refused(text: str):
    for parse in (parse_stream, parse_shadow):
        with contextlib.suppress(BadSetting):
            parse(text)


@pytest.mark.parametrize("kind", [AgentSettings, Bundle, CheckInReply, TelemetryReply])
@fuzzed
@given(content=st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_every_record_from_disk_or_server_is_read_or_refused(kind: type, content: bytes):
    with contextlib.suppress(SightloopError):
        decode(content, kind, what="fuzzed")


@fuzzed
@given(st.lists(st.binary(max_size=30), max_size=6), st.data())
def test_frames_come_out_as_they_went_in_whatever_pieces_they_travel_in(contents, data):
    stream = b"".join(struct.pack("<I", len(content)) + content for content in contents)
    frames, found = Frames(), []
    while stream:
        n = data.draw(st.integers(1, len(stream)))
        found += frames.feed(stream[:n])
        stream = stream[n:]
    assert found == contents
