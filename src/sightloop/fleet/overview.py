"""The fleet for people who look at it: page by page, ring by ring, at any number of devices."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import Meta

from sightloop.contracts.check_in import SlotReport
from sightloop.contracts.telemetry import HealthBody
from sightloop.fleet import store
from sightloop.fleet.values import Device, DeviceState, Place, Report, RingCount, Slot, Wanted
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Call, Workspace
from sightloop.registry import store as registry
from sightloop.telemetry.latency import sum_health
from sightloop.telemetry.store import latest_health

SILENT_AFTER_S = 900.0
MISSED_CHECK_INS = 3
N_WINDOWS = 10
"""Health windows a latency on the list is of: the latest ones of the bundle that runs."""
N_SITES = 100
MAX_NAMES = 1000


class PageDevices(msgspec.Struct, frozen=True, kw_only=True):
    """Which devices; `after` goes on where an earlier page ended."""

    wanted: Wanted = Wanted()
    after: Place | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 50


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """How long answers took, as bounds that were kept; None for more than `top_ms`."""

    p50_ms: float | None
    p95_ms: float | None
    top_ms: float
    """The largest bound that is told apart."""
    n_answers: int


class SlotLine(msgspec.Struct, frozen=True, kw_only=True):
    """A slot: the version it should run, the one it does, and how that goes."""

    slot: str
    model: str
    assigned: int | None
    running: str | None
    """`model@number`, or the start of a digest that no version has."""
    report: SlotReport | None
    latency: Latency | None

    @property
    def is_behind(self) -> bool:
        """Whether it runs something else than it is assigned."""
        wanted = None if self.assigned is None else f"{self.model}@{self.assigned}"
        return self.running != wanted


class DeviceLine(msgspec.Struct, frozen=True, kw_only=True):
    """A device in a line of a list."""

    device: Device
    state: DeviceState
    seen_at_ms: int | None
    n_spooled: int
    slots: list[SlotLine]


class DevicePage(msgspec.Struct, frozen=True, kw_only=True):
    """Devices by site, ring and name; `after` is None on the last page."""

    devices: list[DeviceLine]
    after: Place | None


class CountFleet(msgspec.Struct, frozen=True, kw_only=True):
    """The whole fleet in numbers."""


class FleetCount(msgspec.Struct, frozen=True, kw_only=True):
    """Every ring in numbers, the first sites by name, and after how long a device is silent."""

    rings: list[RingCount]
    sites: list[str]
    silent_after_s: float


class NameDevices(msgspec.Struct, frozen=True, kw_only=True):
    """Ids of devices."""

    devices: Annotated[list[str], Meta(max_length=MAX_NAMES)]


class DeviceNames(msgspec.Struct, frozen=True, kw_only=True):
    """The names of those that are known, by id."""

    names: dict[str, str]


def page_devices(workspace: Workspace, call: Call, request: PageDevices) -> DevicePage:
    """Devices by site, ring and name, with what they run and how quickly they answer."""
    require(call.actor, Permission.READ)
    now_ms = workspace.clock.now_ms()
    silent_before_ms = now_ms - round(silent_after_s(workspace) * 1000)
    with workspace.db.read() as tx:
        found = store.page_devices(
            tx,
            request.wanted,
            after=request.after,
            silent_before_ms=silent_before_ms,
            limit=request.limit + 1,
        )
        shown = found[: request.limit]
        lines = list(_lines(tx, shown, silent_before_ms=silent_before_ms))
    last = shown[-1] if len(found) > request.limit else None
    after = None if last is None else Place(last.site, last.ring, last.name)
    return DevicePage(devices=lines, after=after)


def count_fleet(workspace: Workspace, call: Call, request: CountFleet) -> FleetCount:  # noqa: ARG001
    """Every ring in numbers, from indices alone: some tens of ms at 100,000 devices."""
    require(call.actor, Permission.READ)
    limit_s = silent_after_s(workspace)
    silent_before_ms = workspace.clock.now_ms() - round(limit_s * 1000)
    with workspace.db.read() as tx:
        return FleetCount(
            rings=store.count_rings(tx, silent_before_ms=silent_before_ms),
            sites=store.some_sites(tx, limit=N_SITES),
            silent_after_s=limit_s,
        )


def name_devices(workspace: Workspace, call: Call, request: NameDevices) -> DeviceNames:
    """What people call these devices."""
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        return DeviceNames(names=store.names_of(tx, request.devices))


def silent_after_s(workspace: Workspace) -> float:
    """A device that said nothing for so long is silent: some check-ins, at least 15 minutes."""
    return max(SILENT_AFTER_S, MISSED_CHECK_INS * workspace.config.server.check_in_every_s)


def state_of(report: Report | None, *, silent_before_ms: int) -> DeviceState:
    """What the list says of a device that spoke so."""
    if report is None:
        return "new"
    if report.seen_at_ms < silent_before_ms:
        return "silent"
    return "failing" if report.is_failing else "online"


def slot_lines(
    versions: Versions, slots: Iterable[Slot], report: Report | None, windows: list[HealthBody]
) -> list[SlotLine]:
    """The slots of one device, with the latest windows of whatever each of them runs."""
    lines = []
    for slot in slots:
        said = None if report is None else report.of_slot(slot.slot)
        running = None if said is None else said.running
        mine = [w for w in windows if (w.slot, w.bundle) == (slot.slot, running)]
        lines.append(
            SlotLine(
                slot=slot.slot,
                model=slot.model,
                assigned=slot.number,
                running=None if running is None else versions.name(running),
                report=said,
                latency=latency_of(mine),
            )
        )
    return lines


def latency_of(windows: list[HealthBody]) -> Latency | None:
    """Of all windows together; None without an answer in any."""
    sums = sum_health(windows)
    p50_ms, p95_ms = sums.latency_quantile_ms(0.5), sums.latency_quantile_ms(0.95)
    if p50_ms is None or p95_ms is None:
        return None
    return Latency(
        p50_ms=p50_ms if math.isfinite(p50_ms) else None,
        p95_ms=p95_ms if math.isfinite(p95_ms) else None,
        top_ms=max(sums.latency_bounds_ms, default=0.0),
        n_answers=sum(sums.latency_counts),
    )


class Versions:
    """Names of bundles, each looked up once."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self._names: dict[Digest, str] = {}

    def name(self, bundle: Digest) -> str:
        """`model@number`, or twelve digits of a bundle that no version has."""
        if bundle not in self._names:
            version = registry.version_of_bundle(self._tx, bundle)
            unknown = bundle.removeprefix("sha256:")[:12]
            self._names[bundle] = unknown if version is None else version.name
        return self._names[bundle]


def _lines(tx: Tx, devices: list[Device], *, silent_before_ms: int) -> Iterable[DeviceLine]:
    ids = [device.id for device in devices]
    reports, slots = store.reports(tx, ids), store.slots_by_device(tx, ids)
    versions = Versions(tx)
    for device in devices:
        report = reports.get(device.id)
        stored = [] if report is None else latest_health(tx, device.id, limit=N_WINDOWS)
        windows = [one.health for one in stored]
        yield DeviceLine(
            device=device,
            state=state_of(report, silent_before_ms=silent_before_ms),
            seen_at_ms=None if report is None else report.seen_at_ms,
            n_spooled=0 if report is None else report.check_in.n_spooled,
            slots=slot_lines(versions, slots.get(device.id, []), report, windows),
        )
