"""Tags of registered models and of their versions of both kinds."""

from __future__ import annotations

from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.workspace import Call, Workspace
from sightloop.registry import foreign, registered
from sightloop.tracking import limits

MAX_TAG_CHARACTERS = 100_000


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
    check_registry_tags(tags)
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


def check_registry_tags(tags: dict[str, str]) -> None:
    """Return when these can be tags.

    Raises:
        BadName, TooMuch: a tag's name or text is not taken.
    """
    for key, value in tags.items():
        limits.check_key(key, what="tag")
        limits.check_value(value, MAX_TAG_CHARACTERS, what="tag", key=key)


def _require_there(tx: Tx, model: str, number: int | None) -> None:
    if number is None:
        registered.find_registered_model(tx, model)
    else:
        registered.find_registered(tx, model, number)
