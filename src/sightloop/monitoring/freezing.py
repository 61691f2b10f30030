"""Gathering the evidence of an alarm at the moment it is raised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sightloop.contracts.bundle import Thresholds
from sightloop.contracts.profile import Profile
from sightloop.inference.histograms import bin_of
from sightloop.inference.images import decode_picture
from sightloop.inference.measures import measure as measure_picture
from sightloop.kernel.blobs import Blobs
from sightloop.kernel.database import Tx
from sightloop.kernel.errors import BadInput, Damaged
from sightloop.monitoring.detector import Detector, Floats
from sightloop.monitoring.evidence import Evidence, LossChange, MeasureChange, Streams, Trace
from sightloop.monitoring.monitors import Monitor, Watched
from sightloop.monitoring.references import POOLED, FittedMeasure
from sightloop.monitoring.releases import Release
from sightloop.monitoring.store import CountedStep, trace_of
from sightloop.monitoring.words import describe_change, describe_loss
from sightloop.telemetry.store import list_kept, losses_after, profiles_of
from sightloop.telemetry.values import AuditedLoss, KeptImage, StreamKey

MAX_STEPS = 200
MAX_MEASURES = 3
MAX_KEPT = 12
MAX_LOOKED_AT = 36
"""Kept images that are decoded to find the most telling ones."""


class Alarm(NamedTuple):
    """What was raised: the monitors of a stream, the one that leads first, and how they came."""

    incident: str
    release: Release
    monitors: list[Monitor]
    steps: list[CountedStep]
    """Oldest first, up to the one that raised it."""
    window: Profile | None
    """The one that raised it; None for an alarm on losses."""

    @property
    def watched(self) -> Watched:
        """What they watch."""
        return self.monitors[0].watched

    @property
    def camera(self) -> StreamKey:
        """Where."""
        return StreamKey(self.watched.device, self.watched.stream)


def freeze_input(blobs: Blobs, tx: Tx, alarm: Alarm) -> Evidence:
    """The evidence of an alarm on a stream's measures."""
    leader, watched = alarm.monitors[0], alarm.watched
    profiles = _profiles_since_change(tx, alarm)
    changed_at_ms = min(one.started_at_ms for one in profiles)
    kept = list_kept(
        tx,
        streams=[alarm.camera],
        bundle=watched.bundle,
        since_ms=changed_at_ms,
        limit=MAX_LOOKED_AT,
    )
    fitted = alarm.release.measure(leader.measure, stratum=watched.stratum)
    thresholds = alarm.release.bundle.thresholds
    return _evidence(
        alarm,
        changed_at_ms=changed_at_ms,
        measures=_measure_changes(alarm, profiles),
        loss=None,
        kept=_most_telling(blobs, kept, leader, fitted, thresholds),
    )


def freeze_loss(tx: Tx, alarm: Alarm) -> Evidence:
    """The evidence of an alarm on a stream's audited losses."""
    losses = _losses_since_change(tx, alarm)
    reference = alarm.release.loss(stratum=alarm.watched.stratum).reference
    assert reference is not None, "a monitor without a reference counts nothing"
    now = sum(one.loss for one in losses) / len(losses)
    change = LossChange(
        words=describe_loss(before=reference.mean, now=now, n_labels=len(losses)),
        reference_mean=reference.mean,
        reference_deviation=reference.deviation,
        n_reference=reference.n_images,
        losses=[one.loss for one in losses],
    )
    worst = sorted(losses, key=lambda one: -one.loss)[:MAX_KEPT]
    return _evidence(
        alarm,
        changed_at_ms=min(one.at_ms for one in losses),
        measures=[],
        loss=change,
        kept=[one.kept for one in worst],
    )


def _evidence(
    alarm: Alarm,
    *,
    changed_at_ms: int,
    measures: list[MeasureChange],
    loss: LossChange | None,
    kept: list[str],
) -> Evidence:
    watched = alarm.watched
    return Evidence(
        incident=alarm.incident,
        kind=watched.kind,
        streams=[Streams(watched.device, watched.stream, watched.slot, watched.stratum)],
        bundle=watched.bundle,
        model=alarm.release.bundle.model,
        change_at_ms=changed_at_ms,
        n_images_since_change=alarm.monitors[0].state.n_images_since_change,
        traces=[_trace(one, alarm.steps) for one in alarm.monitors],
        measures=measures,
        loss=loss,
        kept=kept,
        settings=alarm.release.settings,
    )


def _trace(monitor: Monitor, steps: Sequence[CountedStep]) -> Trace:
    statistic = monitor.state.statistic_nats
    assert statistic is not None, "only monitors that saw something are traced"
    return Trace(
        monitor=monitor.id,
        measure=monitor.measure,
        guarantee=monitor.guarantee,
        reason=monitor.reason,
        statistic_nats=statistic,
        threshold_nats=monitor.threshold_nats,
        n_images_since_change=monitor.state.n_images_since_change,
        points=trace_of(steps, monitor.measure),
    )


def _measure_changes(alarm: Alarm, profiles: Sequence[Profile]) -> list[MeasureChange]:
    """Of the leader and of those at least half way to an alarm, most first."""
    changes = []
    for one in alarm.monitors:
        fitted = alarm.release.measure(one.measure, stratum=alarm.watched.stratum)
        live = _sum_counts(profiles, one.measure, n_bins=len(fitted.counts))
        if live.any() and -one.excess_nats <= one.threshold_nats / 2:
            changes.append(_measure_change(one, fitted, live))
    return changes[:MAX_MEASURES]


def _measure_change(monitor: Monitor, fitted: FittedMeasure, live: Floats) -> MeasureChange:
    assert fitted.detector is not None, "an untestable measure has no statistic"
    assert fitted.reference is not None, "an untestable measure has no statistic"
    words = describe_change(
        monitor.measure,
        fitted.detector.sides[monitor.state.leading_bet],
        reference=fitted.counts,
        pooled=fitted.reference.counts.get(POOLED, fitted.counts),
        live=live.astype(int).tolist(),
    )
    reference = np.asarray(fitted.counts, dtype=np.float64)
    return MeasureChange(
        measure=monitor.measure,
        words=words,
        edges=fitted.reference.edges,
        reference_shares=(reference / reference.sum()).tolist(),
        live_shares=(live / live.sum()).tolist(),
        n_reference=int(reference.sum()),
        n_live=int(live.sum()),
    )


def _sum_counts(profiles: Sequence[Profile], measure: str, *, n_bins: int) -> Floats:
    total = np.zeros(n_bins)
    for profile in profiles:
        counts = profile.counts.get(measure, [])
        if len(counts) == n_bins:
            total += counts
    return total


def _profiles_since_change(tx: Tx, alarm: Alarm) -> list[Profile]:
    """The latest windows that hold the images since the leader's estimate of the change."""
    assert alarm.window is not None, "measures alarm on windows"
    found = [alarm.window]
    wanted = alarm.monitors[0].state.n_images_since_change - alarm.window.n_images
    before = {step.number for step in alarm.steps[:-1]}
    stored = [one for one in profiles_of(tx, alarm.camera, limit=MAX_STEPS) if one.number in before]
    # By number, the order in which they were counted: a device's clock may have been set back.
    for one in sorted(stored, key=lambda one: -one.number):
        if wanted <= 0:
            break
        found.append(one.profile)
        wanted -= one.profile.n_images
    return found


def _losses_since_change(tx: Tx, alarm: Alarm) -> list[AuditedLoss]:
    """The stream's latest audited losses since the leader's estimate of the change, in order."""
    counted = [step.number for step in alarm.steps if not step.problem]
    numbers = counted[-alarm.monitors[0].state.n_images_since_change :]
    found: list[AuditedLoss] = []
    after = numbers[0] - 1
    while page := losses_after(tx, after):
        found.extend(loss for loss in page if loss.number in numbers)
        after = page[-1].number
    return found


def _most_telling(
    blobs: Blobs,
    kept: Sequence[KeptImage],
    leader: Monitor,
    fitted: FittedMeasure,
    thresholds: Thresholds,
) -> list[str]:
    """The kept images on which the leading bet won most, best first."""
    assert fitted.detector is not None, "an untestable measure cannot alarm"
    assert fitted.reference is not None, "an untestable measure cannot alarm"
    gains, edges = _gains_of(fitted.detector, leader), fitted.reference.edges
    won = []
    for image in kept:
        value = _measure_of(blobs, image, leader.measure, thresholds)
        if value is not None:
            won.append((-float(gains[bin_of(edges, value)]), image.id))
    return [kept_id for _, kept_id in sorted(won)[:MAX_KEPT]]


def _gains_of(detector: Detector, leader: Monitor) -> Floats:
    gains: Floats = detector.log_factors[leader.state.leading_bet]
    return gains


def _measure_of(
    blobs: Blobs, image: KeptImage, measure: str, thresholds: Thresholds
) -> float | None:
    """None when the image cannot be looked at: a lost picture must not hold an alarm back."""
    try:
        content = blobs.read(image.image)
        picture = decode_picture(content, name=image.id)
    except (BadInput, Damaged):
        return None
    values = measure_picture(
        picture, n_bytes=len(content), detections=image.detections, thresholds=thresholds
    )
    return values.get(measure)
