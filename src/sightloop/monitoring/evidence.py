"""An incident, and what it froze when it opened: enough to draw and to argue about, for ever."""

from __future__ import annotations

from typing import Literal

import msgspec

from sightloop.kernel.digests import Digest
from sightloop.monitoring.monitors import Kind
from sightloop.monitoring.references import Guarantee
from sightloop.monitoring.settings import MonitorSettings

FORMAT: Literal["sightloop.incident/1"] = "sightloop.incident/1"


IncidentState = Literal["open", "closed"]


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm of one stream under one bundle. `monitor` is the one that alarmed first."""

    id: str
    kind: Kind
    state: IncidentState
    monitor: str
    measure: str
    device: str
    stream: str
    slot: str
    bundle: Digest
    model: str
    stratum: str
    opened_at_ms: int
    statistic_nats: float
    threshold_nats: float
    guarantee: Literal["guaranteed", "calibrated"]
    evidence: Digest
    """Blob with an `Evidence`."""
    closed_at_ms: int | None = None
    closed_because: str = ""


class Supporting(msgspec.Struct, frozen=True, kw_only=True):
    """Another monitor of the stream that alarmed while the incident was open."""

    monitor: str
    measure: str
    guarantee: Guarantee
    statistic_nats: float
    joined_at_ms: int


class Streams(msgspec.Struct, frozen=True):
    """Where it happened."""

    device: str
    stream: str
    slot: str
    stratum: str
    """The reference the stream was declared to be like."""


class TracePoint(msgspec.Struct, frozen=True, array_like=True):
    """A monitor's statistic after a window: when it ended, images seen by then, nats."""

    at_ms: int
    n_images: int
    statistic_nats: float


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """One monitor's way to where it stood, oldest point first."""

    monitor: str
    measure: str
    guarantee: Guarantee
    reason: str
    statistic_nats: float
    threshold_nats: float
    n_images_since_change: int
    points: list[TracePoint]


class MeasureChange(msgspec.Struct, frozen=True, kw_only=True):
    """How a measure is distributed since the change, beside its reference, as shares per bin."""

    measure: str
    words: str
    edges: list[float]
    """Inner edges of the bins; there is one share more than edges."""
    reference_shares: list[float]
    live_shares: list[float]
    n_reference: int
    n_live: int


class LossChange(msgspec.Struct, frozen=True, kw_only=True):
    """The audited losses since the change, beside the reference."""

    words: str
    reference_mean: float
    reference_deviation: float
    n_reference: int
    losses: list[float]
    """In the order of their labels."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """A blob of its own, written when the incident is opened and never again."""

    format: Literal["sightloop.incident/1"] = FORMAT
    incident: str
    kind: Kind
    streams: list[Streams]
    bundle: Digest
    model: str
    change_at_ms: int
    """Start of the first window (or time of the first label) after the estimated change."""
    n_images_since_change: int
    """Images (or labels) the alarm took."""
    traces: list[Trace]
    """Every monitor of the stream, the one that alarmed first."""
    measures: list[MeasureChange]
    """Those that moved most, most first; empty for a loss incident."""
    loss: LossChange | None
    kept: list[str]
    """Kept images that show the change best, best first."""
    settings: MonitorSettings
