"""The records of the room, as the other rooms read them."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from sightloop.contracts.bundle import Detection
from sightloop.contracts.profile import Profile
from sightloop.contracts.telemetry import DroppedBody, HealthBody, Lane, SwapBody
from sightloop.kernel.digests import Digest


class StreamKey(NamedTuple):
    """A camera in the whole fleet: stream names are only unique on their device."""

    device: str
    stream: str


class UploadedImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image that arrived whole and could be read; its size is that of the upright image."""

    digest: Digest
    width_px: int
    height_px: int
    media_type: str
    size_bytes: int
    uploaded_at_ms: int


class KeptImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image a device kept, why it did, and what the model answered.

    `group` is empty when the device knows none. `inclusion_probability` was fixed before the
    answer was looked at. `detections` go down to the detector's floor, below what was reported.
    """

    id: str
    device: str
    stream: str
    slot: str
    bundle: Digest
    image: Digest
    group: str
    lane: Lane
    inclusion_probability: float
    uncertainty: float
    descriptor: list[float]
    detections: list[Detection]
    captured_at_ms: int
    stored_at_ms: int
    number: int = 0

    @property
    def camera(self) -> StreamKey:
        """The stream it came from."""
        return StreamKey(self.device, self.stream)


class StoredProfile(msgspec.Struct, frozen=True, kw_only=True):
    """A window of one stream; `number` grows in the order in which profiles became visible."""

    id: str
    profile: Profile
    number: int = 0


class AuditedLoss(msgspec.Struct, frozen=True, kw_only=True):
    """How wrong a bundle was on one audited image, known since the image was labelled.

    `stratum_stream` is what the stream is pointed at as far as its device knows, `strata` are the
    labelled image's own. `at_ms` is when the label came in; `number` grows in that order and is
    given by the store.
    """

    id: str
    kept: str
    device: str
    stream: str
    stratum_stream: str
    strata: list[str]
    bundle: Digest
    loss: float
    inclusion_probability: float
    at_ms: int
    number: int = 0


class StoredHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How serving went in one window of one slot."""

    id: str
    device: str
    health: HealthBody
    number: int = 0


class StoredSwap(msgspec.Struct, frozen=True, kw_only=True):
    """A slot tried to change its bundle."""

    id: str
    device: str
    swap: SwapBody
    number: int = 0


class StoredDrop(msgspec.Struct, frozen=True, kw_only=True):
    """What a device had to throw away, and when it said so."""

    id: str
    device: str
    at_ms: int
    dropped: DroppedBody
    number: int = 0
