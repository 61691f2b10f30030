"""Lists of monitors and incidents as pages show them: what is asked for, and where it goes on."""

from __future__ import annotations

import msgspec

from sightloop.kernel.digests import Digest
from sightloop.monitoring.evidence import IncidentState
from sightloop.monitoring.monitors import Kind
from sightloop.monitoring.references import Guarantee


class WantedMonitors(msgspec.Struct, frozen=True, kw_only=True):
    """Which monitors; None takes any."""

    kind: Kind | None = None
    guarantee: Guarantee | None = None
    device: str | None = None
    bundles: list[Digest] | None = None
    has_alarmed: bool | None = None


class Near(msgspec.Struct, frozen=True, array_like=True):
    """Where a monitor stands among all, the one nearest to its alarm first."""

    nearness: float
    monitor: str


class MonitorLine(msgspec.Struct, frozen=True, kw_only=True):
    """A monitor without the stakes of its bets."""

    id: str
    kind: Kind
    device: str
    stream: str
    slot: str
    bundle: Digest
    stratum: str
    measure: str
    guarantee: Guarantee
    reason: str
    threshold_nats: float
    statistic_nats: float | None
    nearness: float
    n_windows: int
    n_images: int
    incident: str | None
    updated_at_ms: int


class WantedIncidents(msgspec.Struct, frozen=True, kw_only=True):
    """Which incidents; None takes any."""

    state: IncidentState | None = None
    kind: Kind | None = None
    model: str | None = None
    device: str | None = None


class Opened(msgspec.Struct, frozen=True, array_like=True):
    """Where an incident stands among all: open ones first, then the latest."""

    state: IncidentState
    at_ms: int
    incident: str
