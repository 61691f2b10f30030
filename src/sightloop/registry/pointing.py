"""Aliases that point at versions of both kinds; `champion` is as protected as everywhere."""

from __future__ import annotations

from sightloop.kernel.actors import Permission, require
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.workspace import Call, Workspace
from sightloop.registry import registered, store
from sightloop.registry.aliases import ALIAS_MOVED, SetAlias, set_alias
from sightloop.registry.errors import AliasUnknown, NothingToGate, ProtectedAlias
from sightloop.registry.registered import RegisteredVersion
from sightloop.registry.values import CHAMPION, Alias, ModelName, parse_alias

ALIAS_REMOVED = EventKind("alias.removed")


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
