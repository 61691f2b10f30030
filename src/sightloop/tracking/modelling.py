"""Logging models: they are made, filled with files, finished, labelled, found and deleted."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from sightloop.kernel.actors import Permission, require
from sightloop.kernel.workspace import Call, Workspace
from sightloop.tracking import limits
from sightloop.tracking import logged_models as store
from sightloop.tracking.errors import BadName, ExperimentDeleted, ModelTagUnknown
from sightloop.tracking.experiments import find_experiment
from sightloop.tracking.labels import set_tags, tags_of
from sightloop.tracking.logged_models import (
    LoggedModel,
    LoggedModelId,
    LoggedModelWithFacts,
    ModelStatus,
)
from sightloop.tracking.model_search import FoundModels, ModelOrder, OnDataset, search_models
from sightloop.tracking.recording import active_run

HISTORY_TAG = "mlflow.log-model.history"
_NOT_IN_NAMES = "/:.%\"'"


class LogModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model whose files follow."""

    experiment: int
    name: str = ""
    model_type: str = ""
    source_run: str = ""
    params: dict[str, str] = {}
    tags: dict[str, str] = {}


class SearchModels(msgspec.Struct, frozen=True, kw_only=True):
    """Which logged models, in which order; the token is that of the page before."""

    experiments: list[int]
    filter: str = ""
    datasets: list[OnDataset] = []
    order_by: list[ModelOrder] = []
    limit: int = 50
    token: str = ""


def log_model(workspace: Workspace, call: Call, request: LogModel) -> LoggedModelWithFacts:
    """A new logged model, pending.

    Raises:
        NotAllowed: the actor may not track.
        ExperimentUnknown: there is no such experiment.
        ExperimentDeleted: it was deleted.
        BadName: the model, a parameter or a tag cannot be called this.
        TooMuch: a text is too long.
    """
    require(call.actor, Permission.TRAIN)
    model = LoggedModelId("m-" + workspace.ids.new("m").removeprefix("m_"))
    name = request.name or f"model-{model[-8:]}"
    if any(one in name for one in _NOT_IN_NAMES):
        problem = f"it may not hold any of {_NOT_IN_NAMES}"
        raise BadName(what="logged model", name=name, problem=problem)
    _check_params(request.params)
    _check_tags(request.tags)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        experiment = find_experiment(tx, request.experiment)
        if experiment.is_deleted:
            raise ExperimentDeleted(name=experiment.name)
        store.add_logged_model(
            tx,
            LoggedModel(
                id=model,
                experiment=experiment.id,
                name=name,
                model_type=request.model_type,
                source_run=request.source_run,
                created_at_ms=now_ms,
                updated_at_ms=now_ms,
            ),
        )
        store.add_model_params(tx, model, request.params)
        store.set_model_tags(tx, model, request.tags)
    return _read(workspace, model)


def show_logged_model(
    workspace: Workspace, call: Call, model: str, *, with_deleted: bool = False
) -> LoggedModelWithFacts:
    """The logged model with everything that is known of it.

    Raises:
        NotAllowed: the actor may not read.
        LoggedModelUnknown: there is none of that id, or it was deleted.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        store.find_logged_model(tx, model, with_deleted=with_deleted)
        return store.with_model_facts(tx, [model])[0]


def search_logged_models(workspace: Workspace, call: Call, request: SearchModels) -> FoundModels:
    """Logged models that fit, the newest first unless an order is given.

    Raises:
        NotAllowed: the actor may not read.
        BadFilter: the filter or the order cannot be read.
        BadPageToken: the token is none, or was made for another order.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        return search_models(
            tx,
            experiment_ids=request.experiments,
            filter_text=request.filter,
            datasets=request.datasets,
            order_by=request.order_by,
            limit=request.limit,
            token=request.token,
        )


def finish_logged_model(
    workspace: Workspace, call: Call, model: str, status: ModelStatus
) -> LoggedModelWithFacts:
    """The model, whose files have arrived, or will not.

    Raises:
        NotAllowed: the actor may not track.
        LoggedModelUnknown: there is none of that id, or it was deleted.
    """
    require(call.actor, Permission.TRAIN)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        store.find_logged_model(tx, model)
        store.change_logged_model(tx, model, status=status, updated_at_ms=now_ms)
    return _read(workspace, model)


def delete_logged_model(workspace: Workspace, call: Call, model: str) -> None:
    """Hide the model; nothing is lost by it, and deleting it again changes nothing.

    Raises:
        NotAllowed: the actor may not track.
        LoggedModelUnknown: there is none of that id.
    """
    require(call.actor, Permission.TRAIN)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        if not store.find_logged_model(tx, model, with_deleted=True).is_deleted:
            store.change_logged_model(tx, model, is_deleted=True, updated_at_ms=now_ms)


def give_params(workspace: Workspace, call: Call, model: str, params: dict[str, str]) -> None:
    """Add parameters to the model.

    Raises:
        NotAllowed: the actor may not track.
        LoggedModelUnknown: there is none of that id, or it was deleted.
        ModelParamChanged: one is there with another value.
        BadName: one cannot be called this.
        TooMuch: a value is too long.
    """
    require(call.actor, Permission.TRAIN)
    _check_params(params)
    with workspace.db.write() as tx:
        store.find_logged_model(tx, model)
        store.add_model_params(tx, model, params)


def tag_model(workspace: Workspace, call: Call, model: str, tags: dict[str, str]) -> None:
    """Set these tags, whatever they were.

    Raises:
        NotAllowed: the actor may not track.
        LoggedModelUnknown: there is none of that id, or it was deleted.
        BadName: one cannot be called this.
        TooMuch: a value is too long.
    """
    require(call.actor, Permission.TRAIN)
    _check_tags(tags)
    with workspace.db.write() as tx:
        store.find_logged_model(tx, model)
        store.set_model_tags(tx, model, tags)


def untag_model(workspace: Workspace, call: Call, model: str, key: str) -> None:
    """Remove a tag.

    Raises:
        NotAllowed: the actor may not track.
        LoggedModelUnknown: there is none of that id, or it was deleted.
        ModelTagUnknown: it has no such tag.
    """
    require(call.actor, Permission.TRAIN)
    with workspace.db.write() as tx:
        store.find_logged_model(tx, model)
        if not store.remove_model_tag(tx, model, key):
            raise ModelTagUnknown(model=model, key=key)


def note_model(workspace: Workspace, call: Call, run: str, facts: Mapping[str, object]) -> None:
    """Add the facts to the list that old clients keep of a run's models, in a tag of it.

    Raises:
        NotAllowed: the actor may not track.
        RunUnknown: there is no such run.
        RunDeleted: it was deleted.
        TooMuch: the list has become too long for a tag.
    """
    require(call.actor, Permission.TRAIN)
    with workspace.db.write() as tx:
        active_run(tx, run)
        try:
            known = msgspec.json.decode(tags_of(tx, run).get(HISTORY_TAG, "[]"), type=list[object])
        except msgspec.DecodeError:
            known = []  # a client may write anything into a tag
        text = msgspec.json.encode([*known, facts]).decode()
        limits.check_value(text, limits.MAX_TAG_CHARACTERS, what="tag", key=HISTORY_TAG)
        set_tags(tx, run, {HISTORY_TAG: text})


def _read(workspace: Workspace, model: str) -> LoggedModelWithFacts:
    # A transaction that writes records does not see the file of points.
    with workspace.db.read() as tx:
        return store.with_model_facts(tx, [model])[0]


def _check_params(params: dict[str, str]) -> None:
    for key, value in params.items():
        limits.check_key(key, what="parameter")
        limits.check_value(value, limits.MAX_PARAM_CHARACTERS, what="parameter", key=key)


def _check_tags(tags: dict[str, str]) -> None:
    for key, value in tags.items():
        limits.check_key(key, what="tag")
        limits.check_value(value, limits.MAX_TAG_CHARACTERS, what="tag", key=key)
