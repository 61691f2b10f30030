"""Steps: functions from records to records that run once, whatever crashes.

A step is named by the hash of its kind, version and inputs. Asking for a step that is known
changes nothing, so triggers may repeat themselves. A worker leases a due step and keeps the lease
alive; when it dies the lease runs out and another worker takes over. The step's output, the
records it makes and their events are written in the transaction that marks it done, so a finished
step is never repeated and a half-finished one has left no record.

Handlers must be repeatable: before that last transaction they may only do what can be done twice
(write blobs, start or re-attach to a child process, move a file into place).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, NewType

import msgspec
from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, func, insert, select, update

from sightloop.kernel.database import Tx, metadata
from sightloop.kernel.digests import digest_of_record
from sightloop.kernel.errors import Conflict, NotFound

StepKey = NewType("StepKey", str)
MAX_ATTEMPTS = 3
MAX_LEASES = 10
"""A step that took this many workers with it is at fault itself (out of memory, say)."""
FIRST_RETRY_AFTER_MS = 2_000


class StepState(StrEnum):
    """Where a step stands. `waiting` and an expired `running` are the ones a worker may take."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Lane(StrEnum):
    """Which queue a step stands in, so that minutes of training never delay a quick one."""

    QUICK = "quick"
    HEAVY = "heavy"
    SWEEP = "sweep"
    """Trials of sweeps: hours of searching never delay the training that answers a drift."""


class StepSpec(msgspec.Struct, frozen=True):
    """What to do: the handler's name and version, and ids of records as inputs."""

    name: str
    version: int
    inputs: dict[str, Any]
    lane: Lane = Lane.QUICK

    @property
    def key(self) -> StepKey:
        """The hash of name, version and inputs; the lane does not change what a step means."""
        digest = digest_of_record([self.name, self.version, self.inputs])
        return StepKey(f"{self.name}:{digest.removeprefix('sha256:')[:32]}")


class Step(msgspec.Struct, frozen=True):
    """A step as the database knows it."""

    key: StepKey
    name: str
    version: int
    inputs: dict[str, Any]
    lane: Lane
    state: StepState
    attempt: int
    runs: int
    """How often its handler ran to the end; more than 1 would be a broken promise."""
    owner: str | None
    lease_until_ms: int
    not_before_ms: int
    output: dict[str, Any] | None
    error: str | None
    created_at_ms: int
    finished_at_ms: int | None


class Outcome(msgspec.Struct, frozen=True):
    """What a handler returns: the output to remember, and how to record it.

    `record` runs inside the transaction that marks the step done and writes its records and
    events; it must not do anything else.
    """

    output: dict[str, Any]
    record: Callable[[Tx], None] | None = None


class LeaseLost(Conflict):
    """Another worker holds the step: this one was away for longer than its lease."""

    code = "SL-420"

    def __init__(self, *, key: StepKey, owner: str) -> None:
        super().__init__(
            f"{owner} no longer holds step {key}; its lease ran out and another worker took "
            "over - what this worker did is discarded",
            key=key,
            owner=owner,
        )


_steps = Table(
    "steps",
    metadata,
    Column("key", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("inputs", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("runs", Integer, nullable=False),
    Column("owner", Text),
    Column("lease_until_ms", BigInteger, nullable=False),
    Column("not_before_ms", BigInteger, nullable=False),
    Column("output", Text),
    Column("error", Text),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("finished_at_ms", BigInteger),
    Index("steps_due", "state", "lane", "not_before_ms", "created_at_ms"),
)


def ask_for(tx: Tx, spec: StepSpec, *, now_ms: int) -> Step:
    """Make sure the step exists; a step already known, finished or not, is returned as it is."""
    known = _find(tx, spec.key)
    if known is not None:
        return known
    tx.execute(
        insert(_steps).values(
            key=spec.key,
            name=spec.name,
            version=spec.version,
            inputs=msgspec.json.encode(spec.inputs, order="sorted").decode(),
            lane=spec.lane.value,
            state=StepState.WAITING.value,
            attempt=0,
            runs=0,
            lease_until_ms=0,
            not_before_ms=0,
            created_at_ms=now_ms,
        )
    )
    return get(tx, spec.key)


def get(tx: Tx, key: StepKey) -> Step:
    """The step as it stands.

    Raises:
        NotFound: nobody asked for it.
    """
    step = _find(tx, key)
    if step is None:
        raise NotFound(what="step", name=key)
    return step


def every(tx: Tx) -> list[Step]:
    """All steps, oldest first."""
    rows = tx.execute(select(_steps).order_by(_steps.c.created_at_ms, _steps.c.key)).mappings()
    return [_step_of(row) for row in rows]


def recent(tx: Tx, *, limit: int) -> list[Step]:
    """Steps that are not done, and the newest of those that are; oldest first."""
    is_done = _steps.c.state == StepState.DONE.value
    newest = _steps.c.created_at_ms.desc(), _steps.c.key.desc()
    done = select(_steps).where(is_done).order_by(*newest).limit(limit)
    others = select(_steps).where(~is_done).order_by(*newest).limit(limit)
    found = [_step_of(row) for query in (done, others) for row in tx.execute(query).mappings()]
    return sorted(found, key=lambda step: (step.created_at_ms, step.key))


def lease_next(tx: Tx, *, owner: str, lane: Lane, now_ms: int, lease_ms: int) -> Step | None:
    """Take the oldest due step of the lane: one that waits, or whose worker fell silent."""
    waits = (_steps.c.state == StepState.WAITING.value) & (_steps.c.not_before_ms <= now_ms)
    silent = (_steps.c.state == StepState.RUNNING.value) & (_steps.c.lease_until_ms <= now_ms)
    query = (
        select(_steps.c.key, _steps.c.attempt)
        .where((_steps.c.lane == lane.value) & (waits | silent))
        .order_by(_steps.c.created_at_ms, _steps.c.key)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = tx.execute(query).first()
    if row is None:
        return None
    key, attempt = row
    if attempt >= MAX_LEASES:
        _give_up(tx, key, now_ms)
        return lease_next(tx, owner=owner, lane=lane, now_ms=now_ms, lease_ms=lease_ms)
    tx.execute(
        update(_steps)
        .where(_steps.c.key == key)
        .values(
            state=StepState.RUNNING.value,
            owner=owner,
            attempt=_steps.c.attempt + 1,
            lease_until_ms=now_ms + lease_ms,
        )
    )
    return get(tx, StepKey(key))


def renew(tx: Tx, key: StepKey, *, owner: str, now_ms: int, lease_ms: int) -> None:
    """Keep the step for another `lease_ms`.

    Raises:
        LeaseLost: another worker has it; stop what you are doing.
    """
    renewed = tx.execute(
        update(_steps).where(_held(key, owner)).values(lease_until_ms=now_ms + lease_ms)
    )
    if renewed.rowcount == 0:
        raise LeaseLost(key=key, owner=owner)


def finish(tx: Tx, key: StepKey, outcome: Outcome, *, owner: str, now_ms: int) -> None:
    """Write the outcome's records and mark the step done, all in this transaction.

    Raises:
        LeaseLost: another worker has it; nothing of the outcome is written.
    """
    finished = tx.execute(
        update(_steps)
        .where(_held(key, owner))
        .values(
            state=StepState.DONE.value,
            runs=_steps.c.runs + 1,
            owner=None,
            output=msgspec.json.encode(outcome.output, order="sorted").decode(),
            error=None,
            finished_at_ms=now_ms,
        )
    )
    if finished.rowcount == 0:
        raise LeaseLost(key=key, owner=owner)
    if outcome.record is not None:
        outcome.record(tx)


def fail(tx: Tx, key: StepKey, *, owner: str, error: str, retry: bool, now_ms: int) -> StepState:
    """Note the failure; the step waits for another attempt, or has failed for good.

    Raises:
        LeaseLost: another worker has it; its fate is no longer this worker's.
    """
    step = get(tx, key)
    again = retry and step.attempt < MAX_ATTEMPTS
    state = StepState.WAITING if again else StepState.FAILED
    wait_ms = FIRST_RETRY_AFTER_MS * 4 ** (step.attempt - 1)
    failed = tx.execute(
        update(_steps)
        .where(_held(key, owner))
        .values(
            state=state.value,
            owner=None,
            error=error,
            not_before_ms=now_ms + wait_ms,
            finished_at_ms=None if again else now_ms,
        )
    )
    if failed.rowcount == 0:
        raise LeaseLost(key=key, owner=owner)
    return state


def give_back(tx: Tx, key: StepKey, *, owner: str) -> None:
    """Let go of a step that was interrupted and not at fault; another worker may take it now."""
    tx.execute(
        update(_steps)
        .where(_held(key, owner))
        .values(
            state=StepState.WAITING.value, owner=None, not_before_ms=0, attempt=_steps.c.attempt - 1
        )
    )


def try_again(tx: Tx, key: StepKey) -> None:
    """Let a failed step be attempted anew, as after its cause was mended.

    Raises:
        NotFound: there is no failed step of that key.
    """
    changed = tx.execute(
        update(_steps)
        .where((_steps.c.key == key) & (_steps.c.state == StepState.FAILED.value))
        .values(state=StepState.WAITING.value, attempt=0, not_before_ms=0, finished_at_ms=None)
    )
    if changed.rowcount == 0:
        raise NotFound(what="failed step", name=key)


def counts(tx: Tx) -> dict[StepState, int]:
    """How many steps stand in each state."""
    rows = tx.execute(select(_steps.c.state, func.count()).group_by(_steps.c.state))
    found = {StepState(state): int(n) for state, n in rows}
    return {state: found.get(state, 0) for state in StepState}


def _give_up(tx: Tx, key: str, now_ms: int) -> None:
    tx.execute(
        update(_steps)
        .where(_steps.c.key == key)
        .values(
            state=StepState.FAILED.value,
            owner=None,
            error=f"{MAX_LEASES} workers were lost while they ran this step",
            finished_at_ms=now_ms,
        )
    )


def _held(key: StepKey, owner: str) -> Any:  # noqa: ANN401 - a SQL condition
    running = _steps.c.state == StepState.RUNNING.value
    return (_steps.c.key == key) & (_steps.c.owner == owner) & running


def _find(tx: Tx, key: StepKey) -> Step | None:
    row = tx.execute(select(_steps).where(_steps.c.key == key)).mappings().first()
    return None if row is None else _step_of(row)


def _step_of(row: Any) -> Step:  # noqa: ANN401 - a SQLAlchemy row mapping
    values = dict(row)
    values["inputs"] = msgspec.json.decode(values["inputs"])
    values["output"] = None if values["output"] is None else msgspec.json.decode(values["output"])
    values["lane"] = Lane(values["lane"])
    values["state"] = StepState(values["state"])
    return Step(**values)
