"""Runs of programs that track themselves with `sightloop.run`: begun, measured, ended.

A client that lost an answer sends the same again, at once or days later; nothing of it is taken
twice. Points are written first and the batch's number last, so a crash between them only means
that the batch is sent once more.
"""

from __future__ import annotations

import msgspec

from sightloop.contracts.numbers import from_wire
from sightloop.contracts.tracking import (
    MAX_PARAM_CHARACTERS,
    MAX_TAG_CHARACTERS,
    BeginTracking,
    EndTracking,
    TrackBatch,
    Tracked,
    name_problem,
)
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.workspace import Call, Workspace
from sightloop.tracking import limits, store
from sightloop.tracking.batches import last_batch, note_batch
from sightloop.tracking.errors import BadName, ExperimentDeleted
from sightloop.tracking.experiments import look_up_by_name
from sightloop.tracking.labels import add_params, set_tags
from sightloop.tracking.points import add_points
from sightloop.tracking.recording import NAME_TAG, USER_TAG, active_run
from sightloop.tracking.values import MetricPoint, RunId


def begin_tracking(workspace: Workspace, call: Call, request: BeginTracking) -> Tracked:
    """The run is under way; one that was begun before is left as it is.

    Raises:
        NotAllowed: the actor may not track.
        ExperimentDeleted: the experiment was deleted.
        RunDeleted: the run was begun before, and deleted.
    """
    require(call.actor, Permission.TRAIN)
    name = request.name or f"run-{request.run[-8:]}"

    def begin(tx: Tx) -> None:
        if store.look_up_run(tx, request.run) is not None:
            active_run(tx, request.run)
            return
        experiment = look_up_by_name(tx, request.experiment)
        if experiment is not None and experiment.is_deleted:
            raise ExperimentDeleted(name=request.experiment)
        store.start_run(
            tx,
            RunId(request.run),
            experiment=request.experiment,
            name=name,
            inputs=None,
            now_ms=request.started_at_ms,
            user=request.user,
        )
        user = {USER_TAG: request.user} if request.user else {}
        set_tags(tx, request.run, {NAME_TAG: name, **user})

    workspace.db.write_together(begin)
    return _tracked(workspace, request.run)


def take_batch(workspace: Workspace, call: Call, request: TrackBatch) -> Tracked:
    """Points, parameters and tags are the run's; a batch taken before changes nothing.

    Raises:
        NotAllowed: the actor may not track.
        RunUnknown: the run was not begun here.
        RunDeleted: it was deleted.
        BadName: something cannot be called this; nothing of the batch was taken.
        TooMuch: a text is too long; nothing of the batch was taken.
        ParamChanged: a parameter has another value already; of the batch, the points were taken.
    """
    require(call.actor, Permission.TRAIN)
    _check(request)
    run, part, number = request.run, request.part, request.number
    with workspace.db.read() as tx:
        found = active_run(tx, run)
        if number <= last_batch(tx, run, part):
            return Tracked(run=run, state=found.state)
    if request.points:
        points = [
            MetricPoint(key=key, value=from_wire(value), step=step, at_ms=at_ms)
            for key, value, step, at_ms in request.points
        ]
        workspace.db.points.write_together(lambda tx: add_points(tx, run, points))

    def finish(tx: Tx) -> None:
        if number > last_batch(tx, run, part):  # else the same batch came twice at once
            add_params(tx, run, request.params)
            set_tags(tx, run, request.tags)
            note_batch(tx, run, part, number)

    workspace.db.write_together(finish)
    return Tracked(run=run, state=found.state)


def end_tracking(workspace: Workspace, call: Call, request: EndTracking) -> Tracked:
    """The run has ended; one that ended before stays as it ended.

    Raises:
        NotAllowed: the actor may not track.
        RunUnknown: the run was not begun here.
        RunDeleted: it was deleted.
    """
    require(call.actor, Permission.TRAIN)

    def end(tx: Tx) -> None:
        run = active_run(tx, request.run)
        if run.state != "running":
            return
        ended = msgspec.structs.replace(
            run,
            state=request.state,
            ended_at_ms=request.ended_at_ms,
            exit_reason=request.reason or None,
        )
        store.change_run(tx, ended)

    workspace.db.write_together(end)
    return _tracked(workspace, request.run)


def _tracked(workspace: Workspace, run: str) -> Tracked:
    with workspace.db.read() as tx:
        found = store.find_run(tx, run)
    return Tracked(run=found.id, state=found.state)


def _check(request: TrackBatch) -> None:
    for point in request.points:
        _check_name("metric", point[0])
    for key, value in request.params.items():
        _check_name("parameter", key)
        limits.check_value(value, MAX_PARAM_CHARACTERS, what="parameter", key=key)
    for key, value in request.tags.items():
        _check_name("tag", key)
        limits.check_value(value, MAX_TAG_CHARACTERS, what="tag", key=key)


def _check_name(what: str, key: str) -> None:
    problem = name_problem(key)
    if problem:
        raise BadName(what=what, name=key, problem=problem)
