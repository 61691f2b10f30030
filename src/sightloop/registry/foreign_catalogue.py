"""Foreign versions for people: what was registered without a bundle, and why it stays here."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import func, select

from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.errors import NotFound
from sightloop.kernel.workspace import Call, Workspace
from sightloop.registry import registered, store
from sightloop.registry.errors import BadVersionReference
from sightloop.registry.foreign import registered_versions
from sightloop.registry.registered import RegisteredVersion
from sightloop.registry.values import ModelName

WHY_NOT_RELEASED = (
    "it was registered by an MLflow client, so there is no exported file that was measured, gated "
    "and signed; package a run that kept its YOLO26 weights to get a version that can be released"
)


class ShowRegistered(msgspec.Struct, frozen=True, kw_only=True):
    """One version of either kind, as `MODEL@NUMBER` or `MODEL@ALIAS`."""

    version: str


class ForeignVersions(msgspec.Struct, frozen=True, kw_only=True):
    """Versions of a model that have no bundle, oldest first."""

    versions: list[RegisteredVersion] = []
    why_not_released: str = WHY_NOT_RELEASED


def show_registered(workspace: Workspace, call: Call, request: ShowRegistered) -> RegisteredVersion:
    """The version, of whichever kind; names of foreign models may hold any characters.

    Raises:
        NotAllowed: the actor may not read.
        BadVersionReference: the text has another form.
        NotFound: there is no such version, or the alias points nowhere.
    """
    require(call.actor, Permission.READ)
    model, _, named = request.version.rpartition("@")
    if not model or not named:
        raise BadVersionReference(text=request.version)
    with workspace.db.read() as tx:
        if named.isascii() and named.isdigit() and len(named) <= 9:
            return registered.find_registered(tx, model, int(named))
        alias = store.find_alias(tx, model, named)
        if alias is None:
            hint = "set it with `sightloop models promote`"
            raise NotFound(what="alias", name=request.version[:120], hint=hint)
        return registered.find_registered(tx, model, alias.number)


def foreign_versions(
    tx: Tx, model: str, *, before: int | None, newest: int | None
) -> list[RegisteredVersion]:
    """The model's foreign versions, oldest first: all, or the newest of those below `before`."""
    table = registered_versions
    query = select(table.c.number).where((table.c.model == model) & ~table.c.is_deleted)
    if before is not None:
        query = query.where(table.c.number < before)
    numbers = list(tx.scalars(query.order_by(table.c.number.desc()).limit(newest)))
    return registered.find_numbers(tx, model, sorted(numbers))


def count_foreign(tx: Tx, models: Sequence[ModelName]) -> dict[ModelName, store.VersionCount]:
    """Of models that follow one another by name, in one query; none for a model without any."""
    if not models:
        return {}
    table = registered_versions
    query = (
        select(table.c.model, func.count(), func.max(table.c.number))
        .where(table.c.model.between(models[0], models[-1]) & ~table.c.is_deleted)
        .group_by(table.c.model)
    )
    return {
        ModelName(name): store.VersionCount(count, newest)
        for name, count, newest in tx.execute(query)
    }
