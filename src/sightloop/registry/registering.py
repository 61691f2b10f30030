"""Registering models of any flavour, and saying things about models and versions of both kinds.

Versions with a bundle are never changed or deleted here: what was packaged, gated and perhaps
released stays. `champion` is as protected as everywhere.
"""

from __future__ import annotations

import posixpath
import re

import msgspec

from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.workspace import Call, Workspace
from sightloop.registry import foreign, registered, store
from sightloop.registry.aliases import ALIAS_MOVED, SetAlias, set_alias
from sightloop.registry.errors import (
    AliasUnknown,
    BadRegisteredName,
    BadSource,
    BadStage,
    KeepsItsBundles,
    ModelKnown,
    NothingToGate,
    ProtectedAlias,
)
from sightloop.registry.registered import NO_STAGE, STAGES, RegisteredModel, RegisteredVersion
from sightloop.registry.values import CHAMPION, Alias, ModelName, parse_alias
from sightloop.tracking import limits
from sightloop.tracking.logged_models import find_logged_model
from sightloop.tracking.store import find_run

MODEL_REGISTERED = EventKind("model.registered")
ALIAS_REMOVED = EventKind("alias.removed")

MAX_NAME_CHARACTERS = 250
MAX_TAG_CHARACTERS = 100_000
_ACTIVE_STAGES = ("Staging", "Production")
_OWN_ADDRESS = "mlflow-artifacts:/"


class CreateModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model without versions yet."""

    name: str
    description: str = ""
    tags: dict[str, str] = {}


class RegisterVersion(msgspec.Struct, frozen=True, kw_only=True):
    """The next version of a model: where its files are, and which run or logged model they are."""

    model: str
    source: str
    run: str = ""
    logged_model: str = ""
    run_link: str = ""
    description: str = ""
    tags: dict[str, str] = {}


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """Which models or versions, in which order; the token is that of the page before."""

    filter: str = ""
    order_by: list[str] = []
    limit: int = 100
    token: str = ""


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
    _check_tags(request.tags)
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
        return registered.search_models(
            tx,
            filter_text=request.filter,
            order_by=request.order_by,
            limit=request.limit,
            token=request.token,
        )


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


def register_version(
    workspace: Workspace, call: Call, request: RegisterVersion
) -> RegisteredVersion:
    """The next version of the model, without a bundle.

    Raises:
        NotAllowed: the actor may not train.
        NotFound: there is no such model, or what `source` points to is not there.
        RunUnknown, LoggedModelUnknown: there is no such run or logged model.
        BadSource: the source is a path of the client's machine, or belongs to something else than
            the run or logged model that is named.
        BadName, TooMuch: a tag's name or text is not taken.
    """
    require(call.actor, Permission.TRAIN)
    _check_tags(request.tags)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        registered.find_registered_model(tx, request.model)
        origin = _origin_of(tx, request)
        number = store.next_number(tx, ModelName(request.model))
        foreign.add_foreign_version(
            tx,
            foreign.ForeignVersion(
                model=request.model,
                number=number,
                source=request.source,
                location=origin.location,
                run=origin.run,
                logged_model=origin.logged_model,
                run_link=request.run_link,
                created_at_ms=now_ms,
            ),
        )
        foreign.note(tx, request.model, number, now_ms=now_ms, description=request.description)
        foreign.note(tx, request.model, now_ms=now_ms)
        foreign.set_registry_tags(tx, request.model, number, request.tags)
        name = f"{request.model}@{number}"
        data = {"model": request.model, "number": number, "source": request.source[:500]}
        tell(tx, MODEL_REGISTERED, name, by=call.actor, at_ms=now_ms, data=data)
        return registered.find_registered(tx, request.model, number)


def show_version(workspace: Workspace, call: Call, model: str, number: int) -> RegisteredVersion:
    """That version, of whichever kind.

    Raises:
        NotAllowed: the actor may not read.
        NotFound: the model has no such version.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        return registered.find_registered(tx, model, number)


def search_versions(workspace: Workspace, call: Call, request: Search) -> registered.FoundVersions:
    """Versions of all models that fit, those changed last first unless an order is given.

    Raises:
        NotAllowed: the actor may not read.
        BadFilter: the filter or the order cannot be read.
        BadPageToken: the token is none, or was made for another order.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        return registered.search_versions(
            tx,
            filter_text=request.filter,
            order_by=request.order_by,
            limit=request.limit,
            token=request.token,
        )


def newest_versions(
    workspace: Workspace, call: Call, model: str, stages: list[str]
) -> list[RegisteredVersion]:
    """The newest version in each of these stages, or in every stage when none are given.

    Raises:
        NotAllowed: the actor may not read.
        NotFound: there is no such model.
        BadStage: there is no such stage.
    """
    require(call.actor, Permission.READ)
    wanted = {_stage(one) for one in stages} or set(STAGES)
    with workspace.db.read() as tx:
        found = registered.find_registered_model(tx, model)
    return [one for one in found.latest if one.stage in wanted]


def describe_version(
    workspace: Workspace, call: Call, model: str, number: int, description: str
) -> RegisteredVersion:
    """The version with its new description.

    Raises:
        NotAllowed: the actor may not train.
        NotFound: the model has no such version.
    """
    require(call.actor, Permission.TRAIN)
    with workspace.db.write() as tx:
        registered.find_registered(tx, model, number)
        foreign.note(tx, model, number, now_ms=workspace.clock.now_ms(), description=description)
        return registered.find_registered(tx, model, number)


def delete_version(workspace: Workspace, call: Call, model: str, number: int) -> None:
    """Hide the foreign version, with the aliases that point at it; its number stays taken.

    Raises:
        NotAllowed: the actor may not train.
        NotFound: the model has no such version.
        KeepsItsBundles: it has a bundle.
    """
    require(call.actor, Permission.TRAIN)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        found = registered.find_registered(tx, model, number)
        if found.bundle is not None:
            raise KeepsItsBundles(name=f"{model}@{number}", action="be deleted")
        foreign.mark_foreign_deleted(tx, model, number)
        store.remove_aliases(tx, model, number=number)
        foreign.note(tx, model, now_ms=now_ms)


def move_to_stage(
    workspace: Workspace,
    call: Call,
    model: str,
    number: int,
    stage: str,
    *,
    archive_others: bool = False,
) -> RegisteredVersion:
    """The version in its new stage. A stage is a label: it releases nothing.

    Raises:
        NotAllowed: the actor may not train.
        NotFound: the model has no such version.
        BadStage: there is no such stage, or none that others could be moved out of.
    """
    require(call.actor, Permission.TRAIN)
    wanted = _stage(stage)
    if archive_others and wanted not in _ACTIVE_STAGES:
        raise BadStage(stage=stage, known=_ACTIVE_STAGES)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        registered.find_registered(tx, model, number)
        if archive_others:
            for one in registered.versions_in(tx, model):
                if one.stage == wanted and one.number != number:
                    foreign.note(tx, model, one.number, now_ms=now_ms, stage="Archived")
        foreign.note(tx, model, number, now_ms=now_ms, stage="" if wanted == NO_STAGE else wanted)
        foreign.note(tx, model, now_ms=now_ms)
        return registered.find_registered(tx, model, number)


def tag(
    workspace: Workspace, call: Call, model: str, number: int | None, tags: dict[str, str]
) -> None:
    """Set these tags of the version, or of the model itself when no number is given.

    Raises:
        NotAllowed: the actor may not train.
        NotFound: there is no such model or version.
        BadName, TooMuch: a tag's name or text is not taken.
    """
    require(call.actor, Permission.TRAIN)
    _check_tags(tags)
    with workspace.db.write() as tx:
        _require_there(tx, model, number)
        foreign.set_registry_tags(tx, model, number or foreign.MODEL, tags)


def untag(workspace: Workspace, call: Call, model: str, number: int | None, key: str) -> None:
    """Remove a tag; one that is not there is no error.

    Raises:
        NotAllowed: the actor may not train.
        NotFound: there is no such model or version.
    """
    require(call.actor, Permission.TRAIN)
    with workspace.db.write() as tx:
        _require_there(tx, model, number)
        foreign.remove_registry_tag(tx, model, number or foreign.MODEL, key)


def point_alias(workspace: Workspace, call: Call, model: str, alias: str, number: int) -> None:
    """The alias points at the version, of whichever kind.

    Raises:
        NotAllowed: the actor may not release.
        BadAliasName: it could be taken for a number.
        NotFound: the model has no such version.
        NotReleasable, VersionRejected: `champion` takes only a version that passed its gate.
        NothingToGate: nor does it take a version without a bundle.
    """
    require(call.actor, Permission.RELEASE)
    name = parse_alias(alias)
    with workspace.db.read() as tx:
        found = registered.find_registered(tx, model, number)
    if found.bundle is not None:
        set_alias(workspace, call, SetAlias(model=model, alias=name, number=number))
        return
    if name == CHAMPION:
        raise NothingToGate(version=f"{model}@{number}", alias=name)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        registered.find_registered(tx, model, number)
        before = store.find_alias(tx, model, name)
        if before is not None and before.number == number:
            return
        moved = Alias(model=ModelName(model), alias=name, number=number, moved_at_ms=now_ms)
        store.put_alias(tx, moved)
        data = {
            "model": model,
            "number": number,
            "bundle": None,
            "alias": name,
            "previous": None if before is None else before.number,
        }
        tell(tx, ALIAS_MOVED, f"{model}@{number}", by=call.actor, at_ms=now_ms, data=data)


def drop_alias(workspace: Workspace, call: Call, model: str, alias: str) -> None:
    """The alias points nowhere; one that does not exist is no error.

    Raises:
        NotAllowed: the actor may not release.
        NotFound: there is no such model.
        ProtectedAlias: devices follow `champion`; it moves, and is never taken away.
    """
    require(call.actor, Permission.RELEASE)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        registered.find_registered_model(tx, model)
        before = store.find_alias(tx, model, alias)
        if before is None:
            return
        if alias == CHAMPION:
            raise ProtectedAlias(model=model, alias=alias)
        store.remove_aliases(tx, model, alias=alias)
        data = {"model": model, "number": before.number, "alias": alias}
        subject = f"{model}@{before.number}"
        tell(tx, ALIAS_REMOVED, subject, by=call.actor, at_ms=now_ms, data=data)


def version_by_alias(workspace: Workspace, call: Call, model: str, alias: str) -> RegisteredVersion:
    """The version the alias points at; `latest` is the newest one.

    Raises:
        NotAllowed: the actor may not read.
        NotFound: there is no such model.
        AliasUnknown: the alias points nowhere.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        found = registered.find_registered_model(tx, model)
        number = found.aliases.get(alias)
        if alias.lower() == "latest" and found.latest:
            number = max(one.number for one in found.latest)
        if number is None:
            raise AliasUnknown(model=model, alias=alias)
        return registered.find_registered(tx, model, number)


class _Origin(msgspec.Struct, frozen=True):
    location: str
    run: str
    logged_model: str


def _origin_of(tx: Tx, request: RegisterVersion) -> _Origin:
    """Where the files are, and what made them.

    A source that names a run, a logged model or another version has to be that of the request.
    """
    source, run, logged = request.source, request.run, request.logged_model
    scheme = re.match(r"([A-Za-z][\w+.-]*):", source)
    if scheme is None or scheme[1].lower() == "file":
        raise BadSource(source=source, problem="it is a path of the machine it was sent from")
    if ".." in re.split(r"[/\\]", source.partition("?")[0]):
        raise BadSource(source=source, problem="as a path it would lead elsewhere")
    if match := re.fullmatch(r"models:/+(m-[^/@]+)", source):
        if match[1] != logged:
            raise BadSource(source=source, problem="`model_id` has to name the same logged model")
        return _of_logged_model(tx, logged, run)
    if match := re.fullmatch(r"models:/+([^/@]+)/(\d{1,9})", source):
        other = registered.find_registered(tx, match[1], int(match[2]))
        return _Origin(other.location, run or other.run, logged or other.logged_model)
    if source.startswith(("models:", "runs:", _OWN_ADDRESS)):
        return _of_request(tx, request)
    return _Origin(source, run, logged)


def _of_request(tx: Tx, request: RegisterVersion) -> _Origin:
    source, run, logged = request.source, request.run, request.logged_model
    if logged and source.startswith(_OWN_ADDRESS):
        origin = _of_logged_model(tx, logged, run)
        if _is_within(source, f"/models/{logged}/artifacts"):
            return msgspec.structs.replace(origin, location=source)
        raise BadSource(source=source, problem="`model_id` has to name what it belongs to")
    if run:
        find_run(tx, run)
        if source.startswith(f"runs:/{run}/") or _is_within(source, f"/{run}/artifacts"):
            return _Origin(source, run, logged)
    raise BadSource(source=source, problem="`run_id` has to name the run it belongs to")


def _of_logged_model(tx: Tx, logged: str, run: str) -> _Origin:
    model = find_logged_model(tx, logged)
    location = f"{_OWN_ADDRESS}{model.experiment}/models/{logged}/artifacts"
    return _Origin(location, run or model.source_run, logged)


def _is_within(source: str, folder: str) -> bool:
    """Whether the address is the folder of some experiment, or lies in it."""
    path = posixpath.normpath(source.removeprefix(_OWN_ADDRESS))
    return source.startswith(_OWN_ADDRESS) and f"/{path}/".find(f"{folder}/") > 0


def _require_foreign_only(tx: Tx, model: str, *, action: str) -> None:
    if store.versions_of(tx, model, newest=1) or ModelName(model) in store.owner_keys(tx):
        raise KeepsItsBundles(name=model, action=action)


def _require_there(tx: Tx, model: str, number: int | None) -> None:
    if number is None:
        registered.find_registered_model(tx, model)
    else:
        registered.find_registered(tx, model, number)


def _checked_name(name: str) -> ModelName:
    is_plain = posixpath.normpath(name) == name and not any(one in name for one in "/:@\0")
    if not name.strip() or name in (".", "..") or not is_plain or len(name) > MAX_NAME_CHARACTERS:
        raise BadRegisteredName(name=name, most=MAX_NAME_CHARACTERS)
    return ModelName(name)


def _check_tags(tags: dict[str, str]) -> None:
    for key, value in tags.items():
        limits.check_key(key, what="tag")
        limits.check_value(value, MAX_TAG_CHARACTERS, what="tag", key=key)


def _stage(text: str) -> str:
    for known in STAGES:
        if text.lower() == known.lower():
            return known
    raise BadStage(stage=text, known=STAGES)
