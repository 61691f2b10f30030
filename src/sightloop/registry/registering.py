"""Registering versions of any flavour, and saying things about versions of both kinds.

Versions with a bundle are never changed or deleted here: what was packaged, gated and perhaps
released stays.
"""

from __future__ import annotations

from sightloop.kernel.actors import Permission, require
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.workspace import Call, Workspace
from sightloop.registry import foreign, registered, store
from sightloop.registry.errors import BadStage, KeepsItsBundles
from sightloop.registry.labelling import check_registry_tags
from sightloop.registry.registered import NO_STAGE, STAGES, RegisteredVersion, Search
from sightloop.registry.registered_sources import RegisterVersion, origin_of
from sightloop.registry.values import ModelName

MODEL_REGISTERED = EventKind("model.registered")
_ACTIVE_STAGES = ("Staging", "Production")


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
    check_registry_tags(request.tags)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        registered.find_registered_model(tx, request.model)
        origin = origin_of(tx, request)
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
        return registered.search_versions(tx, request)


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


def _stage(text: str) -> str:
    for known in STAGES:
        if text.lower() == known.lower():
            return known
    raise BadStage(stage=text, known=STAGES)
