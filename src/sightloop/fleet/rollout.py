"""How a rollout moves: ring after ring, on what devices report, and back at the first harm. Pure.

A ring opens when the one before it is done. Every slot of an open ring is assigned the bundle. The
ring is done when each of its devices that can be reached, and each of the earlier rings, has served
the bundle healthily for as long and as often as the criteria ask. A device that is offline blocks
nobody and proves nothing: it is assigned, and follows when it is back. One failed slot, one
quarantined bundle, one breach of health or a passed deadline turns the whole rollout back.

Only what a device reported counts. Silence is never taken for health.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, NewType

import msgspec

from sightloop.fleet.health import (
    Health,
    HealthCriteria,
    Key,
    Member,
    Placement,
    health_of,
    is_reachable,
    observe,
    p95_before,
)
from sightloop.kernel.digests import Digest

RolloutId = NewType("RolloutId", str)
RolloutState = Literal["running", "paused", "finished", "rolled_back", "aborted"]
ACTIVE: tuple[RolloutState, ...] = ("running", "paused")

MAX_NAMED = 5
"""How many slots a reason names; a ring may have thousands."""


class Ring(msgspec.Struct, frozen=True, kw_only=True):
    """One ring of a rollout."""

    name: str
    opened_at_ms: int | None = None
    done_at_ms: int | None = None


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """One version on its way to the devices."""

    id: RolloutId
    model: str
    number: int
    bundle: Digest
    criteria: HealthCriteria
    rings: list[Ring]
    state: RolloutState = "running"
    started_at_ms: int
    paused_at_ms: int | None = None
    ended_at_ms: int | None = None
    reason: str = ""
    revision: int = 0
    """Grows with each change, so that two workers cannot both make the next one."""


_JUST_ASSIGNED = Health("waiting", "was assigned it just now")


class Advance(NamedTuple):
    """What follows from the reports."""

    rollout: Rollout
    placements: list[Placement]
    assign: list[Placement]
    """Those among `placements` whose slots must be assigned the bundle now."""


def advance(
    rollout: Rollout,
    *,
    placements: Sequence[Placement],
    members: Sequence[Member],
    now_ms: int,
) -> Advance:
    """The rollout after these reports; an ended one stays as it is.

    A paused rollout only watches: it opens no ring, but a breach still turns it back.
    """
    if rollout.state not in ACTIVE:
        return Advance(rollout, list(placements), [])
    present = {member.key: member for member in members}
    watched = {
        placement.key: observe(
            placement, present[placement.key], bundle=rollout.bundle, criteria=rollout.criteria
        )
        if placement.key in present
        else placement
        for placement in placements
    }
    health = _health_of_all(rollout, watched, present)
    for key, found in health.items():
        if found.state == "broken":
            ended = end(
                rollout, "rolled_back", reason=f"{_name(key)} {found.reason}", now_ms=now_ms
            )
            return Advance(ended, list(watched.values()), [])
    if rollout.state == "paused":
        return Advance(rollout, list(watched.values()), [])
    return _move(rollout, watched, members, health, now_ms=now_ms)


def end(
    rollout: Rollout,
    state: Literal["finished", "rolled_back", "aborted"],
    *,
    reason: str,
    now_ms: int,
) -> Rollout:
    """The rollout, over."""
    return msgspec.structs.replace(rollout, state=state, reason=reason, ended_at_ms=now_ms)


def pause(rollout: Rollout, *, now_ms: int) -> Rollout:
    """The rollout, opening no further ring until it is resumed."""
    return msgspec.structs.replace(rollout, state="paused", paused_at_ms=now_ms)


def resume(rollout: Rollout, *, now_ms: int) -> Rollout:
    """The rollout, going on; the time it stood still is not held against its ring."""
    assert rollout.paused_at_ms is not None, "only a paused rollout is resumed"
    stood_ms = now_ms - rollout.paused_at_ms
    rings = [
        msgspec.structs.replace(ring, opened_at_ms=ring.opened_at_ms + stood_ms)
        if ring.opened_at_ms is not None and ring.done_at_ms is None
        else ring
        for ring in rollout.rings
    ]
    return msgspec.structs.replace(rollout, state="running", paused_at_ms=None, rings=rings)


def to_turn_back(rollout: Rollout, placements: Iterable[Placement]) -> list[Placement]:
    """Whose slots must get their previous bundle again, now that the rollout turned back."""
    return [placement for placement in placements if placement.previous != rollout.bundle]


def _health_of_all(
    rollout: Rollout, placements: Mapping[Key, Placement], members: Mapping[Key, Member]
) -> dict[Key, Health]:
    return {
        key: health_of(placement, members[key], bundle=rollout.bundle, criteria=rollout.criteria)
        for key, placement in placements.items()
        if key in members
    }


def _move(
    rollout: Rollout,
    placements: Mapping[Key, Placement],
    members: Sequence[Member],
    health: Mapping[Key, Health],
    *,
    now_ms: int,
) -> Advance:
    """Open rings, place their slots and close rings for as long as nothing blocks."""
    placed, rings = dict(placements), list(rollout.rings)
    assign: list[Placement] = []
    for index, ring in enumerate(rings):
        if ring.done_at_ms is not None:
            continue
        if ring.opened_at_ms is None:
            rings[index] = msgspec.structs.replace(ring, opened_at_ms=now_ms)
        opened = [member for member in members if _ring_index(member, rings) <= index]
        for member in opened:
            if member.key not in placed:
                placed[member.key] = _place(member, rollout, rings, now_ms=now_ms)
                if member.bundle != rollout.bundle:
                    assign.append(placed[member.key])
        blockers = _blockers(rollout, opened, health, index=index, now_ms=now_ms)
        if blockers and _is_late(rings[index], rollout.criteria, now_ms=now_ms):
            why = f"ring {ring.name} took longer than {rollout.criteria.deadline_s:g} s: "
            why += "; ".join(blockers[:MAX_NAMED])
            ended = end(rollout, "rolled_back", reason=why, now_ms=now_ms)
            return Advance(ended, list(placements.values()), [])
        if blockers:
            return Advance(_with(rollout, rings), list(placed.values()), assign)
        rings[index] = msgspec.structs.replace(rings[index], done_at_ms=now_ms)
    finished = end(_with(rollout, rings), "finished", reason="", now_ms=now_ms)
    return Advance(finished, list(placed.values()), assign)


def _blockers(
    rollout: Rollout,
    opened: Sequence[Member],
    health: Mapping[Key, Health],
    *,
    index: int,
    now_ms: int,
) -> list[str]:
    """Why the ring is not done, one sentence each; empty when it is."""
    criteria, rings = rollout.criteria, rollout.rings
    reachable = {m.key for m in opened if is_reachable(m, criteria, now_ms=now_ms)}
    waiting = [
        f"{_name(key)} {found.reason}"
        for key in sorted(reachable)
        if (found := health.get(key, _JUST_ASSIGNED)).state != "healthy"
    ]
    if waiting:
        return waiting
    if opened and not reachable:
        return [f"no device up to ring {rings[index].name} can be reached"]
    ring = [member for member in opened if _ring_index(member, rings) == index]
    n_healthy = sum(member.key in reachable for member in ring)
    if n_healthy < criteria.quorum * len(ring):
        return [f"only {n_healthy} of {len(ring)} slots of ring {rings[index].name} are healthy"]
    return []


def _place(member: Member, rollout: Rollout, rings: Sequence[Ring], *, now_ms: int) -> Placement:
    knows_it = member.bundle == rollout.bundle
    return Placement(
        device=member.device,
        slot=member.slot,
        ring=rings[_ring_index(member, rings)].name,
        counter=member.counter if knows_it else member.counter + 1,
        previous=member.bundle,
        previous_number=member.number,
        previous_p95_ms=p95_before(member, rollout.criteria),
        assigned_at_ms=now_ms,
    )


def _ring_index(member: Member, rings: Sequence[Ring]) -> int:
    # A device that joined a ring nobody planned for follows with the last one.
    names = [ring.name for ring in rings]
    return names.index(member.ring) if member.ring in names else len(names) - 1


def _is_late(ring: Ring, criteria: HealthCriteria, *, now_ms: int) -> bool:
    return ring.opened_at_ms is not None and now_ms - ring.opened_at_ms > criteria.deadline_s * 1000


def _with(rollout: Rollout, rings: list[Ring]) -> Rollout:
    return msgspec.structs.replace(rollout, rings=rings)


def _name(key: Key) -> str:
    return f"{key[0]}/{key[1]}"
