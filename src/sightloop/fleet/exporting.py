"""Updates in a folder, to be carried to devices that no network reaches.

The folder holds what a server would answer, byte for byte, so a device verifies it the same way:
whoever changes the stick can spoil an update and never choose one.

Specification: docs/formats/update-folder.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
from tuf.api.metadata import Root, Snapshot  # type: ignore[attr-defined]

from sightloop.contracts.decode import encode
from sightloop.contracts.update_folder import (
    FOLDER_NOTE,
    DeviceUpdates,
    UpdateFolder,
    device_note,
)
from sightloop.fleet import store
from sightloop.fleet.errors import FolderNotEmpty
from sightloop.fleet.update_repository import publish, role_expiries
from sightloop.fleet.values import Device, DeviceId, Slot
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.digests import Digest
from sightloop.kernel.files import disk_errors, write_atomic
from sightloop.kernel.workspace import Call, Workspace
from sightloop.registry import store as registry
from sightloop.registry.update_metadata import (
    TIMESTAMP,
    MetadataFolder,
    target_path,
    update_metadata_folder,
)
from sightloop.registry.values import ModelName


class ExportUpdates(msgspec.Struct, frozen=True, kw_only=True):
    """Which devices the folder is for; none named means all of them."""

    folder: str
    devices: list[str] = []


def export_updates(workspace: Workspace, call: Call, request: ExportUpdates) -> UpdateFolder:
    """The folder carries everything these devices are assigned. Repeat it to bring it up to date.

    Raises:
        NotAllowed: the actor may not release.
        NotFound: there is no such device.
        FolderNotEmpty: the folder holds something else.
        RepositoryMissing, RepositoryKeyMissing, UpdateMetadataDamaged: see `publish`.
        DiskFull: the folder has no room; what was written so far is not usable.
    """
    require(call.actor, Permission.RELEASE)
    folder = Path(request.folder)
    _require_ours(folder)
    publish(workspace)
    with workspace.db.read() as tx:
        everyone = store.all_devices(tx)
        named = [store.get_device(tx, name) for name in request.devices]
        slots = store.slots_by_device(tx)
    devices = named or everyone
    (folder / FOLDER_NOTE).unlink(missing_ok=True)
    with disk_errors(folder):
        bundles = _write_devices(folder, devices, slots)
        _write_bundles(workspace, folder, bundles)
        _write_metadata(workspace, folder)
        note = UpdateFolder(
            created_at_ms=workspace.clock.now_ms(),
            usable_until_ms=min(one.expires_at_ms for one in role_expiries(workspace)),
            devices=sorted(device.name for device in devices),
            n_bundles=len(bundles),
            size_bytes=sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
        )
        write_atomic(folder / FOLDER_NOTE, encode(note))
    return note


def _require_ours(folder: Path) -> None:
    ours = {"tuf", "devices", FOLDER_NOTE}
    if folder.is_dir() and {path.name for path in folder.iterdir()} - ours - _OF_MEDIA:
        raise FolderNotEmpty(folder=str(folder))


_OF_MEDIA = {"lost+found", "System Volume Information", ".Trashes", ".fseventsd"}
"""What systems leave in the top folder of a stick."""


def _write_devices(
    folder: Path, devices: Iterable[Device], slots: Mapping[DeviceId, list[Slot]]
) -> dict[Digest, str]:
    """One file per device; the bundles they are assigned, with their models."""
    bundles: dict[Digest, str] = {}
    for device in devices:
        mine = [slot for slot in slots.get(device.id, []) if slot.assignment is not None]
        updates = DeviceUpdates(
            device=device.id,
            assignments=[slot.assignment for slot in mine if slot.assignment is not None],
        )
        _write(folder / device_note(device.id), encode(updates))
        bundles |= {slot.bundle: slot.model for slot in mine if slot.bundle is not None}
    return bundles


def _write_bundles(workspace: Workspace, folder: Path, bundles: dict[Digest, str]) -> None:
    with workspace.db.read() as tx:
        files = {digest for bundle in bundles for digest in registry.files_of(tx, bundle)}
    for bundle, model in bundles.items():
        path = folder / "tuf" / "targets" / target_path(ModelName(model), bundle)
        _write(path, workspace.blobs.read(bundle))
    for digest in files:
        path = folder / "tuf" / "blobs" / digest.removeprefix("sha256:")
        if not path.exists() or path.stat().st_size != workspace.blobs.size_bytes(digest):
            _write(path, workspace.blobs.read(digest))


def _write_metadata(workspace: Workspace, folder: Path) -> None:
    """The roots and what the newest timestamp leads to, the timestamp last."""
    published = MetadataFolder(update_metadata_folder(workspace))
    snapshot = published.load_newest("snapshot", Snapshot)
    root = published.load_newest("root", Root)
    assert snapshot is not None, "it was published"
    assert root is not None, "it was published"
    names = [f"{version}.root.json" for version in range(1, root.signed.version + 1)]
    names += [f"{meta.version}.{name}" for name, meta in sorted(snapshot.signed.meta.items())]
    names += [f"{snapshot.signed.version}.snapshot.json", f"{TIMESTAMP}.json"]
    for name in names:
        _write(folder / "tuf" / "metadata" / name, (published.path / name).read_bytes())


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, content)
