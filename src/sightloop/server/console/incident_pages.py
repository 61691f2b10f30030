"""Incidents: what changed, by which evidence, on which images, and what was decided; monitors."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import Request, Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from sightloop.fleet.device_details import ShowDetails, show_details
from sightloop.kernel.errors import NotFound
from sightloop.kernel.workspace import Workspace
from sightloop.loop.incident_story import FollowIncident, follow_incident
from sightloop.monitoring.evidence import Incident, IncidentState
from sightloop.monitoring.incidents import (
    CloseIncident,
    FindIncident,
    close_incident,
    explain_incident,
)
from sightloop.monitoring.listing import (
    ListPromises,
    PageIncidents,
    PageMonitors,
    Promise,
    list_promises,
    page_incidents,
    page_monitors,
)
from sightloop.monitoring.monitors import Kind
from sightloop.monitoring.pages import Near, Opened, WantedIncidents
from sightloop.monitoring.references import Guarantee
from sightloop.registry.catalogue import ListModels, list_models
from sightloop.review.images import ShowImages, show_images
from sightloop.server.console.event_lines import gathered, lines_of, names_of, without_turn
from sightloop.server.console.formats import number, share
from sightloop.server.console.paging import one_of, pack, unpack
from sightloop.server.console.rendering import is_fragment, page
from sightloop.server.console.session import Viewer, form_of, viewer_of
from sightloop.server.context import workspace_of
from sightloop.server.incident_charts import loss_chart, picture_alarm
from sightloop.telemetry.values import StreamKey

N_INCIDENTS, N_MONITORS, N_PROMISES = 50, 50, 5
N_HISTOGRAMS, N_IMAGES = 3, 24


@get("/incidents", sync_to_thread=True)
def incidents(request: Request[Any, Any, Any]) -> Response[str]:
    """Incidents, or with `tab=monitors` every monitor and what is promised of false alarms."""
    if request.query_params.get("tab") == "monitors":
        return _monitors(request)
    viewer, workspace, params = viewer_of(request), workspace_of(request), request.query_params
    wanted = WantedIncidents(
        state=one_of(params.get("state"), IncidentState),
        kind=one_of(params.get("kind"), Kind),
        model=params.get("model") or None,
        device=_device_id(workspace, viewer, params.get("device", "")),
    )
    after = unpack(params.get("after", ""), Opened)
    found = page_incidents(
        workspace, viewer.call, PageIncidents(wanted=wanted, after=after, limit=N_INCIDENTS)
    )
    values: dict[str, Any] = {
        "found": found,
        "names": names_of(workspace, viewer, (one.device for one in found.incidents)),
        "after": pack(found.after),
        "is_filtered": wanted != WantedIncidents(),
    }
    if is_fragment(request):
        return page(request, "_incidents-state.html", viewer, **values)
    return page(request, "incidents.html", viewer, models=_models(workspace, viewer), **values)


def _monitors(request: Request[Any, Any, Any]) -> Response[str]:
    viewer, workspace, params = viewer_of(request), workspace_of(request), request.query_params
    alarmed = {"yes": True, "no": False}.get(params.get("alarm", ""))
    wanted = PageMonitors(
        kind=one_of(params.get("kind"), Kind),
        guarantee=one_of(params.get("promise"), Guarantee),
        device=_device_id(workspace, viewer, params.get("device", "")),
        model=params.get("model") or None,
        has_alarmed=alarmed,
        after=unpack(params.get("after", ""), Near),
        limit=N_MONITORS,
    )
    found = page_monitors(workspace, viewer.call, wanted)
    asked = ListPromises(model=wanted.model, limit=N_PROMISES)
    promises = list_promises(workspace, viewer.call, asked).promises
    values: dict[str, Any] = {
        "found": found,
        "names": names_of(workspace, viewer, (one.device for one in found.monitors)),
        "versions": {one.bundle: f"{one.model}@{one.number}" for one in promises if one.model},
        "after": pack(found.after),
        "is_filtered": bool(set(params) & {"kind", "promise", "device", "model", "alarm"}),
    }
    if is_fragment(request):
        return page(request, "_monitors-state.html", viewer, **values)
    return page(
        request,
        "monitors.html",
        viewer,
        promises=[(one, promise_words(one)) for one in promises],
        models=_models(workspace, viewer),
        **values,
    )


@get("/incidents/{incident:str}", sync_to_thread=True)
def incident_page(incident: FromPath[str], request: Request[Any, Any, Any]) -> Response[str]:
    """One incident, from what changed to what was decided."""
    viewer, workspace = viewer_of(request), workspace_of(request)
    explained = explain_incident(workspace, viewer.call, FindIncident(incident=incident))
    story = follow_incident(workspace, viewer.call, FollowIncident(incident=incident))
    wanted = ShowImages(
        kept=explained.evidence.kept,
        incident=incident,
        stream=StreamKey(explained.incident.device, explained.incident.stream),
        since_ms=explained.evidence.change_at_ms,
        until_ms=explained.incident.closed_at_ms,
        limit=N_IMAGES,
    )
    loss = explained.evidence.loss
    values: dict[str, Any] = {
        "alarm": picture_alarm(explained, n_histograms=N_HISTOGRAMS),
        "losses": "" if loss is None else loss_chart(loss),
        "incident": explained.incident,
        "evidence": explained.evidence,
        "supporting": explained.supporting,
        "images": show_images(workspace, viewer.call, wanted),
        "turns": story.turns,
        "lines": lines_of(workspace, viewer, gathered(story.events)),
        "device": names_of(workspace, viewer, [explained.incident.device]),
        "policy": _policy_now(workspace, viewer, explained.incident),
        "closed_because": without_turn(explained.incident.closed_because),
    }
    template = "_incident-state.html" if is_fragment(request) else "incident.html"
    return page(request, template, viewer, **values)


@post("/incidents/{incident:str}/close", status_code=303)
async def close(incident: FromPath[str], request: Request[Any, Any, Any]) -> Redirect:
    """The incident is over; its monitors begin anew."""
    viewer, form = await form_of(request)
    reason = form.text("reason") or "closed by a person"
    wanted = CloseIncident(incident=incident, reason=reason)
    await asyncio.to_thread(close_incident, workspace_of(request), viewer.call, wanted)
    return Redirect(f"/incidents/{incident}", status_code=303)


def promise_words(promise: Promise) -> list[str]:
    """What is promised of false alarms in one release, in sentences."""
    settings = promise.settings
    late = promise.n_streams - settings.n_streams
    inputs = (
        "While nothing changes, the chance that any input monitor of this release ever alarms is "
        f"at most {share(settings.alpha_input)}, for {number(settings.horizon_windows)} windows of "
        "every stream."
    )
    losses = (
        "While nothing changes, the chance that any of its loss monitors ever alarms is at most "
        f"{share(settings.alpha_loss)}, for {number(settings.horizon_labels)} audited labels of "
        "every stream."
    )
    heard = f"{_streams(promise.n_streams)} have been heard of so far."
    later = f"{_streams(late)} that came later share the last tenth, and alarm later."
    shared = (
        f"Nine tenths of that is for the {_streams(settings.n_streams)} declared when it began; "
        f"{later if late > 0 else heard}"
    )
    reference = (
        "The chance that the reference itself is further from the truth than its tolerance allows "
        f"for is at most {share(settings.reference_error)}; that belongs to the promise too."
    )
    return [inputs, losses, shared, reference]


def _streams(n: int) -> str:
    return f"{number(n)} {'stream' if n == 1 else 'streams'}"


def _policy_now(workspace: Workspace, viewer: Viewer, incident: Incident) -> Any:  # noqa: ANN401
    """What the incident's stream keeps now; None for a device or stream that is no more."""
    try:
        wanted = ShowDetails(device=incident.device, n_windows=0, n_kept=0)
        details = show_details(workspace, viewer.call, wanted)
    except NotFound:
        return None
    mine = [stream.policy for stream in details.streams if stream.name == incident.stream]
    return mine[0] if mine else None


def _device_id(workspace: Workspace, viewer: Viewer, text: str) -> str | None:
    """The id of the device that a filter names; a name nobody has is kept, and finds nothing."""
    if not text:
        return None
    try:
        wanted = ShowDetails(device=text, n_windows=0, n_kept=0)
        return show_details(workspace, viewer.call, wanted).line.device.id
    except NotFound:
        return text


def _models(workspace: Workspace, viewer: Viewer) -> list[str]:
    return [one.name for one in list_models(workspace, viewer.call, ListModels()).models]
