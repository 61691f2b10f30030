"""One sequential test of one stream: what it watches, where it stands, how a window moves it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from sightloop.contracts.profile import Dependence
from sightloop.kernel.digests import Digest
from sightloop.kernel.ids import derived_id
from sightloop.monitoring.dependence import (
    NeighbourSums,
    add_window,
    correlation_of,
    is_too_dependent,
)
from sightloop.monitoring.detector import Detector, State, start
from sightloop.monitoring.references import Guarantee, LossDetector, Standing

Kind = Literal["input", "loss"]
NOTHING_SEEN = -1e9
"""The nearness of a monitor that has seen nothing: further from an alarm than any that has."""
LOSS = "loss"
"""The measure of a loss monitor."""


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """What the monitors of one kind on one stream have in common."""

    kind: Kind
    device: str
    stream: str
    slot: str
    bundle: Digest
    stratum: str


class Monitor(msgspec.Struct, frozen=True, kw_only=True):
    """A sequential test of one measure, or of the audited loss, on one stream under one bundle.

    `incident` names the open incident it belongs to since it alarmed; until that is closed the
    monitor counts on but opens nothing.
    """

    id: str
    watched: Watched
    measure: str
    guarantee: Guarantee
    reason: str
    threshold_nats: float
    state: State
    neighbours: NeighbourSums
    incident: str | None
    updated_at_ms: int

    @property
    def has_alarmed(self) -> bool:
        """Whether its statistic stands at or above its threshold."""
        return self.state.has_reached(self.threshold_nats)

    @property
    def nearness(self) -> float:
        """The statistic as a part of the threshold: 1 and above is an alarm."""
        statistic = self.state.statistic_nats
        return NOTHING_SEEN if statistic is None else statistic / self.threshold_nats

    @property
    def excess_nats(self) -> float:
        """How far the statistic is above the threshold; negative below it."""
        statistic = self.state.statistic_nats
        return float("-inf") if statistic is None else statistic - self.threshold_nats


def monitor_id(watched: Watched, measure: str) -> str:
    """One per device, stream, bundle and measure: a new bundle gets new monitors."""
    parts = (watched.kind, watched.device, watched.stream, watched.bundle, measure)
    return derived_id("monitor", *parts)


def begin_monitor(
    watched: Watched, measure: str, *, standing: Standing, n_bets: int, threshold_nats: float
) -> Monitor:
    """A monitor that has seen nothing yet."""
    return Monitor(
        id=monitor_id(watched, measure),
        watched=watched,
        measure=measure,
        guarantee=standing.guarantee,
        reason=standing.reason,
        threshold_nats=threshold_nats,
        state=start(n_bets),
        neighbours=NeighbourSums(),
        incident=None,
        updated_at_ms=0,
    )


def see_window(
    monitor: Monitor,
    detector: Detector,
    counts: Sequence[int],
    *,
    dependence: Dependence | None,
    standing: Standing,
    max_correlation: float,
    at_ms: int,
) -> Monitor:
    """The monitor after one more window; `standing` is that of its reference."""
    neighbours = monitor.neighbours
    if dependence is not None:
        neighbours = add_window(neighbours, dependence)
    guarantee, reason = _standing_with(neighbours, standing, max_correlation)
    return msgspec.structs.replace(
        monitor,
        guarantee=guarantee,
        reason=reason,
        state=detector.advance(monitor.state, counts),
        neighbours=neighbours,
        updated_at_ms=at_ms,
    )


def see_loss(monitor: Monitor, detector: LossDetector, loss: float, *, at_ms: int) -> Monitor:
    """The monitor after one more audited label."""
    state = detector.advance(monitor.state, loss)
    return msgspec.structs.replace(monitor, state=state, updated_at_ms=at_ms)


def begin_anew(monitor: Monitor) -> Monitor:
    """The monitor with nothing seen and nothing open, at the threshold it had.

    Its promise still holds: each window stakes 1 at most once, before or after.
    """
    return msgspec.structs.replace(
        monitor, state=start(len(monitor.state.log_stakes)), incident=None
    )


def _standing_with(
    neighbours: NeighbourSums, standing: Standing, max_correlation: float
) -> Standing:
    if not is_too_dependent(neighbours, limit=max_correlation):
        return standing
    found = correlation_of(neighbours)
    assert found is not None, "what is too dependent has a correlation"
    alike = (
        f"neighbouring images are alike: correlation {found.value:.2f} ± {found.error:.2f}, "
        f"at most {max_correlation:g} is allowed for"
    )
    return Standing("calibrated", f"{standing.reason}; {alike}" if standing.reason else alike)
