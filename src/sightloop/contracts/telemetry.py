"""What devices send: numbered envelopes, stored exactly once however often they are sent.

Specification: docs/formats/telemetry.md.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from sightloop.contracts.bundle import Detection
from sightloop.contracts.profile import Profile
from sightloop.kernel.digests import Digest

FORMAT: Literal["sightloop.telemetry/1"] = "sightloop.telemetry/1"

Lane = Literal["audit", "uncertain", "novel", "drift", "operator"]
"""Why an image was kept."""


class ProfileBody(msgspec.Struct, frozen=True, tag_field="kind", tag="profile"):
    """A closed window of one stream."""

    profile: Profile


class KeptImageBody(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="kept_image"):
    """An image the device kept; its bytes are uploaded as a blob before this envelope."""

    stream: str
    slot: str
    bundle: Digest
    image: Digest
    group: str
    """Images of one part or scene share it; it becomes the sample's split key. May be empty."""
    captured_at_ms: int
    lane: Lane
    inclusion_probability: float
    """Probability with which the lane keeps such an image, decided before looking at the answer."""
    uncertainty: float
    descriptor: list[float]
    """A short vector that is close for images that look alike; see `inference.descriptor`."""
    detections: list[Detection]


class SwapBody(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="swap"):
    """A slot tried to change its bundle."""

    slot: str
    bundle: Digest
    previous: Digest | None
    outcome: Literal["switched", "refused"]
    reason: str
    started_at_ms: int
    duration_ms: float


class HealthBody(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="health"):
    """How serving went in a window, per slot and bundle."""

    slot: str
    bundle: Digest
    started_at_ms: int
    ended_at_ms: int
    n_requests: int
    n_failed: int
    latency_bounds_ms: list[float]
    latency_counts: list[int]
    resident_bytes: int


class DroppedBody(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="dropped"):
    """What the device threw away because its spool was full."""

    n_envelopes: int
    by_kind: dict[str, int]


Body = ProfileBody | KeptImageBody | SwapBody | HealthBody | DroppedBody


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """One message; `device` and `sequence` together are its identity, for ever."""

    device: str
    sequence: int
    at_ms: int
    body: Body


class TelemetryBatch(msgspec.Struct, frozen=True, kw_only=True):
    """What a device sends in one request."""

    format: Literal["sightloop.telemetry/1"] = FORMAT
    envelopes: list[Envelope]


class TelemetryReply(msgspec.Struct, frozen=True, kw_only=True):
    """Which envelopes the device may forget, and which blobs it has yet to upload."""

    format: Literal["sightloop.telemetry-reply/1"] = "sightloop.telemetry-reply/1"
    stored: list[int]
    missing_blobs: list[Digest]
