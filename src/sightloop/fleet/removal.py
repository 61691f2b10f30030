"""Removing a device: its token is worth nothing, its slots are gone, its history stays.

The server cannot take a model off a box it no longer talks to: the agent goes on serving until
somebody stops it there.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from sightloop.fleet import removed_store, rollout_store, store
from sightloop.fleet.agent_releases import forget_agent_of
from sightloop.fleet.errors import DeviceRemoved
from sightloop.fleet.removed_store import RemovedDevice
from sightloop.fleet.values import Device
from sightloop.kernel import tokens
from sightloop.kernel.actors import ActorId, Permission, require
from sightloop.kernel.clock import format_utc
from sightloop.kernel.database import Tx
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.workspace import Call, Workspace

DEVICE_REMOVED = EventKind("device.removed")


class RemoveDevice(msgspec.Struct, frozen=True, kw_only=True):
    """Take a device out of the fleet."""

    device: str
    """Id or name."""
    reason: Annotated[str, Meta(max_length=300)] = ""


def remove_device(workspace: Workspace, call: Call, request: RemoveDevice) -> RemovedDevice:
    """The device is none any more: no token, no slot, no rollout waits for it; its name is free.

    Telemetry, kept images, incidents and rollouts that ended keep what they say of it. Removing it
    once more changes nothing.

    Raises:
        NotAllowed: the actor may not administer.
        NotFound: there is none of that id or name, and there was none.
    """
    require(call.actor, Permission.ADMINISTER)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        known = removed_store.find_removed(tx, request.device)
        if known is not None and store.find_device(tx, request.device) is None:
            return known
        device = store.get_device(tx, request.device)
        removed = RemovedDevice(
            device=device.id,
            name=device.name,
            ring=device.ring,
            site=device.site,
            reason=request.reason,
            removed_by=call.actor.id,
            removed_at_ms=now_ms,
        )
        slots = {slot.slot: slot.model for slot in store.slots_of(tx, device.id)}
        rollouts = _leave_rollouts(tx, device)
        tokens.end_all(tx, ActorId(device.id), now_ms=now_ms)
        forget_agent_of(tx, device.id)
        store.delete_device(tx, device.id)
        removed_store.add_removed(tx, removed)
        data = {
            "device": device.id,
            "name": device.name,
            "ring": device.ring,
            "slots": slots,
            "rollouts": rollouts,
            "reason": request.reason,
        }
        tell(tx, DEVICE_REMOVED, device.id, by=call.actor, at_ms=now_ms, data=data)
    return removed


def explain_refusal(workspace: Workspace, token: str) -> None:
    """Return when the token was never a removed device's.

    Only who holds the token learns of it, so nothing is told to strangers.

    Raises:
        DeviceRemoved: it was.
    """
    with workspace.db.read() as tx:
        holder = tokens.holder_of_ended(tx, token)
        removed = None if holder is None else removed_store.find_removed(tx, holder)
    if removed is not None:
        at_utc = format_utc(removed.removed_at_ms)
        raise DeviceRemoved(name=removed.name, device=removed.device, at_utc=at_utc)


def _leave_rollouts(tx: Tx, device: Device) -> list[str]:
    """Take the device's slots out of every rollout that is not over; their ids."""
    left: list[str] = []
    for rollout in rollout_store.active_rollouts(tx):
        if rollout_store.drop_placements(tx, rollout.id, device.id):
            # A worker that decided with the device in it finds another revision, and decides anew.
            rollout_store.move_rollout(tx, rollout)
            left.append(rollout.id)
    return left
