"""A person approves or rejects a version that passed its gate, and says why.

Whether a release waits for that is the policy's matter (loop); that a rejected version never goes
out is this room's (`release`).
"""

from __future__ import annotations

import msgspec

from sightloop.kernel.actors import Permission, require
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.workspace import Call, Workspace
from sightloop.registry import store
from sightloop.registry.errors import BadComment, DecidedAlready, SignedAlready
from sightloop.registry.release import require_passed
from sightloop.registry.values import Approval, Decision

MODEL_APPROVED = EventKind("model.approved")
MODEL_REJECTED = EventKind("model.rejected")

MAX_COMMENT_CHARACTERS = 2000


class DecideVersion(msgspec.Struct, frozen=True, kw_only=True):
    """About which version, and why."""

    model: str
    number: int
    comment: str


def approve_version(workspace: Workspace, call: Call, request: DecideVersion) -> Approval:
    """The version may be signed and released; approving it again changes nothing.

    Raises:
        NotAllowed: the actor may not release.
        BadComment: it is empty or too long.
        NotFound: there is no such version.
        NotReleasable: its latest verdict is not a pass.
        DecidedAlready: a person rejected it.
    """
    return _decide(workspace, call, request, decision="approve")


def reject_version(workspace: Workspace, call: Call, request: DecideVersion) -> Approval:
    """The version is never released, although it passed; rejecting it again changes nothing.

    Raises:
        NotAllowed: the actor may not release.
        BadComment: it is empty or too long.
        NotFound: there is no such version.
        NotReleasable: its latest verdict is not a pass, so it stays in anyway.
        DecidedAlready: a person approved it.
        SignedAlready: it is out.
    """
    return _decide(workspace, call, request, decision="reject")


def _decide(
    workspace: Workspace, call: Call, request: DecideVersion, *, decision: Decision
) -> Approval:
    require(call.actor, Permission.RELEASE)
    comment = request.comment.strip()
    if not 0 < len(comment) <= MAX_COMMENT_CHARACTERS:
        raise BadComment(n_characters=len(comment), most=MAX_COMMENT_CHARACTERS)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        version = store.get_version(tx, request.model, request.number)
        verdict = store.latest_verdict(tx, version.model, version.number)
        known = store.find_approval(tx, version.model, version.number)
        if known is not None:
            if known.decision == decision:
                return known
            raise DecidedAlready(
                version=version.name,
                wanted=decision,
                found=known.decision,
                by=known.by,
                comment=known.comment,
            )
        require_passed(version, verdict, action=_ACTIONS[decision])
        assert verdict is not None, "require_passed refuses a version without a verdict"
        if decision == "reject" and version.signed_at_ms is not None:
            raise SignedAlready(version=version.name)
        made = Approval(
            model=version.model,
            number=version.number,
            decision=decision,
            comment=comment,
            verdict=verdict.id,
            by=call.actor.id,
            at_ms=now_ms,
        )
        store.add_approval(tx, made)
        kind = MODEL_APPROVED if decision == "approve" else MODEL_REJECTED
        data = msgspec.to_builtins(made) | {"bundle": version.bundle}
        tell(tx, kind, version.name, by=call.actor, at_ms=now_ms, data=data)
    return made


_ACTIONS: dict[Decision, str] = {"approve": "be approved", "reject": "be rejected"}
