"""Runs as records: started, attempted again, ended, found, listed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import RowMapping, bindparam, insert, select, tuple_, update

from sightloop.kernel.database import Tx
from sightloop.kernel.digests import canonical_json
from sightloop.tracking.artifacts import forget_artifacts
from sightloop.tracking.errors import RunEnded, RunKnown, RunUnknown
from sightloop.tracking.experiments import ensure_experiment
from sightloop.tracking.labels import add_params, forget_labels
from sightloop.tracking.tables import experiments, runs
from sightloop.tracking.values import Run, RunId, RunInputs, RunState


def start_run(
    tx: Tx,
    run: RunId,
    *,
    experiment: str,
    name: str,
    inputs: RunInputs | None,
    now_ms: int,
    user: str = "",
) -> Run:
    """Record that this run is being executed for the first time; its parameters are its inputs'.

    Raises:
        RunKnown: there is a run of that id.
    """
    known = look_up_run(tx, run)
    if known is not None:
        raise RunKnown(run=run, state=known.state)
    started = Run(
        id=run,
        experiment=experiment,
        name=name,
        state="running",
        inputs=inputs,
        outputs={},
        attempts=1,
        started_at_ms=now_ms,
        ended_at_ms=None,
        exit_reason=None,
        user=user,
    )
    number = ensure_experiment(tx, experiment, now_ms=now_ms)
    tx.execute(insert(runs).values(_row_of(started, number)))
    add_params(tx, run, inputs.parameters if inputs else {})
    return started


def restart_run(tx: Tx, run: str, *, inputs: RunInputs, now_ms: int) -> Run:
    """Record another attempt at a run that failed or was cancelled.

    What the earlier attempt left is forgotten: it describes no model that exists. Its points are
    the caller's to forget, before this.

    Raises:
        RunUnknown: there is no such run.
        RunEnded: the run has finished, so there is nothing to attempt again.
    """
    before = find_run(tx, run)
    if before.state == "finished":
        raise RunEnded(run=run, state=before.state, wanted="be attempted again")
    forget_artifacts(tx, run)
    forget_labels(tx, run)
    again = msgspec.structs.replace(
        before,
        state="running",
        inputs=inputs,
        outputs={},
        attempts=before.attempts + 1,
        started_at_ms=now_ms,
        ended_at_ms=None,
        exit_reason=None,
    )
    change_run(tx, again)
    add_params(tx, run, inputs.parameters)
    return again


def finish_run(
    tx: Tx,
    run: str,
    *,
    state: RunState,
    outputs: dict[str, str],
    exit_reason: str,
    now_ms: int,
) -> Run:
    """Record how the run ended; from now on nothing about it changes.

    Raises:
        RunUnknown: there is no such run.
        RunEnded: it ended before.
    """
    running = require_running(tx, run, wanted="end once more")
    ended = msgspec.structs.replace(
        running, state=state, outputs=outputs, ended_at_ms=now_ms, exit_reason=exit_reason
    )
    change_run(tx, ended)
    return ended


def change_run(tx: Tx, changed: Run) -> None:
    """Write everything about a run that is there but its experiment, which stays."""
    values = {key: value for key, value in _row_of(changed, 0).items() if key != "experiment"}
    tx.execute(update(runs).where(runs.c.id == changed.id).values(values))


def find_run(tx: Tx, run: str) -> Run:
    """The run of that id.

    Raises:
        RunUnknown: there is none.
    """
    found = look_up_run(tx, run)
    if found is None:
        raise RunUnknown(run=run)
    return found


def look_up_run(tx: Tx, run: str) -> Run | None:
    """The run of that id, or None."""
    row = tx.execute(_ONE_RUN, {"run": run}).mappings().first()
    return None if row is None else run_of(row)


def require_running(tx: Tx, run: str, *, wanted: str) -> Run:
    """The run, which has not ended.

    Raises:
        RunUnknown: there is no such run.
        RunEnded: it has.
    """
    found = find_run(tx, run)
    if found.state != "running":
        raise RunEnded(run=run, state=found.state, wanted=wanted)
    return found


def list_runs(
    tx: Tx,
    *,
    experiment: str | None = None,
    state: RunState | None = None,
    before: str | None = None,
    limit: int = 100,
) -> list[Run]:
    """Runs that are not deleted, newest first; `before` is the last run of the page before.

    Raises:
        RunUnknown: `before` names no run.
    """
    query = RUN_QUERY.where(~runs.c.is_deleted)
    query = query.order_by(runs.c.started_at_ms.desc(), runs.c.id.desc()).limit(limit)
    if experiment is not None:
        number = select(experiments.c.id).where(experiments.c.name == experiment)
        query = query.where(runs.c.experiment == number.scalar_subquery())
    if state is not None:
        query = query.where(runs.c.state == state)
    if before is not None:
        last = find_run(tx, before)
        query = query.where(
            tuple_(runs.c.started_at_ms, runs.c.id) < tuple_(last.started_at_ms, last.id)
        )
    return [run_of(row) for row in tx.execute(query).mappings()]


def run_of(row: Mapping[str, Any] | RowMapping) -> Run:
    """The run in a row that was selected with its experiment's name."""
    values = dict(row)
    if values["inputs"] is not None:
        values["inputs"] = msgspec.json.decode(values["inputs"], type=RunInputs)
    values["outputs"] = msgspec.json.decode(values["outputs"])
    return Run(**values)


RUN_QUERY = select(
    *(column for column in runs.columns if column.name != "experiment"),
    experiments.c.name.label("experiment"),
).join_from(runs, experiments)

_ONE_RUN = RUN_QUERY.where(runs.c.id == bindparam("run"))


def _row_of(run: Run, experiment: int) -> dict[str, object]:
    inputs = None if run.inputs is None else canonical_json(run.inputs).decode()
    return msgspec.structs.asdict(run) | {
        "experiment": experiment,
        "inputs": inputs,
        "outputs": canonical_json(run.outputs).decode(),
    }
