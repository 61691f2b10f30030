"""Making, finding, renaming and deleting experiments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from sqlalchemy import and_, exists, func, not_, select

from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.workspace import Call, Workspace
from sightloop.tracking import experiments as store
from sightloop.tracking import limits
from sightloop.tracking.conditions import (
    Column,
    Page,
    SortKey,
    beyond,
    compare,
    decode_token,
    encode_token,
    kinds_of,
    missing_rank,
    order_of,
    sort_keys,
)
from sightloop.tracking.errors import (
    BadName,
    ExperimentDeleted,
    ExperimentTagUnknown,
    ExperimentUnknown,
)
from sightloop.tracking.experiments import DEFAULT_ID, Experiment
from sightloop.tracking.filters import EXPERIMENTS, Comparison, Sorting, parse_filter, parse_order
from sightloop.tracking.tables import experiment_tags, experiments


class CreateExperiment(msgspec.Struct, frozen=True, kw_only=True):
    """A name that is not taken."""

    name: str
    artifact_location: str = ""
    tags: dict[str, str] = {}


class SearchExperiments(msgspec.Struct, frozen=True, kw_only=True):
    """Which experiments, in which order; the token is that of the page before."""

    filter: str = ""
    order_by: list[str] = []
    is_deleted: bool | None = False
    limit: int = 1000
    token: str = ""


class FoundExperiments(NamedTuple):
    """A page; the token asks for the next and is empty after the last."""

    experiments: list[Experiment]
    next_token: str


def create_experiment(workspace: Workspace, call: Call, request: CreateExperiment) -> int:
    """The number of the new experiment.

    Raises:
        NotAllowed: the actor may not track.
        BadName: it cannot be called this.
        ExperimentKnown: the name is taken.
        TooMuch: a tag is too long.
    """
    require(call.actor, Permission.TRAIN)
    _check_name(request.name)
    _check_tags(request.tags)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        return store.create_experiment(
            tx,
            request.name,
            now_ms=now_ms,
            artifact_location=request.artifact_location,
            tags=request.tags,
        )


def show_experiment(workspace: Workspace, call: Call, number: int) -> Experiment:
    """The experiment of that number.

    Raises:
        NotAllowed: the actor may not read.
        ExperimentUnknown: there is none.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        return store.find_experiment(tx, number)


def find_by_name(workspace: Workspace, call: Call, name: str) -> Experiment:
    """The experiment of that name, deleted or not.

    Raises:
        NotAllowed: the actor may not read.
        ExperimentUnknown: there is none.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        found = store.look_up_by_name(tx, name)
    if found is None:
        raise ExperimentUnknown(name=name[:200])
    return found


def search_experiments(
    workspace: Workspace, call: Call, request: SearchExperiments
) -> FoundExperiments:
    """Experiments that fit, the newest first unless an order is given.

    Raises:
        NotAllowed: the actor may not read.
        BadFilter: the filter or the order cannot be read.
        BadPageToken: the token is none, or was made for another order.
    """
    require(call.actor, Permission.READ)
    sortings = parse_order(request.order_by, EXPERIMENTS)
    default = [] if sortings else [SortKey(experiments.c.created_at_ms, False)]
    keys = [*sort_keys(sortings, _sorted_column), *default, SortKey(experiments.c.id, False)]
    after = decode_token(request.token, order=order_of(sortings), kinds=kinds_of(keys))
    query = select(experiments.c.id, *(key.expression for key in keys))
    with workspace.db.read() as tx:
        for one in parse_filter(request.filter, EXPERIMENTS):
            query = query.where(_condition(tx, one))
        if request.is_deleted is not None:
            query = query.where(experiments.c.is_deleted == request.is_deleted)
        if after is not None:
            query = query.where(beyond(keys, after))
        query = query.order_by(
            *(key.expression.asc() if key.ascending else key.expression.desc() for key in keys)
        )
        rows = tx.execute(query.limit(request.limit + 1)).all()
        page = rows[: request.limit]
        found = [store.find_experiment(tx, row[0]) for row in page]
    more = len(rows) > len(page)
    token = encode_token(Page(list(page[-1][1:]), order_of(sortings))) if more else ""
    return FoundExperiments(found, token)


def rename_experiment(workspace: Workspace, call: Call, number: int, name: str) -> None:
    """Call it otherwise.

    Raises:
        NotAllowed: the actor may not track.
        BadName: it cannot be called this.
        ExperimentUnknown: there is none of that number.
        ExperimentKnown: another has the name.
        ExperimentDeleted: it was deleted.
    """
    require(call.actor, Permission.TRAIN)
    _check_name(name)
    with workspace.db.write() as tx:
        _active(tx, number)
        store.rename_experiment(tx, number, name, now_ms=workspace.clock.now_ms())


def mark_experiment(workspace: Workspace, call: Call, number: int, *, is_deleted: bool) -> None:
    """Delete the experiment with its runs, or take it back; nothing is lost by it.

    Raises:
        NotAllowed: the actor may not track.
        ExperimentUnknown: there is none of that number that could be deleted, or taken back.
        BadName: it is the default one, which stays.
    """
    require(call.actor, Permission.TRAIN)
    if is_deleted and number == DEFAULT_ID:
        raise BadName(what="experiment", name="0", problem="the default one cannot be deleted")
    with workspace.db.write() as tx:
        now_ms = workspace.clock.now_ms()
        if store.find_experiment(tx, number).is_deleted == is_deleted:
            raise ExperimentUnknown(name=f"{number}, {'not ' * is_deleted}deleted")
        store.mark_experiment(tx, number, is_deleted=is_deleted, now_ms=now_ms)


def tag_experiment(workspace: Workspace, call: Call, number: int, tags: Mapping[str, str]) -> None:
    """Set these tags, whatever they were.

    Raises:
        NotAllowed: the actor may not track.
        BadName: a tag cannot be called this.
        TooMuch: a tag is too long.
        ExperimentUnknown: there is none of that number.
        ExperimentDeleted: it was deleted.
    """
    require(call.actor, Permission.TRAIN)
    _check_tags(tags)
    with workspace.db.write() as tx:
        _active(tx, number)
        store.tag_experiment(tx, number, tags)


def untag_experiment(workspace: Workspace, call: Call, number: int, key: str) -> None:
    """Remove a tag.

    Raises:
        NotAllowed: the actor may not track.
        ExperimentUnknown: there is none of that number.
        ExperimentTagUnknown: it has no such tag.
        ExperimentDeleted: it was deleted.
    """
    require(call.actor, Permission.TRAIN)
    with workspace.db.write() as tx:
        _active(tx, number)
        if not store.untag_experiment(tx, number, key):
            raise ExperimentTagUnknown(experiment=number, key=key)


def _active(tx: Tx, number: int) -> None:
    found = store.find_experiment(tx, number)
    if found.is_deleted:
        raise ExperimentDeleted(name=found.name)


def _check_name(name: str) -> None:
    if not name.strip():
        raise BadName(what="experiment", name=name, problem="it is empty")
    limits.check_value(
        name, limits.MAX_EXPERIMENT_NAME_CHARACTERS, what="the name of experiment", key=name
    )


def _check_tags(tags: Mapping[str, str]) -> None:
    for key, value in tags.items():
        limits.check_key(key, what="tag")
        limits.check_value(value, limits.MAX_EXPERIMENT_TAG_CHARACTERS, what="tag", key=key)


_COLUMNS: Mapping[str, Column] = {
    "name": experiments.c.name,
    "creation_time": experiments.c.created_at_ms,
    "last_update_time": experiments.c.updated_at_ms,
}


def _condition(tx: Tx, one: Comparison) -> Column:
    if one.entity == "attribute":
        return compare(tx, _COLUMNS[one.key], one)
    table = experiment_tags
    mine = and_(table.c.experiment == experiments.c.id, table.c.key == one.key)
    if one.operator == "IS NULL":
        return not_(exists().where(mine))
    return exists().where(mine, compare(tx, table.c.value, one))


def _sorted_column(one: Sorting) -> tuple[Column, Column]:
    column = _COLUMNS[one.key]
    return missing_rank(column), func.coalesce(column, "" if one.key == "name" else 0)
