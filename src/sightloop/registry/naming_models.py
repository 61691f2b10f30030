"""Registered models as a whole: creating, describing, renaming and deleting them.

What has versions with a bundle is neither renamed nor deleted: the name is written in them.
"""

from __future__ import annotations

import posixpath

import msgspec

from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.workspace import Call, Workspace
from sightloop.registry import foreign, registered, store
from sightloop.registry.errors import BadRegisteredName, KeepsItsBundles, ModelKnown
from sightloop.registry.labelling import check_registry_tags
from sightloop.registry.registered import RegisteredModel, Search
from sightloop.registry.values import ModelName

MAX_NAME_CHARACTERS = 250


class CreateModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model without versions yet."""

    name: str
    description: str = ""
    tags: dict[str, str] = {}


def create_model(workspace: Workspace, call: Call, request: CreateModel) -> RegisteredModel:
    """A new registered model.

    Raises:
        NotAllowed: the actor may not train.
        BadRegisteredName: it cannot be called this.
        ModelKnown: the name is taken.
        BadName, TooMuch: a tag's name or text is not taken.
    """
    require(call.actor, Permission.TRAIN)
    name = _checked_name(request.name)
    check_registry_tags(request.tags)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        if not store.add_model(tx, name, now_ms=now_ms):
            raise ModelKnown(name=name)
        foreign.note(tx, name, now_ms=now_ms, description=request.description)
        foreign.set_registry_tags(tx, name, foreign.MODEL, request.tags)
        return registered.find_registered_model(tx, name)


def show_model(workspace: Workspace, call: Call, model: str) -> RegisteredModel:
    """The registered model.

    Raises:
        NotAllowed: the actor may not read.
        NotFound: there is none of that name.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        return registered.find_registered_model(tx, model)


def search_models(workspace: Workspace, call: Call, request: Search) -> registered.FoundModels:
    """Registered models that fit, by name unless an order is given.

    Raises:
        NotAllowed: the actor may not read.
        BadFilter: the filter or the order cannot be read.
        BadPageToken: the token is none, or was made for another order.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        return registered.search_models(tx, request)


def describe_model(
    workspace: Workspace, call: Call, model: str, description: str
) -> RegisteredModel:
    """The model with its new description.

    Raises:
        NotAllowed: the actor may not train.
        NotFound: there is none of that name.
    """
    require(call.actor, Permission.TRAIN)
    with workspace.db.write() as tx:
        registered.find_registered_model(tx, model)
        foreign.note(tx, model, now_ms=workspace.clock.now_ms(), description=description)
        return registered.find_registered_model(tx, model)


def rename_model(workspace: Workspace, call: Call, model: str, new_name: str) -> RegisteredModel:
    """The model under its new name, with all its versions.

    Raises:
        NotAllowed: the actor may not train.
        NotFound: there is none of that name.
        BadRegisteredName: it cannot be called this.
        ModelKnown: the new name is taken.
        KeepsItsBundles: it has versions with a bundle, in which the name is written.
    """
    require(call.actor, Permission.TRAIN)
    name = _checked_name(new_name)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        before = registered.find_registered_model(tx, model)
        _require_foreign_only(tx, model, action="be renamed")
        if not store.add_model(tx, name, now_ms=before.created_at_ms):
            raise ModelKnown(name=name)
        foreign.hand_over(tx, model, to=name)
        store.hand_over_aliases(tx, model, to=name)
        store.remove_model(tx, model)
        foreign.note(tx, name, now_ms=now_ms)
        return registered.find_registered_model(tx, name)


def delete_model(workspace: Workspace, call: Call, model: str) -> None:
    """Remove the registered model with its foreign versions; their files stay.

    Raises:
        NotAllowed: the actor may not train.
        NotFound: there is none of that name.
        KeepsItsBundles: it has versions with a bundle.
    """
    require(call.actor, Permission.TRAIN)
    with workspace.db.write() as tx:
        registered.find_registered_model(tx, model)
        _require_foreign_only(tx, model, action="be deleted")
        foreign.forget_model(tx, model)
        store.remove_aliases(tx, model)
        store.remove_model(tx, model)


def _require_foreign_only(tx: Tx, model: str, *, action: str) -> None:
    if store.versions_of(tx, model, newest=1) or ModelName(model) in store.owner_keys(tx):
        raise KeepsItsBundles(name=model, action=action)


def _checked_name(name: str) -> ModelName:
    is_plain = posixpath.normpath(name) == name and not any(one in name for one in "/:@\0")
    if not name.strip() or name in (".", "..") or not is_plain or len(name) > MAX_NAME_CHARACTERS:
        raise BadRegisteredName(name=name, most=MAX_NAME_CHARACTERS)
    return ModelName(name)
