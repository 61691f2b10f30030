"""What people ask of the loop: how it stands, to go round, to hold still, what happened."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from sightloop.kernel import audit, events, steps
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.audit import Seal
from sightloop.kernel.errors import NotFound
from sightloop.kernel.events import Event
from sightloop.kernel.steps import StepState
from sightloop.kernel.workspace import Call, Workspace
from sightloop.loop import settings
from sightloop.loop.errors import TurnUnderWay
from sightloop.loop.handlers import new_turn
from sightloop.loop.policy_file import read_policy
from sightloop.loop.reactions import LOOP
from sightloop.loop.turns import Trigger, Turn, current_turn, get_turn, list_turns, open_turn

N_STEPS = 500
"""How many steps a status lists, of those that are done and of the others."""


class ShowLoop(msgspec.Struct, frozen=True, kw_only=True):
    """How the loop stands."""


class StepFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One step, without its inputs and outputs."""

    key: str
    name: str
    state: StepState
    attempt: int
    runs: int
    error: str | None
    created_at_ms: int
    finished_at_ms: int | None


class LoopStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Turns, steps and what waits. Of steps that are done only the newest are listed."""

    is_paused: bool
    models: list[str]
    turns: list[Turn]
    steps: list[StepFacts]
    n_events_waiting: int


class ShowTurn(msgspec.Struct, frozen=True, kw_only=True):
    """One turn."""

    turn: str


class RunLoop(msgspec.Struct, frozen=True, kw_only=True):
    """Go once round the loop with this model: train on the branch's head, gate, release."""

    model: str
    reason: str = "asked for by a person"


class PauseLoop(msgspec.Struct, frozen=True, kw_only=True):
    """Hold still, or go on."""

    paused: bool
    reason: str = ""


class ListEvents(msgspec.Struct, frozen=True, kw_only=True):
    """Events with a number above `after`, oldest first."""

    after: int = 0
    subject: str | None = None
    limit: Annotated[int, Meta(ge=1, le=5000)] = 500


class ListLatest(msgspec.Struct, frozen=True, kw_only=True):
    """The newest events, newest first; `before` goes on where an earlier list ended."""

    before: int | None = None
    subject: str | None = None
    limit: Annotated[int, Meta(ge=1, le=5000)] = 100


class EventList(msgspec.Struct, frozen=True, kw_only=True):
    """What happened."""

    events: list[Event]


class TryAgain(msgspec.Struct, frozen=True, kw_only=True):
    """Let a failed step be attempted anew."""

    step: str


class AuditFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The audit log verified: how many events its seals cover, and the newest seal."""

    n_events: int
    newest: Seal | None


def show_loop(workspace: Workspace, call: Call, request: ShowLoop) -> LoopStatus:  # noqa: ARG001
    """Every turn, the latest steps and how many events wait.

    Raises:
        BadPolicy: `loop.yaml` cannot be used.
    """
    require(call.actor, Permission.READ)
    policy = read_policy(workspace)
    with workspace.db.read() as tx:
        return LoopStatus(
            is_paused=settings.is_paused(tx),
            models=sorted(policy.models),
            turns=list_turns(tx),
            steps=[_facts_of(step) for step in steps.recent(tx, limit=N_STEPS)],
            n_events_waiting=events.waiting(tx, LOOP),
        )


def show_turn(workspace: Workspace, call: Call, request: ShowTurn) -> Turn:
    """One time round the loop.

    Raises:
        NotFound: there is no such turn.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        return get_turn(tx, request.turn)


def run_loop(workspace: Workspace, call: Call, request: RunLoop) -> Turn:
    """A new turn of the model, opened by the caller.

    Raises:
        NotFound: `loop.yaml` does not name the model.
        TurnUnderWay: the model is on its way round already.
    """
    require(call.actor, Permission.RUN_LOOP)
    known = read_policy(workspace).models
    if request.model not in known:
        names = ", ".join(sorted(known)) or "none"
        raise NotFound(what="model in loop.yaml", name=request.model, hint=f"it names: {names}")
    trigger = Trigger("person", call.actor.id, request.reason)
    turn = new_turn(workspace, request.model, trigger, focus="", key=workspace.ids.new("asked"))
    with workspace.db.write() as tx:
        if not open_turn(tx, turn, by=call.actor):
            other = current_turn(tx, request.model)
            assert other is not None, "only a turn under way keeps another from opening"
            raise TurnUnderWay(model=request.model, turn=other.id, state=other.state.value)
    return turn


def pause_loop(workspace: Workspace, call: Call, request: PauseLoop) -> LoopStatus:
    """The loop as it stands after holding still or going on."""
    require(call.actor, Permission.RUN_LOOP)
    with workspace.db.write() as tx:
        if request.paused:
            settings.pause(tx, request.reason)
        else:
            settings.resume(tx)
    return show_loop(workspace, call, ShowLoop())


def list_events(workspace: Workspace, call: Call, request: ListEvents) -> EventList:
    """What happened after a number, or to one record."""
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        found = events.history(
            tx, after=request.after, subject=request.subject, limit=min(request.limit, 5000)
        )
    return EventList(events=found)


def latest_events(workspace: Workspace, call: Call, request: ListLatest) -> EventList:
    """What happened last, or last to one record."""
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        found = events.latest(
            tx, limit=min(request.limit, 5000), before=request.before, subject=request.subject
        )
    return EventList(events=found)


def try_again(workspace: Workspace, call: Call, request: TryAgain) -> StepFacts:
    """A failed step waits to be run again.

    Raises:
        NotFound: there is no failed step of that key.
    """
    require(call.actor, Permission.RUN_LOOP)
    key = steps.StepKey(request.step)
    with workspace.db.write() as tx:
        steps.try_again(tx, key)
        return _facts_of(steps.get(tx, key))


def verify_audit_log(workspace: Workspace, call: Call, request: ShowLoop) -> AuditFacts:  # noqa: ARG001
    """Recompute every seal of the audit log.

    Raises:
        AuditBroken: names the first seal that does not hold.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        return AuditFacts(n_events=audit.verify(tx), newest=audit.latest(tx))


def _facts_of(step: steps.Step) -> StepFacts:
    chosen: dict[str, Any] = {field: getattr(step, field) for field in StepFacts.__struct_fields__}
    return StepFacts(**chosen)
