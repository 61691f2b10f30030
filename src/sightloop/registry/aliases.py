"""Pointing an alias at a version; `champion` is protected."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from sightloop.kernel.actors import Actor, Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.workspace import Call, Workspace
from sightloop.registry import store
from sightloop.registry.errors import AliasMoved
from sightloop.registry.release import require_releasable
from sightloop.registry.values import CHAMPION, Alias, ModelVersion, parse_alias

ALIAS_MOVED = EventKind("alias.moved")

Expected = int | None | UnsetType
"""A version's number, None for an alias that points nowhere yet, UNSET for whatever it is."""


class SetAlias(msgspec.Struct, frozen=True, kw_only=True):
    """Point `alias` of `model` at version `number`, if it still is where it is expected."""

    model: str
    alias: str
    number: int
    expected: Expected = UNSET


def set_alias(workspace: Workspace, call: Call, request: SetAlias) -> Alias:
    """The alias points at the version; asking for what is so already changes nothing.

    Raises:
        BadAliasName: the alias could be taken for a number.
        NotFound: there is no such version.
        NotReleasable: `champion` takes only a version whose latest verdict is a pass.
        VersionRejected: nor does it take one that a person rejected.
        AliasMoved: it is not where it was expected.
    """
    require(call.actor, Permission.RELEASE)
    alias = parse_alias(request.alias)
    with workspace.db.write() as tx:
        version = store.get_version(tx, request.model, request.number)
        return move_alias(
            tx,
            version,
            alias=alias,
            by=call.actor,
            now_ms=workspace.clock.now_ms(),
            expected=request.expected,
        )


def move_alias(
    tx: Tx,
    version: ModelVersion,
    *,
    alias: str,
    by: Actor,
    now_ms: int,
    expected: Expected = UNSET,
) -> Alias:
    """The transaction of `set_alias`, for services that move an alias with something else.

    Raises:
        NotReleasable, VersionRejected: see `set_alias`.
        AliasMoved: see `set_alias`.
    """
    found = store.find_alias(tx, version.model, alias)
    number = None if found is None else found.number
    if expected is not UNSET and number != expected:
        raise AliasMoved(alias=f"{version.model}@{alias}", expected=expected, found=number)
    if alias == CHAMPION:
        verdict = store.latest_verdict(tx, version.model, version.number)
        approval = store.find_approval(tx, version.model, version.number)
        require_releasable(version, verdict, approval, action=f"become {alias}")
    if found is not None and number == version.number:
        return found
    moved = Alias(model=version.model, alias=alias, number=version.number, moved_at_ms=now_ms)
    store.put_alias(tx, moved)
    tell(
        tx,
        ALIAS_MOVED,
        version.name,
        by=by,
        at_ms=now_ms,
        data={
            "model": version.model,
            "number": version.number,
            "bundle": version.bundle,
            "alias": alias,
            "previous": number,
        },
    )
    return moved
