"""Storing what a rollout decided: assignments, placements, alias and events, all or nothing."""

from __future__ import annotations

from collections.abc import Sequence

from sightloop.fleet import rollout_store, store
from sightloop.fleet.assignments import open_assignment_signer, withdraw
from sightloop.fleet.errors import SlotsMoved
from sightloop.fleet.health import Key, Placement
from sightloop.fleet.rollout import Advance, Ring, Rollout, RolloutId, to_turn_back
from sightloop.fleet.values import Slot
from sightloop.kernel.actors import Actor
from sightloop.kernel.database import Tx
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.workspace import Workspace
from sightloop.registry import store as registry
from sightloop.registry.aliases import move_alias
from sightloop.registry.values import CHAMPION

ROLLOUT_STARTED = EventKind("rollout.started")
ROLLOUT_ADVANCED = EventKind("rollout.advanced")
ROLLOUT_PAUSED = EventKind("rollout.paused")
ROLLOUT_RESUMED = EventKind("rollout.resumed")
ROLLOUT_FINISHED = EventKind("rollout.finished")
ROLLOUT_ROLLED_BACK = EventKind("rollout.rolled_back")
ROLLOUT_ABORTED = EventKind("rollout.aborted")

_ENDS = {
    "finished": ROLLOUT_FINISHED,
    "rolled_back": ROLLOUT_ROLLED_BACK,
    "aborted": ROLLOUT_ABORTED,
}


def store_move(
    workspace: Workspace,
    before: Rollout,
    move: Advance,
    *,
    known: Sequence[Placement],
    by: Actor,
) -> Rollout:
    """The rollout as it is now: moved, or as another worker moved it in the meantime.

    Raises:
        SlotsMoved: a slot was assigned something else; nothing was stored.
        RepositoryKeyMissing: an assignment has to be signed, and the online key is elsewhere.
    """
    now_ms = workspace.clock.now_ms()
    slots = _moved_slots(workspace, move, now_ms=now_ms)
    with workspace.db.write() as tx:
        if not rollout_store.move_rollout(tx, move.rollout):
            return rollout_store.get_rollout(tx, before.id)
        if not store.move_slots(tx, slots):
            raise SlotsMoved(rollout=before.id, model=before.model)
        _store_placements(tx, before.id, move.placements, known)
        _tell_move(tx, before, move.rollout, by=by, at_ms=now_ms)
        if move.rollout.state == "finished":
            version = registry.get_version(tx, before.model, before.number)
            move_alias(tx, version, alias=CHAMPION, by=by, now_ms=now_ms)
        return rollout_store.get_rollout(tx, before.id)


def tell_rollout(
    tx: Tx, kind: EventKind, rollout: Rollout, *, ring: str | None, by: Actor, at_ms: int
) -> None:
    """Write an event of this rollout; every kind carries the same facts."""
    data = {
        "rollout": rollout.id,
        "model": rollout.model,
        "number": rollout.number,
        "bundle": rollout.bundle,
        "ring": ring,
        "reason": rollout.reason,
    }
    tell(tx, kind, rollout.id, by=by, at_ms=at_ms, data=data)


def _moved_slots(workspace: Workspace, move: Advance, *, now_ms: int) -> list[tuple[Slot, int]]:
    """The slots with their new assignments, each with the counter it must still have."""
    turns_back = move.rollout.state in ("rolled_back", "aborted")
    moving = to_turn_back(move.rollout, move.placements) if turns_back else move.assign
    if not moving:
        return []
    signer = open_assignment_signer(workspace)
    with workspace.db.read() as tx:
        slots: dict[Key, Slot] = {
            (slot.device, slot.slot): slot for slot in store.slots_of_model(tx, move.rollout.model)
        }
    moved = []
    for placement in moving:
        slot = slots.get(placement.key)
        if slot is None:  # its device was removed since the placements were read
            raise SlotsMoved(rollout=move.rollout.id, model=move.rollout.model)
        if turns_back and slot.bundle != move.rollout.bundle:
            continue  # it was given something else since, which is not ours to undo
        if not turns_back:
            number, bundle = move.rollout.number, move.rollout.bundle
            next_slot = signer.assign(slot, number=number, bundle=bundle, now_ms=now_ms)
        elif placement.previous is None or placement.previous_number is None:
            next_slot = withdraw(slot)
        else:
            number, bundle = placement.previous_number, placement.previous
            next_slot = signer.assign(slot, number=number, bundle=bundle, now_ms=now_ms)
        moved.append((next_slot, slot.counter))
    return moved


def _store_placements(
    tx: Tx, rollout: RolloutId, now: Sequence[Placement], known: Sequence[Placement]
) -> None:
    before = {placement.key: placement for placement in known}
    rollout_store.add_placements(tx, rollout, [one for one in now if one.key not in before])
    changed = [one for one in now if one.key in before and one != before[one.key]]
    rollout_store.change_placements(tx, rollout, changed)


def _tell_move(tx: Tx, before: Rollout, now: Rollout, *, by: Actor, at_ms: int) -> None:
    for was, ring in zip(before.rings, now.rings, strict=True):
        if was.done_at_ms is None and ring.done_at_ms is not None:
            tell_rollout(tx, ROLLOUT_ADVANCED, now, ring=ring.name, by=by, at_ms=at_ms)
    if now.state in _ENDS:
        last = current_ring(now.rings)
        tell_rollout(tx, _ENDS[now.state], now, ring=last, by=by, at_ms=at_ms)


def current_ring(rings: Sequence[Ring]) -> str | None:
    """The ring opened last; None before the first."""
    opened = [ring.name for ring in rings if ring.opened_at_ms is not None]
    return opened[-1] if opened else None
