"""Where the keys lie: which private keys are on this host, and what that means. Never a key."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path

import msgspec

from sightloop.fleet.update_repository import repository_key_names, role_expiries
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.errors import SightloopError
from sightloop.kernel.workspace import Call, Workspace
from sightloop.registry import store as registry
from sightloop.registry.keys import key_facts, key_path, owner_key_name

PURPOSES: Mapping[str, str] = {
    "root": "vouches for the other keys; belongs where no network reaches",
    "targets": "says which owner vouches for which model; its thief could name himself",
    "snapshot": "says which files belong together; the server renews it",
    "timestamp": "says which word is the latest; the server renews it often",
    "assignments": "signs what each device shall run; the server needs it",
}


class ShowKeys(msgspec.Struct, frozen=True, kw_only=True):
    """Every key."""


class KeyPlace(msgspec.Struct, frozen=True, kw_only=True):
    """One key: what it is for, and where its private half is."""

    name: str
    purpose: str
    is_here: bool
    path: str
    """Where the private half is, or would be."""
    key_id: str | None
    """Of the public half; None where it is not known on this host."""
    is_open_to_others: bool
    """Whether other users of this machine may read the file."""
    expires_at_ms: int | None
    """When what it signed last ends; None when it signed nothing yet."""
    problem: str
    """Why the file cannot be used; `""` when it can, or is not here."""


class Keyring(msgspec.Struct, frozen=True, kw_only=True):
    """Every key, and which protections are on."""

    folder: str
    keys: list[KeyPlace]
    root_is_here: bool
    owners_here: list[str]
    """Models that whoever takes this host can sign."""


def show_keys(workspace: Workspace, call: Call, request: ShowKeys) -> Keyring:  # noqa: ARG001
    """Where each private key is, and the public half's id; a key that is damaged says so.

    An admin's business: it tells a thief where to go.

    Raises:
        NotAllowed: the actor may not administer.
    """
    require(call.actor, Permission.ADMINISTER)
    with workspace.db.read() as tx:
        owners = {
            owner_key_name(model): (model, key.id) for model, key in registry.owner_keys(tx).items()
        }
    try:
        expiries = {one.role: one.expires_at_ms for one in role_expiries(workspace)}
    except SightloopError:
        expiries = {}  # the workspace tab names the damaged file
    keys = [
        _place(workspace, name, owners.get(name), expires_at_ms=expiries.get(name))
        for name in repository_key_names(workspace)
    ]
    here = {one.name for one in keys if one.is_here}
    return Keyring(
        folder=str(key_path(workspace, "root").parent),
        keys=keys,
        root_is_here="root" in here,
        owners_here=[model for name, (model, _) in owners.items() if name in here],
    )


def _place(
    workspace: Workspace,
    name: str,
    owner: tuple[str, str] | None,
    *,
    expires_at_ms: int | None,
) -> KeyPlace:
    path = key_path(workspace, name)
    key_id, problem, is_here = None if owner is None else owner[1], "", path.exists()
    try:
        (facts,) = key_facts(workspace, [name])
        if facts.key_id is not None:
            if owner is not None and facts.key_id != owner[1]:
                problem = f"the file holds another key than the model's, {facts.key_id}"
            else:
                key_id = facts.key_id
    except (SightloopError, OSError) as error:
        problem = str(error)
    purpose = PURPOSES.get(name) or f"vouches for versions of {owner[0] if owner else name}"
    return KeyPlace(
        name=name,
        purpose=purpose,
        is_here=is_here,
        path=str(path),
        key_id=key_id,
        is_open_to_others=is_here and _is_open(path),
        expires_at_ms=expires_at_ms,
        problem=problem,
    )


def _is_open(path: Path) -> bool:
    """Whether others may read the file; a folder that is closed to them closes the file as well."""
    others = stat.S_IRGRP | stat.S_IROTH
    into = stat.S_IXGRP | stat.S_IXOTH
    return bool(path.stat().st_mode & others) and bool(path.parent.stat().st_mode & into)
