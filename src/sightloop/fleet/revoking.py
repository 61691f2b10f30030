"""A version is taken back everywhere: signed, published, and out of every assignment.

Devices that cannot be reached learn it with the next metadata they see, by whatever way.
"""

from __future__ import annotations

import msgspec

from sightloop.fleet import rollout_store, store
from sightloop.fleet.assignments import open_assignment_signer, withdraw
from sightloop.fleet.rollouts import AbortRollout, abort_rollout
from sightloop.fleet.update_repository import publish
from sightloop.fleet.values import Slot
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.errors import Refused
from sightloop.kernel.workspace import Call, Workspace
from sightloop.registry import store as registry
from sightloop.registry.aliases import move_alias
from sightloop.registry.release import require_releasable
from sightloop.registry.revoking import RevokeVersion, sign_revocation
from sightloop.registry.values import CHAMPION, ModelVersion


class RevokedEverywhere(msgspec.Struct, frozen=True, kw_only=True):
    """What followed from a revocation."""

    version: ModelVersion
    instead: int | None
    """The version its devices are assigned now; None when no other is good enough."""
    n_slots: int
    """Slots whose assignment changed."""
    rollouts: list[str]
    """Rollouts of the version that were aborted."""


def revoke_version(workspace: Workspace, call: Call, request: RevokeVersion) -> RevokedEverywhere:
    """The version is published as revoked, and nothing assigns it any more. Safe to repeat.

    Raises:
        NotAllowed: the actor may not release, or not sign.
        NotFound, NotSignedYet, BadComment: see `sign_revocation`.
        OwnerKeyMissing, OwnerKeyForeign, UpdateMetadataDamaged: see `sign_revocation`.
        RepositoryKeyMissing: a key that has to sign now is elsewhere; what was signed stands.
        SlotsMoved: a rollout moved at this moment; repeat.
    """
    require(call.actor, Permission.RELEASE)
    version = sign_revocation(workspace, call, request)
    publish(workspace)
    rollouts = _abort_rollouts(workspace, call, version)
    instead = _move_champion(workspace, call, version)
    n_slots = _reassign(workspace, version, instead)
    return RevokedEverywhere(
        version=version,
        instead=None if instead is None else instead.number,
        n_slots=n_slots,
        rollouts=rollouts,
    )


def _abort_rollouts(workspace: Workspace, call: Call, version: ModelVersion) -> list[str]:
    with workspace.db.read() as tx:
        active = rollout_store.active_rollouts(tx, model=version.model)
    mine = [rollout.id for rollout in active if rollout.number == version.number]
    for rollout in mine:
        reason = f"{version.name} was revoked: {version.revoked_reason}"
        abort_rollout(workspace, call, AbortRollout(rollout=rollout, reason=reason))
    return list(mine)


def _move_champion(workspace: Workspace, call: Call, version: ModelVersion) -> ModelVersion | None:
    """The champion, which is another version now: the newest before that may be released."""
    with workspace.db.write() as tx:
        alias = registry.find_alias(tx, version.model, CHAMPION)
        if alias is not None and alias.number != version.number:
            return registry.get_version(tx, version.model, alias.number)
        good = _newest_good(tx, version)
        if good is None:
            registry.remove_aliases(tx, version.model, alias=CHAMPION)
        elif alias is not None:
            now_ms = workspace.clock.now_ms()
            move_alias(tx, good, alias=CHAMPION, by=call.actor, now_ms=now_ms)
        return good


def _newest_good(tx: Tx, version: ModelVersion) -> ModelVersion | None:
    for number in range(version.number - 1, 0, -1):
        one = registry.get_version(tx, version.model, number)
        verdict = registry.latest_verdict(tx, one.model, number)
        approval = registry.find_approval(tx, one.model, number)
        try:
            require_releasable(one, verdict, approval, action="take its place")
        except Refused:
            continue
        if one.signed_at_ms is not None:
            return one
    return None


def _reassign(workspace: Workspace, version: ModelVersion, instead: ModelVersion | None) -> int:
    """Every slot that is assigned the version gets the other one, or nothing."""
    now_ms = workspace.clock.now_ms()
    with workspace.db.read() as tx:
        slots = [
            slot
            for slot in store.slots_of_model(tx, version.model)
            if slot.bundle == version.bundle
        ]
    if not slots:
        return 0
    moved: list[tuple[Slot, int]] = []
    if instead is None:
        moved = [(withdraw(slot), slot.counter) for slot in slots]
    else:
        signer = open_assignment_signer(workspace)
        number, bundle = instead.number, instead.bundle
        moved = [
            (signer.assign(slot, number=number, bundle=bundle, now_ms=now_ms), slot.counter)
            for slot in slots
        ]
    with workspace.db.write() as tx:
        # A slot that was moved meanwhile was moved away from this version: nobody assigns it now.
        store.move_slots(tx, moved)
    return len(moved)
