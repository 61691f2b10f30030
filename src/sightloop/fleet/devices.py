"""What is known of the fleet, for people and programs that ask."""

from __future__ import annotations

import msgspec

from sightloop.contracts.check_in import SlotReport
from sightloop.fleet import store
from sightloop.fleet.values import Device, Report, Slot, Stream
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Call, Workspace


class SlotFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A slot: what it should run, and what it says it does."""

    slot: str
    model: str
    assigned: Digest | None
    assigned_number: int | None
    counter: int
    report: SlotReport | None


class DeviceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A device with all that is known of it."""

    device: Device
    seen_at_ms: int | None
    n_spooled: int
    slots: list[SlotFacts]
    streams: list[Stream]


class ListDevices(msgspec.Struct, frozen=True, kw_only=True):
    """Which devices; None means every one."""

    ring: str | None = None
    site: str | None = None


class DeviceList(msgspec.Struct, frozen=True, kw_only=True):
    """Devices by name."""

    devices: list[DeviceFacts]


class ShowDevice(msgspec.Struct, frozen=True, kw_only=True):
    """One device, by id or name."""

    device: str


def list_devices(workspace: Workspace, call: Call, request: ListDevices) -> DeviceList:
    """The devices of a ring, of a site, or all of them."""
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        reports = store.reports(tx)
        slots = store.slots_by_device(tx)
        streams = store.streams_by_device(tx)
        devices = store.all_devices(tx)
    facts = [
        _facts(found, reports.get(found.id), slots.get(found.id, []), streams.get(found.id, []))
        for found in devices
        if request.ring in (None, found.ring) and request.site in (None, found.site)
    ]
    return DeviceList(devices=facts)


def show_device(workspace: Workspace, call: Call, request: ShowDevice) -> DeviceFacts:
    """Everything about one device.

    Raises:
        NotFound: there is none of that id or name.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        device = store.get_device(tx, request.device)
        return _facts(
            device,
            store.report_of(tx, device.id),
            store.slots_of(tx, device.id),
            store.streams_of(tx, device.id),
        )


def _facts(
    device: Device, report: Report | None, slots: list[Slot], streams: list[Stream]
) -> DeviceFacts:
    return DeviceFacts(
        device=device,
        seen_at_ms=None if report is None else report.seen_at_ms,
        n_spooled=0 if report is None else report.check_in.n_spooled,
        slots=[
            SlotFacts(
                slot=slot.slot,
                model=slot.model,
                assigned=slot.bundle,
                assigned_number=slot.number,
                counter=slot.counter,
                report=None if report is None else report.of_slot(slot.slot),
            )
            for slot in slots
        ],
        streams=streams,
    )
