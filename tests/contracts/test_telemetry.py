from pathlib import Path

import msgspec
import pytest

from sightloop.contracts.bundle import Detection
from sightloop.contracts.decode import WrongFormat, decode, encode
from sightloop.contracts.profile import Dependence, Profile
from sightloop.contracts.telemetry import (
    DroppedBody,
    Envelope,
    HealthBody,
    KeptImageBody,
    ProfileBody,
    SwapBody,
    TelemetryBatch,
    TelemetryReply,
)
from sightloop.kernel.digests import digest_of

GOLDEN = Path(__file__).parents[1] / "golden"
OLD, NEW, IMAGE = digest_of(b"old"), digest_of(b"new"), digest_of(b"image")
AT_MS = 1_700_000_000_000

BODIES = [
    SwapBody(
        slot="main",
        bundle=NEW,
        previous=OLD,
        outcome="switched",
        reason="",
        started_at_ms=AT_MS,
        duration_ms=640.5,
    ),
    ProfileBody(
        Profile(
            device="device_7",
            stream="cam1",
            slot="main",
            bundle=NEW,
            stratum="product_line=20085",
            started_at_ms=AT_MS,
            ended_at_ms=AT_MS + 60_000,
            n_images=2,
            counts={"brightness": [1, 1]},
            class_counts=[3, 0],
            dependence={"brightness": Dependence(1, 0.25, 0.75, 0.0625, 0.5625, 0.1875)},
        )
    ),
    KeptImageBody(
        stream="cam1",
        slot="main",
        bundle=NEW,
        image=IMAGE,
        group="board-7",
        captured_at_ms=AT_MS,
        lane="audit",
        inclusion_probability=0.02,
        uncertainty=0.5,
        descriptor=[0.6, 0.8],
        detections=[Detection(1, 0.75, 10.0, 20.0, 30.5, 44.0)],
    ),
    HealthBody(
        slot="main",
        bundle=NEW,
        started_at_ms=AT_MS,
        ended_at_ms=AT_MS + 60_000,
        n_requests=601,
        n_failed=1,
        latency_bounds_ms=[10.0, 20.0],
        latency_counts=[580, 20, 1],
        resident_bytes=104_857_600,
    ),
    DroppedBody(n_envelopes=3, by_kind={"health": 1, "uncertain": 2}),
]
BATCH = TelemetryBatch(
    envelopes=[
        Envelope(device="device_7", sequence=41 + index, at_ms=AT_MS, body=body)
        for index, body in enumerate(BODIES)
    ]
)
REPLY = TelemetryReply(stored=[41, 42, 44, 45], missing_blobs=[IMAGE])


@pytest.mark.parametrize(
    ("name", "record"), [("telemetry.json", BATCH), ("telemetry-reply.json", REPLY)]
)
def test_a_record_reads_and_writes_as_its_golden_file(
    name: str, record: TelemetryBatch | TelemetryReply
):
    golden = (GOLDEN / name).read_bytes()
    assert decode(golden, type(record), what=name) == record
    assert msgspec.json.format(encode(record), indent=2) + b"\n" == golden


def test_a_batch_of_a_later_format_is_refused_by_name():
    later = encode(BATCH).replace(b"sightloop.telemetry/1", b"sightloop.telemetry/2")
    with pytest.raises(WrongFormat, match=r"sightloop\.telemetry/1 but is"):
        decode(later, TelemetryBatch, what="telemetry")


def test_a_body_of_an_unknown_kind_is_refused():
    unknown = encode(BATCH).replace(b'"kind":"swap"', b'"kind":"song"')
    with pytest.raises(WrongFormat, match="breaks its rules"):
        decode(unknown, TelemetryBatch, what="telemetry")
