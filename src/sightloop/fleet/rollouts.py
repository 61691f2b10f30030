"""Rollouts: a signed version goes out ring by ring, or comes back.

`advance_rollouts` is called every second by a worker. It reads, decides in `rollout` (pure), signs
the assignments that follow and stores all of it in one transaction that only one worker can win.
"""

from __future__ import annotations

import msgspec

from sightloop.fleet import rollout_store, store
from sightloop.fleet.errors import BadRings, NotSigned, RolloutNot, RolloutUnderWay, SlotsMoved
from sightloop.fleet.health import HealthCriteria
from sightloop.fleet.rollout import (
    ACTIVE,
    Advance,
    Ring,
    Rollout,
    RolloutId,
    advance,
    end,
    pause,
    resume,
)
from sightloop.fleet.rollout_moves import (
    ROLLOUT_PAUSED,
    ROLLOUT_RESUMED,
    ROLLOUT_STARTED,
    current_ring,
    store_move,
    tell_rollout,
)
from sightloop.fleet.update_repository import publish
from sightloop.fleet.values import parse_name
from sightloop.kernel.actors import Permission, require, step_actor
from sightloop.kernel.ids import derived_id
from sightloop.kernel.steps import Outcome, Step
from sightloop.kernel.worker import StepControl
from sightloop.kernel.workspace import Call, Workspace
from sightloop.registry import store as registry
from sightloop.registry.release import require_releasable, unmet_rules
from sightloop.registry.values import VerdictRecord


class StartRollout(msgspec.Struct, frozen=True, kw_only=True):
    """Send a version to every device that runs its model, ring after ring."""

    model: str
    number: int
    rings: list[str]
    """In order; every ring with a slot of the model must be among them."""
    criteria: HealthCriteria = HealthCriteria()
    id: str | None = None
    """The rollout's id; starting one that is known returns it as it is."""


class NameRollout(msgspec.Struct, frozen=True, kw_only=True):
    """A rollout by its id."""

    rollout: str


class AbortRollout(msgspec.Struct, frozen=True, kw_only=True):
    """Stop a rollout and turn it back."""

    rollout: str
    reason: str


def start_rollout(workspace: Workspace, call: Call, request: StartRollout) -> Rollout:
    """The rollout runs; what its devices need is published.

    Raises:
        NotFound: there is no such version.
        NotSigned: its owner has not signed it.
        NotReleasable: its latest verdict is not a pass.
        VersionRejected: a person rejected it.
        BadRings: a ring is named twice, none is, or one with devices is missing.
        RolloutUnderWay: another rollout of the model is not over.
    """
    require(call.actor, Permission.RELEASE)
    with workspace.db.read() as tx:
        known = rollout_store.find_rollout(tx, request.id) if request.id else None
        version = registry.get_version(tx, request.model, request.number)
        verdict = registry.latest_verdict(tx, request.model, request.number)
        approval = registry.find_approval(tx, request.model, request.number)
    if known is not None:
        return known
    if version.signed_at_ms is None:
        raise NotSigned(version=version.name)
    require_releasable(version, verdict, approval, action="be rolled out")
    # Before any device is told: a bundle that is assigned can also be verified.
    publish(workspace)
    now_ms = workspace.clock.now_ms()
    rollout = Rollout(
        id=RolloutId(request.id or workspace.ids.new("rollout")),
        model=version.model,
        number=version.number,
        bundle=version.bundle,
        criteria=request.criteria,
        rings=[Ring(name=name) for name in request.rings],
        started_at_ms=now_ms,
    )
    with workspace.db.write() as tx:
        for other in rollout_store.active_rollouts(tx, model=version.model):
            if other.id == rollout.id:
                return other
            raise RolloutUnderWay(model=version.model, rollout=other.id)
        _check_rings(request.rings, present=store.rings_of(tx, version.model))
        rollout_store.add_rollout(tx, rollout)
        tell_rollout(tx, ROLLOUT_STARTED, rollout, ring=None, by=call.actor, at_ms=now_ms)
    return rollout


def start_rollout_step(workspace: Workspace, step: Step, control: StepControl) -> Outcome:  # noqa: ARG001
    """Step handler of `start_rollout`; inputs are the request's fields without an id."""
    request = msgspec.convert({**step.inputs, "id": derived_id("rollout", step.key)}, StartRollout)
    rollout = start_rollout(workspace, Call(step_actor(step.name)), request)
    return Outcome({"rollout": rollout.id})


def advance_rollouts(workspace: Workspace, call: Call) -> list[Rollout]:
    """Every rollout that was not over has moved as far as its devices' reports allow.

    Costs one query when none is under way. Safe to call from several workers at once.
    """
    require(call.actor, Permission.RELEASE)
    with workspace.db.read() as tx:
        active = rollout_store.active_rollouts(tx)
    return [_advance_one(workspace, call, rollout) for rollout in active]


def pause_rollout(workspace: Workspace, call: Call, request: NameRollout) -> Rollout:
    """No further ring opens until it is resumed; a breach of health still turns it back.

    Raises:
        NotFound: there is no such rollout.
        RolloutNot: it is over, or paused already.
    """
    require(call.actor, Permission.RELEASE)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        rollout = rollout_store.get_rollout(tx, request.rollout)
        if rollout.state != "running":
            raise RolloutNot(rollout=rollout.id, state=rollout.state, wanted="paused")
        rollout_store.move_rollout(tx, pause(rollout, now_ms=now_ms))
        ring = current_ring(rollout.rings)
        tell_rollout(tx, ROLLOUT_PAUSED, rollout, ring=ring, by=call.actor, at_ms=now_ms)
        return rollout_store.get_rollout(tx, rollout.id)


def resume_rollout(workspace: Workspace, call: Call, request: NameRollout) -> Rollout:
    """The rollout goes on; the pause is not held against its deadline.

    Raises:
        NotFound: there is no such rollout.
        RolloutNot: it is not paused.
    """
    require(call.actor, Permission.RELEASE)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        rollout = rollout_store.get_rollout(tx, request.rollout)
        if rollout.state != "paused":
            raise RolloutNot(rollout=rollout.id, state=rollout.state, wanted="resumed")
        rollout_store.move_rollout(tx, resume(rollout, now_ms=now_ms))
        ring = current_ring(rollout.rings)
        tell_rollout(tx, ROLLOUT_RESUMED, rollout, ring=ring, by=call.actor, at_ms=now_ms)
        return rollout_store.get_rollout(tx, rollout.id)


def abort_rollout(workspace: Workspace, call: Call, request: AbortRollout) -> Rollout:
    """The rollout is over, and every device that got the bundle is assigned its previous one.

    Raises:
        NotFound: there is no such rollout.
        RolloutNot: it is over.
        SlotsMoved: a slot was assigned something else at this moment; repeat.
    """
    require(call.actor, Permission.RELEASE)
    with workspace.db.read() as tx:
        rollout = rollout_store.get_rollout(tx, request.rollout)
        placements = rollout_store.placements_of(tx, rollout.id)
    if rollout.state not in ACTIVE:
        raise RolloutNot(rollout=rollout.id, state=rollout.state, wanted="aborted")
    now_ms = workspace.clock.now_ms()
    aborted = end(rollout, "aborted", reason=request.reason, now_ms=now_ms)
    move = Advance(aborted, placements, [])
    stored = store_move(workspace, rollout, move, known=placements, by=call.actor)
    if stored.state != "aborted":
        return abort_rollout(workspace, call, request)  # a worker moved it between read and write
    return stored


def _advance_one(workspace: Workspace, call: Call, seen: Rollout) -> Rollout:
    with workspace.db.read() as tx:
        rollout = rollout_store.get_rollout(tx, seen.id)
        placements = rollout_store.placements_of(tx, seen.id)
        members = store.members_of(tx, seen.model)
        verdict = registry.latest_verdict(tx, seen.model, seen.number)
    now_ms = workspace.clock.now_ms()
    lost = _why_not_releasable(verdict)
    if lost and rollout.state in ACTIVE:
        ended = end(rollout, "rolled_back", reason=lost, now_ms=now_ms)
        move = Advance(ended, placements, [])
    else:
        move = advance(rollout, placements=placements, members=members, now_ms=now_ms)
    if move.rollout == rollout and move.placements == placements:
        return rollout
    try:
        return store_move(workspace, rollout, move, known=placements, by=call.actor)
    except SlotsMoved:
        return rollout  # the next call, a second later, decides on what is true then


def _why_not_releasable(verdict: VerdictRecord | None) -> str:
    if verdict is None or verdict.verdict.outcome == "pass":
        return ""
    unmet = "; ".join(unmet_rules(verdict))
    return f"its latest verdict is no longer a pass but {verdict.verdict.outcome}: {unmet}"


def _check_rings(rings: list[str], *, present: set[str]) -> None:
    for ring in rings:
        parse_name(ring, what="ring")
    missing = sorted(present - set(rings))
    if not rings:
        raise BadRings(rings=rings, problem="there must be at least one")
    if len(set(rings)) < len(rings):
        raise BadRings(rings=rings, problem="one is named twice")
    if missing:
        named = ", ".join(missing)
        raise BadRings(rings=rings, problem=f"devices of the model are also in {named}; add it")
