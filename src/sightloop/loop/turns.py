"""Turns: what started a way round the loop, where it stands and how it ended.

A model has at most one turn under way; whatever else happens meanwhile is noted on it. Rows are
only ever moved along `NEXT`, inside the transaction of the step that moved them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

import msgspec
from sqlalchemy import BigInteger, Column, Index, Table, Text, insert, select, update

from sightloop.kernel.actors import Actor
from sightloop.kernel.database import Tx, metadata
from sightloop.kernel.errors import NotFound
from sightloop.kernel.events import EventKind, tell

TURN_OPENED = EventKind("turn.opened")
TURN_MOVED = EventKind("turn.moved")
TURN_ENDED = EventKind("turn.ended")

TriggerKind = Literal["person", "loss incident", "labels"]


class TurnState(StrEnum):
    """The stations of a turn, in their order, and the ways it can end."""

    COLLECTING = "collecting labels"
    TRAINING = "training"
    PACKAGING = "packaging"
    GATING = "gating"
    AWAITING_EVIDENCE = "awaiting evidence"
    AWAITING_APPROVAL = "awaiting approval"
    SIGNING = "signing"
    ROLLING_OUT = "rolling out"
    RELEASED = "released"
    REFUSED = "refused"
    ROLLED_BACK = "rolled back"
    FAILED = "failed"


ENDED = frozenset({TurnState.RELEASED, TurnState.REFUSED, TurnState.ROLLED_BACK, TurnState.FAILED})


class Trigger(msgspec.Struct, frozen=True):
    """What started the turn: an incident, a count of labels, or a person."""

    kind: TriggerKind
    id: str
    reason: str


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One time round the loop."""

    id: str
    model: str
    trigger: Trigger
    focus: str
    """The stratum (`field=value`) that must get better; `""` when none is named."""
    state: TurnState
    reason: str
    champion: int | None
    """The version that served when the turn began."""
    run: str | None
    version: int | None
    verdict: str | None
    n_verdicts: int = 0
    rollout: str | None
    opened_at_ms: int
    moved_at_ms: int

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen in it."""
        return self.state in ENDED


_turns = Table(
    "turns",
    metadata,
    Column("id", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("opened_at_ms", BigInteger, nullable=False),
    Column("record", Text, nullable=False),
    Index("turns_by_model", "model", "opened_at_ms"),
)


def open_turn(tx: Tx, turn: Turn, *, by: Actor) -> bool:
    """Write the turn unless its model has one under way or it was opened before; say which."""
    if find_turn(tx, turn.id) is not None or current_turn(tx, turn.model) is not None:
        return False
    tx.execute(insert(_turns).values(_row_of(turn)))
    tell(tx, TURN_OPENED, turn.id, by=by, at_ms=turn.opened_at_ms, data=_facts(turn))
    return True


def move_turn(
    tx: Tx,
    turn: Turn,
    *,
    to: TurnState,
    by: Actor,
    at_ms: int,
    reason: str = "",
    run: str | None = None,
    version: int | None = None,
    verdict: str | None = None,
    rollout: str | None = None,
) -> Turn:
    """The turn one station on (or at its end), with what the station made."""
    moved = msgspec.structs.replace(
        turn,
        state=to,
        reason=reason or turn.reason,
        run=run or turn.run,
        version=version if version is not None else turn.version,
        verdict=verdict or turn.verdict,
        rollout=rollout or turn.rollout,
        moved_at_ms=at_ms,
    )
    tx.execute(update(_turns).where(_turns.c.id == turn.id).values(_row_of(moved)))
    tell(
        tx,
        TURN_ENDED if to in ENDED else TURN_MOVED,
        turn.id,
        by=by,
        at_ms=at_ms,
        data=_facts(moved),
    )
    return moved


def current_turn(tx: Tx, model: str) -> Turn | None:
    """The turn the model is in, if any."""
    under_way = (_turns.c.model == model) & _turns.c.state.not_in([s.value for s in ENDED])
    row = tx.execute(select(_turns.c.record).where(under_way)).scalar()
    return None if row is None else _turn_of(row)


def find_turn(tx: Tx, turn: str) -> Turn | None:
    """The turn of that id, if any."""
    row = tx.execute(select(_turns.c.record).where(_turns.c.id == turn)).scalar()
    return None if row is None else _turn_of(row)


def get_turn(tx: Tx, turn: str) -> Turn:
    """The turn of that id.

    Raises:
        NotFound: there is none.
    """
    found = find_turn(tx, turn)
    if found is None:
        raise NotFound(what="turn", name=turn, hint="`sightloop loop status` lists them")
    return found


def list_turns(tx: Tx, *, model: str | None = None) -> list[Turn]:
    """All turns, oldest first."""
    query = select(_turns.c.record).order_by(_turns.c.opened_at_ms, _turns.c.id)
    if model is not None:
        query = query.where(_turns.c.model == model)
    return [_turn_of(record) for record in tx.scalars(query)]


def _row_of(turn: Turn) -> dict[str, Any]:
    return {
        "id": turn.id,
        "model": turn.model,
        "state": turn.state.value,
        "opened_at_ms": turn.opened_at_ms,
        "record": msgspec.json.encode(turn, order="sorted").decode(),
    }


def _turn_of(record: str) -> Turn:
    return msgspec.json.decode(record, type=Turn)


def _facts(turn: Turn) -> dict[str, Any]:
    return {
        "turn": turn.id,
        "model": turn.model,
        "version": turn.version,
        "state": turn.state.value,
        "reason": turn.reason,
        "trigger": turn.trigger.kind,
        "trigger_id": turn.trigger.id,
        "focus": turn.focus,
    }
