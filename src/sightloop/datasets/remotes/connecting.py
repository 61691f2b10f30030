"""From a remote's name to the remote itself: which backend, whether it is fit, what is known of it.

Before the first push from a workspace the remote is **probed**: where making an object twice or
swapping one that has moved on is allowed, two people who push at once would lose commits, so such
a place is refused.
"""

from __future__ import annotations

import fcntl
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sightloop.contracts.decode import decode, encode
from sightloop.datasets.errors import BadRemote, NoSuchRemote, RemoteDamaged, RemoteUnfit
from sightloop.datasets.remotes.backend import RemoteStore, Stale
from sightloop.datasets.remotes.folder import FolderStore
from sightloop.datasets.remotes.layout import MARKER, PROBES, Marker
from sightloop.datasets.remotes.object_store import CloudStore
from sightloop.datasets.remotes.store import RemoteRecord, find_remote, list_remotes
from sightloop.kernel.errors import NotFound
from sightloop.kernel.workspace import Workspace

FOLDER = "remotes"
"""Below the workspace's state: what is known of remotes. Only speeds things up."""

CLOUDS = ("s3", "gs", "az")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,49}")
_URL = re.compile(r"(?:([a-z][a-z0-9+.-]*)://)?(.*)", re.DOTALL)
_ENDPOINT = re.compile(r"https?://[^\s/@?#]+(?:/[^\s@?#]*)?")


@dataclass(frozen=True, slots=True)
class Remote:
    """A remote, and the folder in which this workspace keeps what it knows of it."""

    name: str
    store: RemoteStore
    folder: Path


def connect(workspace: Workspace, name: str) -> Remote:
    """The remote of that name; nothing is asked of it yet.

    Raises:
        NoSuchRemote: none was added under that name.
    """
    with workspace.db.read() as tx:
        record = find_remote(tx, name)
        if record is None:
            raise NoSuchRemote(name=name, known=[one.name for one in list_remotes(tx)])
    return Remote(name, open_store(record), workspace.state / FOLDER / name)


def open_store(record: RemoteRecord) -> RemoteStore:
    """The backend of the address."""
    if "://" in record.url:
        return CloudStore(record.url, endpoint=record.endpoint, region=record.region)
    return FolderStore(Path(record.url))


def check_address(*, name: str, url: str, endpoint: str) -> str:
    """The address as it is kept: a folder's absolute path, or a cloud's URL.

    Raises:
        BadRemote: the name or an address cannot be used.
    """
    if not _NAME.fullmatch(name):
        raise BadRemote(value=name, problem="a name has up to 50 letters, digits and . _ -")
    parts = _URL.fullmatch(url)
    assert parts is not None, "the pattern fits every text"
    scheme, rest = parts[1], parts[2]
    if endpoint and (scheme != "s3" or not _ENDPOINT.fullmatch(endpoint)):
        problem = "an endpoint is https://HOST[:PORT] and goes with s3://"
        raise BadRemote(value=_without_secrets(endpoint), problem=problem)
    if scheme in (None, "file"):
        if not rest:
            raise BadRemote(value=url, problem="the address is empty")
        return str(Path(rest).expanduser().resolve())
    if scheme not in CLOUDS:
        raise BadRemote(value=_without_secrets(url), problem=f"{scheme}:// is not known")
    if any(sign in rest for sign in "@?#") or not rest.strip("/"):
        problem = "an address names bucket and prefix only; credentials come from the environment"
        raise BadRemote(value=_without_secrets(url), problem=problem)
    return f"{scheme}://{rest.strip('/')}"


def read_marker(remote: Remote) -> Marker:
    """Which remote this is.

    Raises:
        NotFound: nothing was pushed there yet.
        WrongFormat: a later Sightloop wrote it.
    """
    marker = _find_marker(remote)
    if marker is None:
        hint = "push to it first, or check the address"
        raise NotFound(what="data set at", name=remote.store.label, hint=hint)
    return marker


def claim(remote: Remote) -> Marker:
    """The remote's marker, made if there is none; checked to be fit before the first push.

    Raises:
        RemoteUnfit: it holds something else, or lets writers undo each other.
    """
    marker = _find_marker(remote)
    if marker is None:
        if any(not one.name.startswith(PROBES) for one in remote.store.list("")):
            raise RemoteUnfit(
                remote=remote.store.label, problem="it holds something else; take an empty prefix"
            )
        probe(remote.store)
        remote.store.put_new(MARKER, encode(Marker(id=secrets.token_hex(16))))
        marker = read_marker(remote)  # whoever was first: it is his
    elif not _cache(remote, marker).exists():
        probe(remote.store)
    _cache(remote, marker).mkdir(parents=True, exist_ok=True)
    return marker


def probe(store: RemoteStore) -> None:
    """Return when the store keeps two writers apart; what was tried is taken away again.

    Raises:
        RemoteUnfit: it lets an object be made twice, or swapped in a state it is no longer in.
    """
    name = f"{PROBES}{secrets.token_hex(8)}"
    try:
        if not store.put_new(name, b"one") or store.put_new(name, b"two"):
            raise RemoteUnfit(
                remote=store.label, problem="making an object that is there already is not refused"
            )
        held = store.get(name)
        if held is None or held.content != b"one":
            raise RemoteUnfit(
                remote=store.label, problem="what was just written there reads differently"
            )
        store.compare_and_swap(name, b"three", expected=held.tag)
        try:
            store.compare_and_swap(name, b"four", expected=held.tag)
        except Stale:
            return
        raise RemoteUnfit(
            remote=store.label,
            problem="replacing an object that has changed meanwhile is not refused",
        )
    except Stale:
        raise RemoteUnfit(
            remote=store.label, problem="replacing an object in its present state is refused"
        ) from None
    finally:
        store.delete(name)


def cache_of(remote: Remote, marker: Marker) -> Path:
    """The folder with what is known of exactly this remote, made if it is not there."""
    folder = _cache(remote, marker)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def transfer(remote: Remote) -> Iterator[Path]:
    """One transfer with a remote at a time; gives a folder for what is on its way out.

    What a transfer that died left in that folder is gone.
    """
    remote.folder.mkdir(parents=True, exist_ok=True)
    outgoing = remote.folder / "outgoing"
    with (remote.folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        outgoing.mkdir(exist_ok=True)
        for left in outgoing.iterdir():
            left.unlink()
        yield outgoing


def _cache(remote: Remote, marker: Marker) -> Path:
    return remote.folder / marker.id


def _find_marker(remote: Remote) -> Marker | None:
    held = remote.store.get(MARKER)
    if held is None:
        return None
    marker = decode(held.content, Marker, what=f"{MARKER} of {remote.store.label}")
    if not re.fullmatch(r"[0-9a-f]{32}", marker.id):
        raise RemoteDamaged(remote=remote.name, objects=[MARKER], problem="has no proper id")
    return marker


def _without_secrets(address: str) -> str:
    """The address as far as it may be repeated in an error."""
    head = re.split(r"[?#]", address, maxsplit=1)[0]
    return re.sub(r"//[^/@]*@", "//", head)
