"""Folders of updates as they are carried to devices, made from a control plane under test."""

from __future__ import annotations

from pathlib import Path

from sightloop.contracts.decode import encode
from sightloop.contracts.update_folder import (
    FOLDER_NOTE,
    DeviceUpdates,
    UpdateFolder,
    device_note,
)
from sightloop.testing.control_plane import DEVICE, ControlPlane


def carry(plane: ControlPlane, folder: Path, *, device: str = DEVICE) -> Path:
    """Write everything the plane answers, and what it assigned, into the folder."""
    for name, content in plane.repository.files.items():
        _write(folder / "tuf" / "metadata" / name, content)
    for path, content in plane.manifests.items():
        _write(folder / "tuf" / "targets" / path, content)
    for digits, content in plane.blobs.items():
        _write(folder / "tuf" / "blobs" / digits, content)
    updates = DeviceUpdates(device=device, assignments=list(plane.assignments.values()))
    _write(folder / device_note(device), encode(updates))
    note = UpdateFolder(
        created_at_ms=1, usable_until_ms=2, devices=[device], n_bundles=1, size_bytes=0
    )
    _write(folder / FOLDER_NOTE, encode(note))
    return folder


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
