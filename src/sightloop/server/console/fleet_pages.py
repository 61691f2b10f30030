"""Fleet: devices by site and ring, one device, and rollouts with their rings and buttons."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple

from litestar import Request, Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from sightloop.fleet.device_details import DeviceDetails, ServedWindow, ShowDetails, show_details
from sightloop.fleet.enrolment import CreateEnrolment, create_enrolment
from sightloop.fleet.overview import CountFleet, DeviceLine, PageDevices, count_fleet, page_devices
from sightloop.fleet.removal import RemoveDevice, remove_device
from sightloop.fleet.rollout import Rollout
from sightloop.fleet.rollout_overview import (
    PageRollouts,
    RolloutOverview,
    WatchRollout,
    page_rollouts,
    watch_rollout,
)
from sightloop.fleet.rollouts import (
    AbortRollout,
    NameRollout,
    abort_rollout,
    pause_rollout,
    resume_rollout,
)
from sightloop.fleet.values import DeviceState, Place, Wanted
from sightloop.kernel.actors import Permission, may
from sightloop.kernel.workspace import Workspace
from sightloop.loop.services import ListLatest, latest_events
from sightloop.registry.catalogue import ListModels, list_models
from sightloop.review.images import ShowImages, show_images
from sightloop.server.charts import Bar, Marker, Series, line_chart, timeline_chart
from sightloop.server.console.event_lines import ids_in, lines_of, named, names_of
from sightloop.server.console.loop_pages import QUIET_KINDS
from sightloop.server.console.paging import one_of, pack, unpack
from sightloop.server.console.rendering import is_fragment, page
from sightloop.server.console.session import Viewer, form_of, viewer_of
from sightloop.server.context import workspace_of

N_DEVICES, N_ROLLOUTS, N_SLOTS, N_EVENTS = 50, 50, 50, 20
N_LANES = 12
"""Up to so many slots get a lane of their own in the chart of a rollout; else rings do."""
STATES = ("online", "silent", "new", "failing")
DAY_S = 86400.0


class SiteRing(NamedTuple):
    """Devices that stand together on the page."""

    site: str
    ring: str
    devices: list[DeviceLine]


@get("/fleet", sync_to_thread=True)
def fleet(request: Request[Any, Any, Any]) -> Response[str]:
    """Rollouts under way, every ring in numbers, and the devices page by page."""
    viewer, workspace, params = viewer_of(request), workspace_of(request), request.query_params
    wanted = Wanted(
        site=params.get("site") or None,
        ring=params.get("ring") or None,
        model=params.get("model") or None,
        state=one_of(params.get("state"), DeviceState),
    )
    found = page_devices(
        workspace,
        viewer.call,
        PageDevices(wanted=wanted, after=unpack(params.get("after", ""), Place), limit=N_DEVICES),
    )
    values: dict[str, Any] = {
        "groups": list(grouped(found.devices)),
        "after": pack(found.after),
        "counts": count_fleet(workspace, viewer.call, CountFleet()),
        "rollouts": page_rollouts(workspace, viewer.call, PageRollouts(limit=3)),
        "is_filtered": wanted != Wanted(),
    }
    if is_fragment(request):
        return page(request, "_fleet-state.html", viewer, **values)
    models = [one.name for one in list_models(workspace, viewer.call, ListModels()).models]
    return page(request, "fleet.html", viewer, models=models, states=STATES, **values)


@get("/fleet/{device:str}", sync_to_thread=True)
def device_page(device: FromPath[str], request: Request[Any, Any, Any]) -> Response[str]:
    """One device: what it runs, how it served, what it kept, what happened."""
    viewer, workspace = viewer_of(request), workspace_of(request)
    details = show_details(workspace, viewer.call, ShowDetails(device=device))
    kept = ShowImages(kept=[one.id for one in details.kept])
    values: dict[str, Any] = {
        "details": details,
        "line": details.line,
        "latency": latency_chart(details, now_ms=workspace.clock.now_ms()),
        "images": show_images(workspace, viewer.call, kept).named,
        "lines": _lines_about(workspace, viewer, details.line.device.id),
        "may_remove": may(viewer.actor, Permission.ADMINISTER),
    }
    template = "_device-state.html" if is_fragment(request) else "device.html"
    return page(request, template, viewer, **values)


@post("/fleet/enrolments", status_code=200)
async def enrol(request: Request[Any, Any, Any]) -> Response[str]:
    """Make a one-time token; this answer is the only place that ever shows it."""
    viewer, form = await form_of(request)
    wanted = CreateEnrolment(
        name=form.text("name") or None,
        ring=form.text("ring"),
        site=form.text("site"),
        slots={form.text("slot", "main") or "main": form.text("model")},
        lifetime_s=_days(form.text("days", "7")) * DAY_S,
    )
    made = await asyncio.to_thread(create_enrolment, workspace_of(request), viewer.call, wanted)
    return page(
        request,
        "enrolled.html",
        viewer,
        made=made,
        wanted=wanted,
        server=str(request.base_url).rstrip("/"),
    )


@post("/fleet/{device:str}/remove", status_code=303)
async def remove(device: FromPath[str], request: Request[Any, Any, Any]) -> Redirect:
    """The device is none any more."""
    viewer, form = await form_of(request)
    wanted = RemoveDevice(device=device, reason=form.text("reason"))
    await asyncio.to_thread(remove_device, workspace_of(request), viewer.call, wanted)
    return Redirect("/fleet", status_code=303)


@get("/fleet/rollouts", sync_to_thread=True)
def rollouts(request: Request[Any, Any, Any]) -> Response[str]:
    """Every rollout, the newest first."""
    viewer, workspace, params = viewer_of(request), workspace_of(request), request.query_params
    wanted = PageRollouts(
        model=params.get("model") or None,
        after=unpack(params.get("after", ""), tuple[int, str]),
        limit=N_ROLLOUTS,
    )
    found = page_rollouts(workspace, viewer.call, wanted)
    names = names_of(workspace, viewer, ids_in(one.reason for one in found.rollouts))
    values: dict[str, Any] = {
        "found": found,
        "reasons": {one.id: named(one.reason, names) for one in found.rollouts},
        "after": pack(found.after),
    }
    if is_fragment(request):
        return page(request, "_rollouts-state.html", viewer, **values)
    models = [one.name for one in list_models(workspace, viewer.call, ListModels()).models]
    return page(request, "rollouts.html", viewer, models=models, **values)


@get("/fleet/rollouts/{rollout:str}", sync_to_thread=True)
def rollout_page(rollout: FromPath[str], request: Request[Any, Any, Any]) -> Response[str]:
    """One rollout: its rings in order, each slot against the criteria, its buttons."""
    viewer, workspace, params = viewer_of(request), workspace_of(request), request.query_params
    wanted = WatchRollout(
        rollout=rollout,
        ring=params.get("ring") or None,
        after=unpack(params.get("after", ""), tuple[str, str]),
        limit=N_SLOTS,
    )
    found = watch_rollout(workspace, viewer.call, wanted)
    names = names_of(workspace, viewer, ids_in([found.rollout.reason]))
    events = latest_events(workspace, viewer.call, ListLatest(subject=rollout, limit=50)).events
    values: dict[str, Any] = {
        "rollout": found.rollout,
        "found": found,
        "reason": named(found.rollout.reason, names),
        "after": pack(found.after),
        "timeline": rollout_chart(found, now_ms=workspace.clock.now_ms()),
        "lines": lines_of(workspace, viewer, events),
    }
    template = "_rollout-state.html" if is_fragment(request) else "rollout.html"
    return page(request, template, viewer, **values)


@post("/fleet/rollouts/{rollout:str}/pause", status_code=303)
async def pause(rollout: FromPath[str], request: Request[Any, Any, Any]) -> Redirect:
    """No further ring opens."""
    viewer, _ = await form_of(request)
    named_one = NameRollout(rollout=rollout)
    paused = await asyncio.to_thread(pause_rollout, workspace_of(request), viewer.call, named_one)
    return _back_to(paused)


@post("/fleet/rollouts/{rollout:str}/resume", status_code=303)
async def resume(rollout: FromPath[str], request: Request[Any, Any, Any]) -> Redirect:
    """The rollout goes on."""
    viewer, _ = await form_of(request)
    named_one = NameRollout(rollout=rollout)
    resumed = await asyncio.to_thread(resume_rollout, workspace_of(request), viewer.call, named_one)
    return _back_to(resumed)


@post("/fleet/rollouts/{rollout:str}/abort", status_code=303)
async def abort(rollout: FromPath[str], request: Request[Any, Any, Any]) -> Redirect:
    """The rollout is over; its devices get what they ran before."""
    viewer, form = await form_of(request)
    reason = form.text("reason") or "stopped by a person"
    wanted = AbortRollout(rollout=rollout, reason=reason)
    stopped = await asyncio.to_thread(abort_rollout, workspace_of(request), viewer.call, wanted)
    return _back_to(stopped)


def grouped(devices: Iterable[DeviceLine]) -> Iterator[SiteRing]:
    """The devices in their order, by site and ring."""
    group: SiteRing | None = None
    for line in devices:
        place = (line.device.site, line.device.ring)
        if group is None or (group.site, group.ring) != place:
            if group is not None:
                yield group
            group = SiteRing(*place, [])
        group.devices.append(line)
    if group is not None:
        yield group


def latency_chart(details: DeviceDetails, *, now_ms: int) -> str:
    """How long answers took in each window, slot by slot, and when the version changed."""
    windows = [one for one in details.windows if one.latency is not None]
    if not windows:
        return ""
    unit, unit_ms = _unit_for(now_ms - windows[0].started_at_ms)
    slots = list(dict.fromkeys(one.slot for one in windows))
    series = []
    for slot in slots[:2]:
        of = f" of {slot[:20]}" if len(slots) > 1 else ""
        mine = [one for one in windows if one.slot == slot]
        series += [
            Series(f"95 %{of}", "second", _points(mine, "p95", now_ms, unit_ms)),
            Series(f"median{of}", "first", _points(mine, "p50", now_ms, unit_ms)),
        ]
    first_ms = windows[0].started_at_ms
    swaps = [
        Marker((one.swap.swap.started_at_ms - now_ms) / unit_ms, one.version[:24])
        for one in details.swaps
        if one.swap.swap.outcome == "switched" and one.swap.swap.started_at_ms >= first_ms
    ]
    return line_chart(
        series,
        title=f"latency of {details.line.device.name}, window by window",
        x_label=f"time before now ({unit})",
        y_label="latency (ms)",
        markers=swaps[:4],
    )


def rollout_chart(found: RolloutOverview, *, now_ms: int) -> str:
    """When each ring was open and, in a small fleet, when each slot switched and was healthy."""
    rollout = found.rollout
    began_ms, until_ms = rollout.started_at_ms, rollout.ended_at_ms or now_ms
    unit, unit_ms = _unit_for(until_ms - began_ms)

    def at(moment_ms: int) -> float:
        return (moment_ms - began_ms) / unit_ms

    bars = [
        Bar(
            lane=f"ring {ring.name}"[:16],
            start=at(ring.opened_at_ms),
            end=at(ring.done_at_ms or until_ms),
            label="done" if ring.done_at_ms else "open",
            style="good" if ring.done_at_ms else "second",
        )
        for ring in rollout.rings
        if ring.opened_at_ms is not None
    ]
    if len(found.slots) <= N_LANES and found.after is None:
        for slot in found.slots:
            lane = f"{slot.name[:12]}/{slot.placement.slot}"[:16]
            steps = [
                (slot.placement.assigned_at_ms, "assigned", "second"),
                (slot.placement.switched_at_ms, "switched", "first"),
                (slot.placement.healthy_at_ms, "healthy", "good"),
            ]
            bars += _stretches(lane, steps, until_ms, at)
    if not bars:
        return ""
    title = f"rollout of {rollout.model}@{rollout.number}, ring by ring"
    return timeline_chart(bars, title=title, x_label=f"time since it began ({unit})")


def _stretches(
    lane: str, steps: list[tuple[int | None, str, str]], until_ms: int, at: Callable[[int], float]
) -> Iterator[Bar]:
    reached = [(moment, word, style) for moment, word, style in steps if moment is not None]
    ends = [moment for moment, _, _ in reached[1:]] + [max(until_ms, reached[-1][0])]
    for (start_ms, word, style), end_ms in zip(reached, ends, strict=True):
        yield Bar(lane=lane, start=at(start_ms), end=at(end_ms), label=word, style=style)


def _points(
    windows: list[ServedWindow], name: Literal["p50", "p95"], now_ms: int, unit_ms: float
) -> list[tuple[float, float]]:
    """A latency above every bound is drawn at the largest one."""
    drawn = []
    for one in windows:
        assert one.latency is not None, "windows without an answer are not drawn"
        value_ms = one.latency.p95_ms if name == "p95" else one.latency.p50_ms
        at_ms = (one.ended_at_ms - now_ms) / unit_ms
        drawn.append((at_ms, one.latency.top_ms if value_ms is None else value_ms))
    return drawn


def _unit_for(span_ms: int) -> tuple[str, float]:
    for unit, unit_ms in (("s", 1e3), ("min", 6e4), ("h", 3.6e6)):
        if span_ms < 180 * unit_ms:
            return unit, unit_ms
    return "days", 8.64e7


def _lines_about(workspace: Workspace, viewer: Viewer, device: str) -> list[Any]:
    wanted = ListLatest(subject=device, limit=N_EVENTS * 10)
    found = latest_events(workspace, viewer.call, wanted).events
    told = [event for event in found if event.kind not in QUIET_KINDS]
    return lines_of(workspace, viewer, told[:N_EVENTS])


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        return 7.0
    return min(max(days, 0.04), 90.0)


def _back_to(rollout: Rollout) -> Redirect:
    return Redirect(f"/fleet/rollouts/{rollout.id}", status_code=303)
