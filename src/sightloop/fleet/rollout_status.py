"""How a rollout stands and how it went: slot by slot, and as a timeline for reports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from sightloop.fleet import rollout_store, store
from sightloop.fleet.health import Health, Member, Placement, health_of, is_reachable
from sightloop.fleet.rollout import ACTIVE, Rollout
from sightloop.fleet.rollouts import NameRollout
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.workspace import Call, Workspace

Moment = Literal[
    "started",
    "switched",
    "healthy",
    "ring done",
    "ring opened",
    "assigned",
    "finished",
    "rolled_back",
    "aborted",
]
_ORDER: tuple[Moment, ...] = get_args(Moment)
"""Which of two moments in the same millisecond comes first."""


class TimelineEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Something the server saw happen; a device may have switched a check-in earlier."""

    at_ms: int
    what: Moment
    ring: str | None = None
    device: str | None = None
    slot: str | None = None


class PlacementStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One slot of the rollout, and how it stands now."""

    placement: Placement
    state: Literal["waiting", "baking", "healthy", "broken", "gone"]
    reason: str
    is_reachable: bool


class RolloutStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A rollout with everything a report tells of it."""

    rollout: Rollout
    slots: list[PlacementStatus]
    waiting_members: int
    """Slots of the model in rings that have not been opened."""
    timeline: list[TimelineEntry]


class ListRollouts(msgspec.Struct, frozen=True, kw_only=True):
    """Which rollouts, newest first."""

    model: str | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 20


class RolloutList(msgspec.Struct, frozen=True, kw_only=True):
    """Rollouts, newest first."""

    rollouts: list[Rollout]


def list_rollouts(workspace: Workspace, call: Call, request: ListRollouts) -> RolloutList:
    """The latest rollouts of a model, or of all."""
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        found = rollout_store.rollouts(tx, model=request.model, limit=request.limit)
    return RolloutList(rollouts=found)


def rollout_status(workspace: Workspace, call: Call, request: NameRollout) -> RolloutStatus:
    """How the rollout stands now, and when each slot did what.

    Raises:
        NotFound: there is no such rollout.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        rollout = rollout_store.get_rollout(tx, request.rollout)
        placements = rollout_store.placements_of(tx, rollout.id)
        members = {member.key: member for member in store.members_of(tx, rollout.model)}
    now_ms = workspace.clock.now_ms()
    placed = {placement.key for placement in placements}
    return RolloutStatus(
        rollout=rollout,
        slots=[
            _status_of(placement, members.get(placement.key), rollout, now_ms=now_ms)
            for placement in placements
        ],
        waiting_members=len(members.keys() - placed) if rollout.state in ACTIVE else 0,
        timeline=sorted(_timeline(rollout, placements), key=_when),
    )


def _status_of(
    placement: Placement, member: Member | None, rollout: Rollout, *, now_ms: int
) -> PlacementStatus:
    if member is None:
        return PlacementStatus(
            placement=placement, state="gone", reason="the slot is no more", is_reachable=False
        )
    found: Health = health_of(placement, member, bundle=rollout.bundle, criteria=rollout.criteria)
    return PlacementStatus(
        placement=placement,
        state=found.state,
        reason=found.reason,
        is_reachable=is_reachable(member, rollout.criteria, now_ms=now_ms),
    )


def _when(entry: TimelineEntry) -> tuple[int, int]:
    return entry.at_ms, _ORDER.index(entry.what)


def _timeline(rollout: Rollout, placements: list[Placement]) -> Iterator[TimelineEntry]:
    yield TimelineEntry(at_ms=rollout.started_at_ms, what="started")
    for ring in rollout.rings:
        if ring.opened_at_ms is not None:
            yield TimelineEntry(at_ms=ring.opened_at_ms, what="ring opened", ring=ring.name)
        if ring.done_at_ms is not None:
            yield TimelineEntry(at_ms=ring.done_at_ms, what="ring done", ring=ring.name)
    for placement in placements:
        yield from _moments_of(placement)
    if rollout.ended_at_ms is not None:
        assert rollout.state != "running", "a rollout that ended is not running"
        assert rollout.state != "paused", "nor paused"
        yield TimelineEntry(at_ms=rollout.ended_at_ms, what=rollout.state)


def _moments_of(placement: Placement) -> Iterator[TimelineEntry]:
    moments: list[tuple[Moment, int | None]] = [
        ("assigned", placement.assigned_at_ms),
        ("switched", placement.switched_at_ms),
        ("healthy", placement.healthy_at_ms),
    ]
    for what, at_ms in moments:
        if at_ms is not None:
            yield TimelineEntry(
                at_ms=at_ms,
                what=what,
                ring=placement.ring,
                device=placement.device,
                slot=placement.slot,
            )
