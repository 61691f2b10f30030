"""The home page: the loop as a picture with the live state of every station, and what waits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from litestar import Request, Response, get
from litestar.params import FromPath

from sightloop.kernel.errors import last_line
from sightloop.kernel.workspace import Workspace
from sightloop.loop.services import (
    ListLatest,
    LoopStatus,
    ShowLoop,
    ShowTurn,
    latest_events,
    show_loop,
    show_turn,
)
from sightloop.loop.turns import TurnState
from sightloop.registry.catalogue import ListModels, list_models
from sightloop.server.console.event_lines import Line, lines_of
from sightloop.server.console.paging import whole
from sightloop.server.console.rendering import page
from sightloop.server.console.session import Viewer, viewer_of
from sightloop.server.context import workspace_of
from sightloop.server.stations import ShowStations, Station, show_stations

N_EVENTS = 25
QUIET_KINDS = ("telemetry.kept", "stream.policy_changed")
"""Told by the dozen; they stand in the log of events, not on the home page."""

BOX_WIDTH, BOX_HEIGHT, STEP_X = 180, 84, 204
LEFT, TOP, BOTTOM = 8, 8, 196
HREFS: Mapping[str, str] = {
    "datasets": "/datasets",
    "training": "/runs",
    "evaluation": "/models",
    "registry": "/models",
    "fleet": "/fleet",
    "device": "/fleet",
    "telemetry": "/incidents?tab=monitors",
    "monitoring": "/incidents",
    "review": "/review",
    "loop": "/loop",
}
UPPER = ("datasets", "training", "evaluation", "registry", "fleet")
LOWER = ("device", "telemetry", "monitoring", "review", "loop")


class Placed(NamedTuple):
    """A station and where its box stands in the picture."""

    station: Station
    x: int
    y: int
    href: str


class Waiting(NamedTuple):
    """Something a person has to do, where, and the command that does the same."""

    text: str
    href: str
    command: str


@get("/", sync_to_thread=True)
def home(request: Request[Any, Any, Any]) -> Response[str]:
    """The whole page; its pieces come again by themselves when something happens."""
    viewer = viewer_of(request)
    return page(request, "loop.html", viewer, **_state(workspace_of(request), viewer))


@get("/loop/state", sync_to_thread=True)
def state(request: Request[Any, Any, Any]) -> Response[str]:
    """The picture, what waits, and the latest events."""
    viewer = viewer_of(request)
    return page(request, "_loop-state.html", viewer, **_state(workspace_of(request), viewer))


def _state(workspace: Workspace, viewer: Viewer) -> dict[str, Any]:
    stations = show_stations(workspace, viewer.call, ShowStations()).stations
    status = show_loop(workspace, viewer.call, ShowLoop())
    return {
        "placed": placed(stations),
        "box": (BOX_WIDTH, BOX_HEIGHT),
        "loop_status": status,
        "waiting": list(_waiting(stations, status)),
        "turns": [turn for turn in reversed(status.turns) if not turn.has_ended],
        "lines": _lines(workspace, viewer, before=None, limit=N_EVENTS, quiet=True),
        "has_models": bool(list_models(workspace, viewer.call, ListModels()).models),
        "has_data": any(s.name == "datasets" and s.facts for s in stations),
        "has_devices": any(s.name == "fleet" and s.facts["devices"] != "0" for s in stations),
    }


def placed(stations: list[Station]) -> list[Placed]:
    """The stations in a ring: above from left to right, below from right to left."""
    by_name = {station.name: station for station in stations}
    upper = [(name, LEFT + i * STEP_X, TOP) for i, name in enumerate(UPPER)]
    lower = [(name, LEFT + (4 - i) * STEP_X, BOTTOM) for i, name in enumerate(LOWER)]
    return [Placed(by_name[name], x, y, HREFS[name]) for name, x, y in upper + lower]


def _waiting(stations: list[Station], status: LoopStatus) -> list[Waiting]:
    by_name = {station.name: station for station in stations}
    found = []
    if by_name["review"].needs_a_look:
        headline = by_name["review"].headline
        found.append(Waiting(f"{headline}: draw or confirm the boxes", "/review", "review list"))
    if by_name["monitoring"].needs_a_look:
        headline = by_name["monitoring"].headline
        found.append(Waiting(f"{headline}: see what changed", "/incidents", "monitor incidents"))
    if by_name["fleet"].needs_a_look:
        found.append(
            Waiting("a rollout is paused: let it go on or stop it", "/fleet", "rollout status")
        )
    if by_name["device"].needs_a_look:
        found.append(Waiting(f"devices: {by_name['device'].headline}", "/fleet", "devices list"))
    for turn in status.turns:
        if turn.state is TurnState.AWAITING_APPROVAL:
            name = f"{turn.model}@{turn.version}"
            text = f"{name} passed its gate: approve or reject it"
            href = f"/models/{turn.model}/{turn.version}#decide"
            found.append(Waiting(text, href, f"models approve {name} -m COMMENT"))
    failed = [step for step in status.steps if step.state == "failed"]
    if failed:
        text = f"step {failed[-1].name!r} failed: {last_line(failed[-1].error)}"
        found.append(Waiting(text, "/loop", f"loop retry {failed[-1].key}"))
    if status.is_paused:
        found.append(Waiting("the loop is paused: events wait", "/loop", "loop resume"))
    return found


@get("/loop", sync_to_thread=True)
def turns(request: Request[Any, Any, Any]) -> Response[str]:
    """Every turn, the latest steps, and the log of events, page by page."""
    viewer, workspace = viewer_of(request), workspace_of(request)
    before = whole(request.query_params.get("before", ""))
    lines = _lines(workspace, viewer, before=before, limit=100, quiet=False)
    return page(
        request,
        "turns.html",
        viewer,
        loop_status=show_loop(workspace, viewer.call, ShowLoop()),
        lines=lines,
        next_before=lines[-1].number if len(lines) == 100 else None,
    )


@get("/loop/{turn:str}", sync_to_thread=True)
def turn_page(turn: FromPath[str], request: Request[Any, Any, Any]) -> Response[str]:
    """One time round the loop, with every event that tells of it."""
    viewer, workspace = viewer_of(request), workspace_of(request)
    found = show_turn(workspace, viewer.call, ShowTurn(turn=turn))
    lines = _lines(workspace, viewer, before=None, limit=200, quiet=False, subject=turn)
    return page(request, "turn.html", viewer, turn=found, lines=list(reversed(lines)))


def _lines(
    workspace: Workspace,
    viewer: Viewer,
    *,
    before: int | None,
    limit: int,
    quiet: bool,
    subject: str | None = None,
) -> list[Line]:
    wanted = ListLatest(before=before, subject=subject, limit=limit * 4 if quiet else limit)
    found = latest_events(workspace, viewer.call, wanted).events
    shown = [event for event in found if not quiet or event.kind not in QUIET_KINDS]
    return lines_of(workspace, viewer, shown[:limit])
