"""What people, pages and the loop ask about monitors and incidents."""

from __future__ import annotations

import msgspec

from sightloop.contracts.decode import decode
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.digests import Digest
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.workspace import Call, Workspace
from sightloop.monitoring import store
from sightloop.monitoring.advance import event_data
from sightloop.monitoring.errors import IncidentClosed
from sightloop.monitoring.evidence import Evidence, Incident, IncidentState, Supporting
from sightloop.monitoring.monitors import Kind, Monitor, Watched, begin_anew

INCIDENT_CLOSED = EventKind("incident.closed")


class FindIncident(msgspec.Struct, frozen=True, kw_only=True):
    """Which incident."""

    incident: str


class ListIncidents(msgspec.Struct, frozen=True, kw_only=True):
    """Which incidents; None selects every value."""

    state: IncidentState | None = None
    kind: Kind | None = None
    device: str | None = None
    stream: str | None = None
    bundle: Digest | None = None
    limit: int = 1000


class CloseIncident(msgspec.Struct, frozen=True, kw_only=True):
    """Which incident, and why it is over: what was done, or that it was no problem."""

    incident: str
    reason: str


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """An incident with everything a report draws."""

    incident: Incident
    evidence: Evidence
    supporting: list[Supporting]


class ListMonitors(msgspec.Struct, frozen=True, kw_only=True):
    """Whose monitors; None selects every value."""

    device: str | None = None
    bundle: Digest | None = None


def find_incident(workspace: Workspace, call: Call, request: FindIncident) -> Incident:
    """The incident as it stands.

    Raises:
        NotAllowed: the actor may not read.
        IncidentUnknown: there is none of that id.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        return store.find_incident(tx, request.incident)


def list_incidents(workspace: Workspace, call: Call, request: ListIncidents) -> list[Incident]:
    """Incidents, the latest first.

    Raises:
        NotAllowed: the actor may not read.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        return store.list_incidents(tx, **msgspec.structs.asdict(request))


def explain_incident(workspace: Workspace, call: Call, request: FindIncident) -> Explanation:
    """The incident with its frozen evidence and whoever joined it since.

    Raises:
        NotAllowed: the actor may not read.
        IncidentUnknown: there is none of that id.
        BlobMissing, BlobDamaged: its evidence was lost.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        incident = store.find_incident(tx, request.incident)
        supporting = store.supporting_of(tx, request.incident)
    content = workspace.blobs.read(incident.evidence)
    evidence = decode(content, Evidence, what=f"evidence of {incident.id}")
    return Explanation(incident=incident, evidence=evidence, supporting=supporting)


def close_incident(workspace: Workspace, call: Call, request: CloseIncident) -> Incident:
    """Close the incident; all monitors of its kind on its stream and bundle begin anew.

    They compare with the same reference as before: while the change lasts they will alarm again.

    Raises:
        NotAllowed: the actor may not run the loop.
        IncidentUnknown: there is none of that id.
        IncidentClosed: it was closed before.
    """
    require(call.actor, Permission.RUN_LOOP)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        incident = store.find_incident(tx, request.incident)
        if incident.state == "closed":
            raise IncidentClosed(
                incident=incident.id,
                closed_at_ms=incident.closed_at_ms or 0,
                reason=incident.closed_because,
            )
        store.raise_revision(tx)
        store.note_closed(tx, incident.id, because=request.reason, now_ms=now_ms)
        monitors = store.monitors_of(tx, _watched_of(incident))
        store.save_monitors(tx, [begin_anew(monitor) for monitor in monitors])
        data = event_data(incident) | {"reason": request.reason}
        tell(tx, INCIDENT_CLOSED, incident.id, by=call.actor, at_ms=now_ms, data=data)
        return store.find_incident(tx, incident.id)


def list_monitors(workspace: Workspace, call: Call, request: ListMonitors) -> list[Monitor]:
    """Every monitor with its statistic, threshold and what its alarm would be worth.

    Raises:
        NotAllowed: the actor may not read.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        return store.list_monitors(tx, device=request.device, bundle=request.bundle)


def _watched_of(incident: Incident) -> Watched:
    return Watched(**{name: getattr(incident, name) for name in Watched.__struct_fields__})
