"""Sweeps and their trials as records. Nothing else is needed to go on with a sweep."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    RowMapping,
    Table,
    Text,
    func,
    insert,
    select,
    update,
)

from sightloop.contracts.numbers import Number, from_wire, to_wire
from sightloop.kernel.database import Tx, metadata
from sightloop.kernel.digests import canonical_json
from sightloop.training.sweeps.errors import SweepUnknown
from sightloop.training.sweeps.spec import SweepSpec
from sightloop.training.sweeps.values import Sweep, SweepStatus, Trial, TrialState

_sweeps = Table(
    "training_sweeps",
    metadata,
    Column("id", Text, primary_key=True),
    Column("spec", Text, nullable=False),
    Column("dataset_commit", Text, nullable=False),
    Column("n_trials", Integer, nullable=False),
    Column("time_limit_s", Float, nullable=False),
    Column("state", Text, nullable=False),
    Column("ended_because", Text, nullable=False),
    Column("go", Integer, nullable=False),
    Column("spent_ms", BigInteger, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("resumed_at_ms", BigInteger, nullable=False),
    Column("ended_at_ms", BigInteger),
    Index("training_sweeps_by_time", "created_at_ms", "id"),
    Index("training_sweeps_by_state", "state"),
)
_trials = Table(
    "training_sweep_trials",
    metadata,
    Column("sweep", ForeignKey("training_sweeps.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("run", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("setting_values", Text),
    Column("rungs", Text, nullable=False),
    Column("objectives", Text),
    Column("prune_reason", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("began_at_ms", BigInteger),
    Column("ended_at_ms", BigInteger),
    PrimaryKeyConstraint("sweep", "number"),
)


def add_sweep(tx: Tx, sweep: Sweep) -> None:
    """Write a new sweep."""
    tx.execute(insert(_sweeps).values(_sweep_row(sweep)))


def change_sweep(tx: Tx, sweep: Sweep) -> None:
    """Write the sweep as it is now."""
    tx.execute(update(_sweeps).where(_sweeps.c.id == sweep.id).values(_sweep_row(sweep)))


def look_up_sweep(tx: Tx, sweep: str, *, for_change: bool = False) -> Sweep | None:
    """The sweep, or None; with `for_change` nobody else changes it until the transaction ends."""
    query = select(_sweeps).where(_sweeps.c.id == sweep)
    row = tx.execute(query.with_for_update() if for_change else query).mappings().first()
    return None if row is None else _sweep_of(row)


def find_sweep(tx: Tx, sweep: str, *, for_change: bool = False) -> Sweep:
    """The sweep of that id.

    Raises:
        SweepUnknown: there is none.
    """
    found = look_up_sweep(tx, sweep, for_change=for_change)
    if found is None:
        raise SweepUnknown(sweep=sweep)
    return found


def list_sweeps(tx: Tx, *, limit: int, state: SweepStatus | None = None) -> list[Sweep]:
    """Sweeps, newest first."""
    query = select(_sweeps).order_by(_sweeps.c.created_at_ms.desc(), _sweeps.c.id.desc())
    if state is not None:
        query = query.where(_sweeps.c.state == state)
    return [_sweep_of(row) for row in tx.execute(query.limit(limit)).mappings()]


def add_trial(tx: Tx, trial: Trial) -> None:
    """Write a new trial."""
    tx.execute(insert(_trials).values(_trial_row(trial)))


def change_trial(tx: Tx, trial: Trial) -> None:
    """Write the trial as it is now."""
    mine = (_trials.c.sweep == trial.sweep) & (_trials.c.number == trial.number)
    tx.execute(update(_trials).where(mine).values(_trial_row(trial)))


def find_trial(tx: Tx, sweep: str, number: int) -> Trial:
    """A trial that exists; there is a step for each."""
    mine = (_trials.c.sweep == sweep) & (_trials.c.number == number)
    return _trial_of(tx.execute(select(_trials).where(mine)).mappings().one())


def trials_of(tx: Tx, sweep: str) -> list[Trial]:
    """The trials of a sweep, by number."""
    query = select(_trials).where(_trials.c.sweep == sweep).order_by(_trials.c.number)
    return [_trial_of(row) for row in tx.execute(query).mappings()]


def count_trials(tx: Tx, sweeps: list[str]) -> dict[str, dict[TrialState, int]]:
    """How many trials of each sweep stand in each state; states without any are left out."""
    query = (
        select(_trials.c.sweep, _trials.c.state, func.count())
        .where(_trials.c.sweep.in_(sweeps))
        .group_by(_trials.c.sweep, _trials.c.state)
    )
    counts: dict[str, dict[TrialState, int]] = {sweep: {} for sweep in sweeps}
    for sweep, state, n in tx.execute(query):
        counts[sweep][state] = int(n)
    return counts


def _sweep_row(sweep: Sweep) -> dict[str, Any]:
    return msgspec.structs.asdict(sweep) | {"spec": canonical_spec(sweep.spec)}


def canonical_spec(spec: SweepSpec) -> str:
    """The declaration as text; the order of the space is kept, since it decides what is drawn."""
    return msgspec.json.encode(spec).decode()


def _sweep_of(row: RowMapping) -> Sweep:
    return Sweep(**{**row, "spec": msgspec.json.decode(row["spec"], type=SweepSpec)})


def _trial_row(trial: Trial) -> dict[str, Any]:
    row = msgspec.structs.asdict(trial)
    values = row.pop("values")
    return row | {
        # In their own order, which is that of the space.
        "setting_values": None if values is None else msgspec.json.encode(values).decode(),
        "rungs": msgspec.json.encode({str(k): to_wire(v) for k, v in trial.rungs.items()}).decode(),
        "objectives": None
        if trial.objectives is None
        else canonical_json(trial.objectives).decode(),
    }


def _trial_of(row: RowMapping) -> Trial:
    values = dict(row)
    settings, objectives = values.pop("setting_values"), values["objectives"]
    rungs = msgspec.json.decode(values["rungs"], type=dict[int, Number])
    return Trial(
        **values
        | {
            "values": None if settings is None else msgspec.json.decode(settings),
            "rungs": {rung: from_wire(value) for rung, value in rungs.items()},
            "objectives": None if objectives is None else msgspec.json.decode(objectives),
        }
    )
