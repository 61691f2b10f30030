"""A batch of telemetry, worked out in memory: what every monitor makes of it, what it opens.

Nothing is written here. The batch reads one consistent state of the database, and `advance`
writes its outcome only if nobody has changed a monitor since.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from sightloop.contracts.decode import encode
from sightloop.contracts.profile import Profile
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import digest_of
from sightloop.kernel.errors import NotFound
from sightloop.kernel.ids import derived_id
from sightloop.kernel.workspace import Workspace
from sightloop.monitoring import store
from sightloop.monitoring.evidence import Evidence, Incident, Supporting
from sightloop.monitoring.freezing import MAX_STEPS, Alarm, freeze_input, freeze_loss
from sightloop.monitoring.monitors import LOSS, Monitor, Watched, see_loss, see_window
from sightloop.monitoring.releases import Release
from sightloop.monitoring.roster import Roster, Stream
from sightloop.monitoring.store import CountedStep, Progress
from sightloop.telemetry.store import find_kept
from sightloop.telemetry.values import AuditedLoss, StoredProfile


class Opened(NamedTuple):
    """An incident to record, and the bytes of its evidence."""

    incident: Incident
    evidence: bytes


class Joined(NamedTuple):
    """A monitor that attaches to an incident."""

    incident: str
    supporting: Supporting


class Batch:
    """What came of some profiles and losses, in the order in which they were seen."""

    def __init__(self, workspace: Workspace, tx: Tx, roster: Roster, *, progress: Progress) -> None:
        self._workspace = workspace
        self._tx = tx
        self.roster = roster
        self.progress = progress
        self.steps: list[CountedStep] = []
        self.opened: list[Opened] = []
        self.joined: list[Joined] = []

    def see_profile(self, stored: StoredProfile) -> None:
        """Count a window of a stream."""
        profile = stored.profile
        watched = Watched(
            kind="input",
            device=profile.device,
            stream=profile.stream,
            slot=profile.slot,
            bundle=profile.bundle,
            stratum=profile.stratum,
        )
        self.progress = self.progress._replace(last_profile=stored.number)
        step = _step(watched, stored.number, at_ms=profile.ended_at_ms, n_images=profile.n_images)
        release = self.roster.release(watched.bundle)
        if isinstance(release, str):
            self.steps.append(msgspec.structs.replace(step, problem=release))
            return
        stream = self.roster.stream(watched, release)
        problem = _count_window(stream, profile, release)
        step = msgspec.structs.replace(step, problem=problem)
        self._finish(step, stream, release, window=profile)

    def see_loss(self, loss: AuditedLoss) -> None:
        """Count an audited label."""
        watched = Watched(
            kind="loss",
            device=loss.device,
            stream=loss.stream,
            slot=self._slot_of(loss),
            bundle=loss.bundle,
            stratum=loss.stratum_stream,
        )
        self.progress = self.progress._replace(last_loss=loss.number)
        step = _step(watched, loss.number, at_ms=loss.at_ms, n_images=1)
        release = self.roster.release(watched.bundle)
        if isinstance(release, str):
            self.steps.append(msgspec.structs.replace(step, problem=release))
            return
        stream = self.roster.stream(watched, release)
        problem = _count_loss(stream, loss, release)
        step = msgspec.structs.replace(step, problem=problem)
        self._finish(step, stream, release, window=None)

    def _finish(
        self, step: CountedStep, stream: Stream, release: Release, *, window: Profile | None
    ) -> None:
        """Note where the step left the stream's monitors, and raise what has alarmed."""
        statistics = {
            name: one.state.statistic_nats
            for name, one in stream.items()
            if one.state.statistic_nats is not None
        }
        self.steps.append(msgspec.structs.replace(step, statistics=statistics))
        alarmed = [one for one in stream.values() if one.has_alarmed and one.incident is None]
        if alarmed:
            alarmed.sort(key=lambda one: -one.excess_nats)
            incident = self._attach(alarmed) or self._open(alarmed, stream, release, window=window)
            for one in alarmed:
                stream[one.measure] = msgspec.structs.replace(one, incident=incident)

    def _attach(self, alarmed: list[Monitor]) -> str | None:
        """Let the monitors support the stream's open incident; None when it has none."""
        incident = self._open_incident(alarmed[0].watched)
        if incident is not None:
            self._join(incident, alarmed)
        return incident

    def _open(
        self, alarmed: list[Monitor], stream: Stream, release: Release, *, window: Profile | None
    ) -> str:
        """Open an incident for the monitor furthest above its threshold; the others support it."""
        leading, *others = alarmed
        incident = derived_id("incident", leading.id, str(self.steps[-1].number))
        traced = [one for one in stream.values() if one.state.statistic_nats is not None]
        traced.sort(key=lambda one: (one.id != leading.id, -one.excess_nats))
        alarm = Alarm(incident, release, traced, self._steps_of(leading.watched), window)
        if window is None:
            evidence = freeze_loss(self._tx, alarm)
        else:
            evidence = freeze_input(self._workspace.blobs, self._tx, alarm)
        self.opened.append(_opened(leading, evidence, now_ms=self._workspace.clock.now_ms()))
        self._join(incident, others)
        return incident

    def _join(self, incident: str, monitors: list[Monitor]) -> None:
        self.joined.extend(Joined(incident, _supporting(one)) for one in monitors)

    def _open_incident(self, watched: Watched) -> str | None:
        for incident, _ in self.opened:
            if _place_of(incident) == _place_of(watched):
                return incident.id
        known = store.open_incident(self._tx, watched)
        return None if known is None else known.id

    def _steps_of(self, watched: Watched) -> list[CountedStep]:
        before = store.steps_of(self._tx, watched, limit=MAX_STEPS)
        mine = [step for step in self.steps if _place_of(step) == _place_of(watched)]
        return [*before, *mine][-MAX_STEPS:]

    def _slot_of(self, loss: AuditedLoss) -> str:
        try:
            return find_kept(self._tx, loss.kept).slot
        except NotFound:  # erased since; the loss stays true
            return ""


def _count_window(stream: Stream, profile: Profile, release: Release) -> str:
    """Let every monitor of the stream see the window; returns what could not be counted."""
    problems = []
    for name, monitor in stream.items():
        fitted = release.measure(name, stratum=profile.stratum)
        counts = profile.counts.get(name, [])
        if fitted.detector is None or sum(counts) == 0:
            continue
        if len(counts) != len(fitted.counts):
            problems.append(f"{name}: {len(counts)} bins, the reference has {len(fitted.counts)}")
            continue
        stream[name] = see_window(
            monitor,
            fitted.detector,
            counts,
            dependence=profile.dependence.get(name),
            standing=fitted.standing,
            max_correlation=release.settings.max_correlation,
            at_ms=profile.ended_at_ms,
        )
    return "; ".join(problems)


def _count_loss(stream: Stream, loss: AuditedLoss, release: Release) -> str:
    detector = release.loss(stratum=loss.stratum_stream).detector
    if detector is None:
        return ""
    if not 0 <= loss.loss <= 1:  # a bet on it could lose more than its stake
        return f"a loss of {loss.loss} is outside [0, 1]"
    stream[LOSS] = see_loss(stream[LOSS], detector, loss.loss, at_ms=loss.at_ms)
    return ""


def _opened(leading: Monitor, evidence: Evidence, *, now_ms: int) -> Opened:
    content, statistic = encode(evidence), leading.state.statistic_nats
    assert statistic is not None, "what alarmed has a statistic"
    assert leading.guarantee != "untestable", "what alarmed was tested"
    incident = Incident(
        id=evidence.incident,
        state="open",
        monitor=leading.id,
        measure=leading.measure,
        model=evidence.model,
        opened_at_ms=now_ms,
        statistic_nats=statistic,
        threshold_nats=leading.threshold_nats,
        guarantee=leading.guarantee,
        evidence=digest_of(content),
        **msgspec.structs.asdict(leading.watched),
    )
    return Opened(incident, content)


def _supporting(monitor: Monitor) -> Supporting:
    assert monitor.state.statistic_nats is not None, "what alarmed has a statistic"
    return Supporting(
        monitor=monitor.id,
        measure=monitor.measure,
        guarantee=monitor.guarantee,
        statistic_nats=monitor.state.statistic_nats,
        joined_at_ms=monitor.updated_at_ms,
    )


def _step(watched: Watched, number: int, *, at_ms: int, n_images: int) -> CountedStep:
    return CountedStep(
        kind=watched.kind,
        number=number,
        device=watched.device,
        stream=watched.stream,
        bundle=watched.bundle,
        at_ms=at_ms,
        n_images=n_images,
        statistics={},
        problem="",
    )


def _place_of(record: Watched | Incident | CountedStep) -> tuple[str, str, str, str]:
    return record.kind, record.device, record.stream, record.bundle
