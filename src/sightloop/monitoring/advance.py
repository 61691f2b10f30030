"""Letting every monitor see what devices and labels have said since."""

from __future__ import annotations

import msgspec

from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.workspace import Call, Workspace
from sightloop.monitoring import store
from sightloop.monitoring.batch import Batch
from sightloop.monitoring.evidence import Incident
from sightloop.monitoring.roster import Roster
from sightloop.monitoring.settings import MonitorSettings
from sightloop.monitoring.store import Progress
from sightloop.telemetry.store import losses_after, profiles_after

INCIDENT_OPENED = EventKind("incident.opened")

BATCH_PROFILES = 100
BATCH_LOSSES = 500


class AdvanceMonitors(msgspec.Struct, frozen=True, kw_only=True):
    """The settings for releases that begin now; running ones keep theirs."""

    settings: MonitorSettings = MonitorSettings()
    by_model: dict[str, MonitorSettings] = {}
    """Settings of models that have their own."""

    def of_model(self, model: str) -> MonitorSettings:
        """What a release of this model is held to."""
        return self.by_model.get(model, self.settings)


class Advanced(msgspec.Struct, frozen=True, kw_only=True):
    """How much was counted, and which incidents it opened."""

    n_profiles: int
    n_losses: int
    incidents: list[str]


def advance_monitors(workspace: Workspace, call: Call, request: AdvanceMonitors) -> Advanced:
    """Count every profile and audited loss that has not been counted, each exactly once.

    Works in batches: each is worked out against one reading of the database and then written,
    with its incidents and their events, in one short transaction, unless somebody else changed a
    monitor meanwhile; then it is worked out anew. Any number of callers may run at once.

    Raises:
        NotAllowed: the actor may not run the loop.
    """
    require(call.actor, Permission.RUN_LOOP)
    total = Advanced(n_profiles=0, n_losses=0, incidents=[])
    while True:
        began_at, batch = _work_out(workspace, request)
        if not batch.steps:
            return total
        if _publish(workspace, call, batch, began_at=began_at):
            total = _add(total, batch)


def _work_out(workspace: Workspace, request: AdvanceMonitors) -> tuple[Progress, Batch]:
    with workspace.db.read() as tx:
        progress = store.read_progress(tx)
        batch = Batch(
            workspace, tx, Roster(tx, workspace.blobs, request.of_model), progress=progress
        )
        for profile in profiles_after(tx, progress.last_profile, limit=BATCH_PROFILES):
            batch.see_profile(profile)
        for loss in losses_after(tx, progress.last_loss, limit=BATCH_LOSSES):
            batch.see_loss(loss)
    return progress, batch


def _publish(workspace: Workspace, call: Call, batch: Batch, *, began_at: Progress) -> bool:
    """Write the batch, evidence first; False when the monitors have changed since it was read."""
    if batch.opened:
        with workspace.blobs.batch() as blobs:
            for _, evidence in batch.opened:
                blobs.put(evidence)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        if not store.move_progress(tx, expected=began_at, to=batch.progress):
            return False
        _write(tx, batch, now_ms=now_ms)
        for incident, _ in batch.opened:
            data = event_data(incident)
            tell(tx, INCIDENT_OPENED, incident.id, by=call.actor, at_ms=now_ms, data=data)
    return True


def _write(tx: Tx, batch: Batch, *, now_ms: int) -> None:
    for bundle, settings in batch.roster.new_releases.items():
        store.add_release(tx, bundle, settings, now_ms=now_ms)
    for new in batch.roster.new_streams:
        store.add_stream(tx, new.bundle, new.camera, ordinal=new.ordinal)
    store.save_monitors(tx, batch.roster.monitors)
    store.add_steps(tx, batch.steps)
    for incident, _ in batch.opened:
        store.add_incident(tx, incident)
    for incident_id, supporting in batch.joined:
        store.add_supporting(tx, incident_id, [supporting])


def event_data(incident: Incident) -> dict[str, str]:
    """What the events of an incident tell."""
    return {
        "incident": incident.id,
        "kind": incident.kind,
        "device": incident.device,
        "stream": incident.stream,
        "stratum": incident.stratum,
        "bundle": incident.bundle,
        "monitor": incident.monitor,
        "measure": incident.measure,
        "guarantee": incident.guarantee,
    }


def _add(total: Advanced, batch: Batch) -> Advanced:
    n_profiles = sum(step.kind == "input" for step in batch.steps)
    return Advanced(
        n_profiles=total.n_profiles + n_profiles,
        n_losses=total.n_losses + len(batch.steps) - n_profiles,
        incidents=[*total.incidents, *(opened.incident.id for opened in batch.opened)],
    )
