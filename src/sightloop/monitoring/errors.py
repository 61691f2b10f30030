"""Why monitoring says no.

NotFound
└── IncidentUnknown     there is no incident of that id
Refused
└── IncidentClosed      it was closed before
"""

from __future__ import annotations

from sightloop.kernel.errors import NotFound, Refused


class IncidentUnknown(NotFound):
    """No incident of that id was opened in this workspace."""

    code = "MON-200"

    def __init__(self, *, incident: str) -> None:
        super().__init__(
            what="incident", name=incident, hint="`sightloop monitor status` lists those there are"
        )


class IncidentClosed(Refused):
    """The incident was closed; its monitors have started afresh and may open another."""

    code = "MON-400"

    def __init__(self, *, incident: str, closed_at_ms: int, reason: str) -> None:
        super().__init__(
            f"incident {incident} was closed at {closed_at_ms} ({reason}); nothing was changed",
            incident=incident,
            closed_at_ms=closed_at_ms,
            reason=reason,
        )
