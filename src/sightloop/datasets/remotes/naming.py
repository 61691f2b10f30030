"""Which remotes this workspace knows: adding, listing, removing them."""

from __future__ import annotations

import msgspec

from sightloop.datasets.errors import NoSuchRemote, RemoteExists
from sightloop.datasets.remotes.connecting import check_address
from sightloop.datasets.remotes.store import (
    RemoteRecord,
    count_promised,
    delete_remote,
    find_remote,
    insert_remote,
    list_remotes,
)
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.workspace import Call, Workspace

REMOTE_ADDED = EventKind("remote.added")
REMOTE_REMOVED = EventKind("remote.removed")


class AddRemote(msgspec.Struct, frozen=True, kw_only=True):
    """A name for an address: a folder, s3://..., gs://... or az://.... Never with credentials."""

    name: str
    url: str
    endpoint: str = ""
    """Where something that speaks S3 answers, when that is not AWS."""
    region: str = ""


class RemoveRemote(msgspec.Struct, frozen=True, kw_only=True):
    """The name of a remote."""

    name: str


class KnownRemote(msgspec.Struct, frozen=True, kw_only=True):
    """A remote, and how many images are there and not here."""

    name: str
    url: str
    endpoint: str
    region: str
    n_left: int


def add_remote(workspace: Workspace, call: Call, request: AddRemote) -> KnownRemote:
    """Give the address a name; nothing is asked of it yet. The same again changes nothing.

    Raises:
        BadRemote: the name or an address cannot be used.
        RemoteExists: a remote of that name is at another address.
    """
    # An admin: a server pushes with its own credentials, and writes folders of its machine.
    require(call.actor, Permission.ADMINISTER)
    url = check_address(name=request.name, url=request.url, endpoint=request.endpoint)
    now_ms = workspace.clock.now_ms()
    record = RemoteRecord(request.name, url, request.endpoint, request.region, now_ms)
    with workspace.db.write() as tx:
        found = find_remote(tx, request.name)
        if found is None:
            insert_remote(tx, record)
            data = {"remote": request.name, "url": url, "endpoint": request.endpoint}
            tell(tx, REMOTE_ADDED, request.name, by=call.actor, at_ms=now_ms, data=data)
        elif found._replace(added_at_ms=now_ms) != record:
            raise RemoteExists(name=request.name, url=found.url)
        return _known(tx, record)


def remove_remote(workspace: Workspace, call: Call, request: RemoveRemote) -> KnownRemote:
    """Forget the address; nothing there changes, and what was not pulled stays there.

    Raises:
        NoSuchRemote: no remote has that name.
    """
    require(call.actor, Permission.ADMINISTER)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        record = find_remote(tx, request.name)
        if record is None:
            raise NoSuchRemote(name=request.name, known=[one.name for one in list_remotes(tx)])
        delete_remote(tx, request.name)
        data = {"remote": record.name, "url": record.url}
        tell(tx, REMOTE_REMOVED, record.name, by=call.actor, at_ms=now_ms, data=data)
        return _known(tx, record)


def known_remotes(workspace: Workspace, call: Call) -> list[KnownRemote]:
    """Every remote, by name."""
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        return [_known(tx, one) for one in list_remotes(tx)]


def _known(tx: Tx, record: RemoteRecord) -> KnownRemote:
    return KnownRemote(
        name=record.name,
        url=record.url,
        endpoint=record.endpoint,
        region=record.region,
        n_left=count_promised(tx, record.name),
    )
