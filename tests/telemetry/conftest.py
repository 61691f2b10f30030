"""A device as the room sees it: it counts, keeps images and sends batches."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import msgspec
import numpy as np
import pytest

from sightloop.contracts.bundle import Detection
from sightloop.contracts.profile import Profile
from sightloop.contracts.telemetry import (
    Body,
    DroppedBody,
    Envelope,
    HealthBody,
    KeptImageBody,
    ProfileBody,
    SwapBody,
    TelemetryBatch,
    TelemetryReply,
)
from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.digests import Digest, digest_of
from sightloop.kernel.workspace import Call, Workspace
from sightloop.telemetry.services import store_batch, store_upload

BUNDLE = digest_of(b"a bundle")


def picture(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (12, 16, 3), np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


class Sender:
    """Builds envelopes of one device and sends them as that device."""

    def __init__(self, workspace: Workspace, name: str = "dev_1") -> None:
        self.workspace = workspace
        self.name = name
        self.call = Call(Actor(ActorId(name), "device", Role.DEVICE))

    def upload(self, content: bytes) -> Digest:
        store_upload(self.workspace, self.call, digest=digest_of(content), content=content)
        return digest_of(content)

    def send(self, envelopes: Sequence[Envelope]) -> TelemetryReply:
        batch = TelemetryBatch(envelopes=list(envelopes))
        return store_batch(self.workspace, self.call, batch)

    def envelope(self, sequence: int, body: Body) -> Envelope:
        return Envelope(device=self.name, sequence=sequence, at_ms=sequence, body=body)

    def profile(self, sequence: int, **changes: object) -> Envelope:
        profile = Profile(
            device=self.name,
            stream="cam",
            slot="main",
            bundle=BUNDLE,
            stratum="line=a",
            started_at_ms=sequence * 100,
            ended_at_ms=sequence * 100 + 99,
            n_images=3,
            counts={"brightness": [1, 2]},
            class_counts=[3],
            dependence={},
        )
        return self.envelope(sequence, ProfileBody(msgspec.structs.replace(profile, **changes)))

    def kept(self, sequence: int, image: Digest, **changes: object) -> Envelope:
        body = KeptImageBody(
            stream="cam",
            slot="main",
            bundle=BUNDLE,
            image=image,
            group="board 1",
            captured_at_ms=sequence * 100,
            lane="audit",
            inclusion_probability=0.1,
            uncertainty=0.5,
            descriptor=[0.6, 0.8],
            detections=[Detection(0, 0.9, 1.0, 2.0, 5.0, 6.0)],
        )
        return self.envelope(sequence, msgspec.structs.replace(body, **changes))

    def health(self, sequence: int, **changes: object) -> Envelope:
        body = HealthBody(
            slot="main",
            bundle=BUNDLE,
            started_at_ms=sequence * 100,
            ended_at_ms=sequence * 100 + 99,
            n_requests=10,
            n_failed=1,
            latency_bounds_ms=[5.0, 10.0],
            latency_counts=[6, 3, 1],
            resident_bytes=1000,
        )
        return self.envelope(sequence, msgspec.structs.replace(body, **changes))

    def swap(self, sequence: int) -> Envelope:
        body = SwapBody(
            slot="main",
            bundle=BUNDLE,
            previous=None,
            outcome="switched",
            reason="",
            started_at_ms=sequence * 100,
            duration_ms=12.5,
        )
        return self.envelope(sequence, body)

    def dropped(self, sequence: int) -> Envelope:
        return self.envelope(sequence, DroppedBody(n_envelopes=4, by_kind={"profile": 4}))


@pytest.fixture
def sender(workspace: Workspace) -> Sender:
    return Sender(workspace)


@pytest.fixture
def other_sender(workspace: Workspace) -> Sender:
    return Sender(workspace, "dev_2")


@pytest.fixture
def pictures() -> list[bytes]:
    return [picture(seed) for seed in range(4)]
