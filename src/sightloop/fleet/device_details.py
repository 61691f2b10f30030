"""Everything there is to see of one device: what it runs, how it served, what it sent lately."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from sightloop.contracts.telemetry import HealthBody
from sightloop.fleet import store
from sightloop.fleet.overview import (
    DeviceLine,
    Latency,
    Versions,
    latency_of,
    silent_after_s,
    slot_lines,
    state_of,
)
from sightloop.fleet.values import Stream
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.workspace import Call, Workspace
from sightloop.telemetry.store import latest_health, list_dropped, list_kept, list_swaps
from sightloop.telemetry.values import KeptImage, StoredDrop, StoredSwap, StreamKey


class ShowDetails(msgspec.Struct, frozen=True, kw_only=True):
    """One device, by id or name, and how much of its past."""

    device: str
    n_windows: Annotated[int, Meta(ge=0, le=2000)] = 300
    n_kept: Annotated[int, Meta(ge=0, le=200)] = 12


class ServedWindow(msgspec.Struct, frozen=True, kw_only=True):
    """How a slot served for a while; without a latency when it gave no answer."""

    slot: str
    version: str
    started_at_ms: int
    ended_at_ms: int
    n_requests: int
    n_failed: int
    latency: Latency | None
    resident_bytes: int


class SwapLine(msgspec.Struct, frozen=True, kw_only=True):
    """A slot tried to change its version."""

    swap: StoredSwap
    version: str
    previous: str | None


class DeviceDetails(msgspec.Struct, frozen=True, kw_only=True):
    """One device; windows oldest first, everything else the latest first."""

    line: DeviceLine
    boot: str | None
    streams: list[Stream]
    windows: list[ServedWindow]
    swaps: list[SwapLine]
    kept: list[KeptImage]
    dropped: list[StoredDrop]
    silent_after_s: float


def show_details(workspace: Workspace, call: Call, request: ShowDetails) -> DeviceDetails:
    """One device with its recent past.

    Raises:
        NotFound: there is none of that id or name.
    """
    require(call.actor, Permission.READ)
    limit_s = silent_after_s(workspace)
    silent_before_ms = workspace.clock.now_ms() - round(limit_s * 1000)
    with workspace.db.read() as tx:
        device = store.get_device(tx, request.device)
        report, streams = store.report_of(tx, device.id), store.streams_of(tx, device.id)
        health = [one.health for one in latest_health(tx, device.id, limit=request.n_windows)]
        cameras = [StreamKey(device.id, stream.name) for stream in streams]
        versions = Versions(tx)
        line = DeviceLine(
            device=device,
            state=state_of(report, silent_before_ms=silent_before_ms),
            seen_at_ms=None if report is None else report.seen_at_ms,
            n_spooled=0 if report is None else report.check_in.n_spooled,
            slots=slot_lines(versions, store.slots_of(tx, device.id), report, health[:20]),
        )
        return DeviceDetails(
            line=line,
            boot=None if report is None else report.check_in.boot,
            streams=streams,
            windows=[_window(versions, one) for one in reversed(health)],
            swaps=[_swap(versions, one) for one in list_swaps(tx, device=device.id, limit=20)],
            kept=list_kept(tx, streams=cameras, limit=request.n_kept),
            dropped=list_dropped(tx, device=device.id, limit=5),
            silent_after_s=limit_s,
        )


def _window(versions: Versions, body: HealthBody) -> ServedWindow:
    return ServedWindow(
        slot=body.slot,
        version=versions.name(body.bundle),
        started_at_ms=body.started_at_ms,
        ended_at_ms=body.ended_at_ms,
        n_requests=body.n_requests,
        n_failed=body.n_failed,
        latency=latency_of([body]),
        resident_bytes=body.resident_bytes,
    )


def _swap(versions: Versions, stored: StoredSwap) -> SwapLine:
    before = stored.swap.previous
    return SwapLine(
        swap=stored,
        version=versions.name(stored.swap.bundle),
        previous=None if before is None else versions.name(before),
    )
