"""What was decided about an incident: its own events, what its stream kept since, its turns."""

from __future__ import annotations

import msgspec

from sightloop.fleet.streams import POLICY_CHANGED
from sightloop.kernel import events
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.events import Event
from sightloop.kernel.workspace import Call, Workspace
from sightloop.loop.turns import Turn, list_turns
from sightloop.monitoring import store as monitoring
from sightloop.monitoring.evidence import Incident

N_EVENTS = 300
"""Of the incident, and of its device since: what is read at most."""
SETTLING_MS = 60_000
"""A stream keeps as usual again shortly after its incident is closed."""


class FollowIncident(msgspec.Struct, frozen=True, kw_only=True):
    """Which incident."""

    incident: str


class IncidentStory(msgspec.Struct, frozen=True, kw_only=True):
    """Turns that the incident started or that ended it, and every event of it, oldest first."""

    turns: list[Turn]
    events: list[Event]


def follow_incident(workspace: Workspace, call: Call, request: FollowIncident) -> IncidentStory:
    """From the alarm to whatever answered it.

    Raises:
        NotAllowed: the actor may not read.
        IncidentUnknown: there is none of that id.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        incident = monitoring.find_incident(tx, request.incident)
        turns = [
            turn
            for turn in list_turns(tx, model=incident.model)
            if turn.trigger.id == incident.id or turn.id in incident.closed_because
        ]
        found = events.history(tx, subject=incident.id, limit=N_EVENTS)
        found += _kept_otherwise(tx, incident, after=found[0].number if found else 0)
        for turn in turns:
            found += events.history(tx, subject=turn.id, limit=N_EVENTS)
    return IncidentStory(turns=turns, events=sorted(found, key=lambda event: event.number))


def _kept_otherwise(tx: Tx, incident: Incident, *, after: int) -> list[Event]:
    """Changes of what the incident's stream keeps, from the alarm to its end."""
    changes = events.history(
        tx, after=after, subject=incident.device, kind=POLICY_CHANGED, limit=N_EVENTS
    )
    return [
        event
        for event in changes
        if event.data["stream"] == incident.stream
        and (incident.closed_at_ms is None or event.at_ms <= incident.closed_at_ms + SETTLING_MS)
    ]
