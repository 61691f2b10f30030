"""A rollout for people who watch it: ring by ring in numbers, slot by slot in pages."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from sightloop.fleet import rollout_store, store
from sightloop.fleet.health import Member, Placement, health_of, is_reachable, served_s
from sightloop.fleet.rollout import ACTIVE, Ring, Rollout
from sightloop.fleet.rollout_store import Reached, Started
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.workspace import Call, Workspace


class PageRollouts(msgspec.Struct, frozen=True, kw_only=True):
    """Which rollouts, newest first; `after` goes on where an earlier page ended."""

    model: str | None = None
    after: tuple[int, str] | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 50


class RolloutPage(msgspec.Struct, frozen=True, kw_only=True):
    """Rollouts, newest first, and those that are not over, whatever page they are on."""

    rollouts: list[Rollout]
    active: list[RingsOf]
    after: tuple[int, str] | None


class RingsOf(msgspec.Struct, frozen=True, kw_only=True):
    """A rollout with each of its rings in numbers."""

    rollout: Rollout
    rings: list[RingProgress]


class RingProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a ring has come, in slots. `n_slots` is None once the rollout is over."""

    ring: Ring
    n_slots: int | None
    n_assigned: int
    n_switched: int
    n_healthy: int
    n_failing: int
    """Slots on devices that report a failure now."""


class WatchRollout(msgspec.Struct, frozen=True, kw_only=True):
    """Which rollout, and which of its slots: `after` (device, slot) goes on after a page."""

    rollout: str
    ring: str | None = None
    after: tuple[str, str] | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 50


class WatchedSlot(msgspec.Struct, frozen=True, kw_only=True):
    """A slot, how it stands by the criteria, and the values they are held against."""

    placement: Placement
    name: str
    """The device's."""
    state: Literal["waiting", "baking", "healthy", "broken", "gone"]
    reason: str
    is_reachable: bool
    served_s: float | None
    n_requests: int | None
    n_failed: int | None
    p95_ms: float | None


class RolloutOverview(msgspec.Struct, frozen=True, kw_only=True):
    """A rollout with its rings in numbers and one page of its slots."""

    rollout: Rollout
    rings: list[RingProgress]
    slots: list[WatchedSlot]
    after: tuple[str, str] | None


def page_rollouts(workspace: Workspace, call: Call, request: PageRollouts) -> RolloutPage:
    """Rollouts, newest first."""
    require(call.actor, Permission.READ)
    before = None if request.after is None else Started(*request.after)
    with workspace.db.read() as tx:
        found = rollout_store.rollouts(
            tx, model=request.model, limit=request.limit + 1, before=before
        )
        active = [
            RingsOf(rollout=one, rings=_rings(tx, one))
            for one in rollout_store.active_rollouts(tx, model=request.model)
        ]
    shown = found[: request.limit]
    last = shown[-1] if len(found) > request.limit else None
    after = None if last is None else (last.started_at_ms, str(last.id))
    return RolloutPage(rollouts=shown, active=active, after=after)


def watch_rollout(workspace: Workspace, call: Call, request: WatchRollout) -> RolloutOverview:
    """How the rollout stands now.

    Raises:
        NotFound: there is no such rollout.
    """
    require(call.actor, Permission.READ)
    now_ms = workspace.clock.now_ms()
    with workspace.db.read() as tx:
        rollout = rollout_store.get_rollout(tx, request.rollout)
        found = rollout_store.page_placements(
            tx, rollout.id, ring=request.ring, after=request.after, limit=request.limit + 1
        )
        shown = found[: request.limit]
        devices = {one.device for one in shown}
        members = {one.key: one for one in store.members_of(tx, rollout.model, devices)}
        names = store.names_of(tx, devices)
        rings = _rings(tx, rollout)
    slots = [_watched(one, members.get(one.key), rollout, names, now_ms=now_ms) for one in shown]
    after = shown[-1].key if len(found) > request.limit else None
    return RolloutOverview(rollout=rollout, rings=rings, slots=slots, after=after)


def _rings(tx: Tx, rollout: Rollout) -> list[RingProgress]:
    is_active = rollout.state in ACTIVE
    # An open ring was placed whole; only those that wait have to be counted.
    waiting = [ring.name for ring in rollout.rings if ring.opened_at_ms is None]
    sizes = store.count_slots(tx, rollout.model, waiting) if is_active and waiting else {}
    reached = rollout_store.count_placements(tx, rollout.id)
    failing = rollout_store.count_failing(tx, rollout.id)
    return [
        RingProgress(
            ring=ring,
            n_slots=_n_slots(ring, reached, sizes) if is_active else None,
            n_failing=failing.get(ring.name, 0),
            **reached.get(ring.name, Reached(0, 0, 0))._asdict(),
        )
        for ring in rollout.rings
    ]


def _n_slots(ring: Ring, reached: dict[str, Reached], sizes: dict[str, int]) -> int:
    if ring.opened_at_ms is None:
        return sizes.get(ring.name, 0)
    return reached.get(ring.name, Reached(0, 0, 0)).n_assigned


def _watched(
    placement: Placement,
    member: Member | None,
    rollout: Rollout,
    names: dict[str, str],
    *,
    now_ms: int,
) -> WatchedSlot:
    name = names.get(placement.device, placement.device)
    if member is None:
        return WatchedSlot(
            placement=placement,
            name=name,
            state="gone",
            reason="the slot is no more",
            is_reachable=False,
            served_s=None,
            n_requests=None,
            n_failed=None,
            p95_ms=None,
        )
    found = health_of(placement, member, bundle=rollout.bundle, criteria=rollout.criteria)
    said = member.report
    # Only what the slot says while it runs this bundle is held against the criteria.
    serves = said is not None and said.running == rollout.bundle
    return WatchedSlot(
        placement=placement,
        name=name,
        state=found.state,
        reason=found.reason,
        is_reachable=is_reachable(member, rollout.criteria, now_ms=now_ms),
        served_s=served_s(placement, member) if serves else None,
        n_requests=said.n_requests if said is not None and serves else None,
        n_failed=said.n_failed if said is not None and serves else None,
        p95_ms=said.latency_p95_ms if said is not None and serves else None,
    )
