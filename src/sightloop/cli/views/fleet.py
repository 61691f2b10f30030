"""Devices and rollouts in a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from sightloop.cli.render import facts, state, table, when
from sightloop.fleet.devices import DeviceFacts, DeviceList, SlotFacts
from sightloop.fleet.rollout import Rollout
from sightloop.fleet.rollout_status import RolloutStatus
from sightloop.kernel.digests import short


def devices(found: DeviceList) -> RenderableType:
    """Every device, one line per slot."""
    rows = (
        (
            one.device.name,
            one.device.ring,
            slot.slot,
            f"{slot.model}@{slot.assigned_number}" if slot.assigned_number else slot.model,
            _running(slot),
            when(one.seen_at_ms) if one.seen_at_ms else "never",
        )
        for one in found.devices
        for slot in one.slots
    )
    columns = ("device", "ring", "slot", "assigned", "runs", "seen")
    return table(columns, rows, empty="no device yet; `sightloop devices enroll` makes a token")


def device(one: DeviceFacts) -> RenderableType:
    """One device with slots and streams."""
    head = facts(
        [
            ("device", f"{one.device.name} ({one.device.id})"),
            ("ring, site", f"{one.device.ring}, {one.device.site or '-'}"),
            ("class", one.device.device_class),
            ("agent", one.device.agent_version),
            ("seen", when(one.seen_at_ms) if one.seen_at_ms else "never"),
            ("waiting to be sent", one.n_spooled),
        ]
    )
    streams = (
        (s.name, s.slot, s.stratum or "-", f"{s.policy.audit_rate:g}", f"{s.policy.drift_rate:g}")
        for s in one.streams
    )
    columns = ("stream", "slot", "compared with", "audit rate", "drift rate")
    return Group(
        head,
        Text(),
        devices(DeviceList(devices=[one])),
        Text(),
        table(columns, streams, empty="no stream"),
    )


def rollout(found: Rollout) -> RenderableType:
    """One rollout in short."""
    rings = ", ".join(
        f"{ring.name} {'done' if ring.done_at_ms else 'open' if ring.opened_at_ms else 'waits'}"
        for ring in found.rings
    )
    return facts(
        [
            ("rollout", found.id),
            ("version", f"{found.model}@{found.number}"),
            ("state", state(found.state.replace("_", " "))),
            ("rings", rings),
            ("reason", found.reason or "-"),
        ]
    )


def rollout_status(found: RolloutStatus) -> RenderableType:
    """One rollout with its devices and what happened when."""
    slots = (
        (one.placement.device, one.placement.ring, state(one.state), one.reason)
        for one in found.slots
    )
    moments = (
        (when(one.at_ms), one.what, one.ring or "", one.device or "") for one in found.timeline
    )
    return Group(
        rollout(found.rollout),
        Text(),
        table(("device", "ring", "state", "because"), slots, empty="no device yet"),
        Text(),
        table(("when", "what", "ring", "device"), moments, empty="nothing happened yet"),
    )


def _running(slot: SlotFacts) -> Text:
    if slot.report is None:
        return Text("-")
    running = short(slot.report.running) if slot.report.running else "nothing"
    return Text.assemble(state(slot.report.state), f" {running}")
