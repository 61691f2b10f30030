"""A folder that carries updates to devices without a network, on a stick say.

Specification: docs/formats/update-folder.md. Below the folder lie the same paths that a server
answers (`tuf/metadata/`, `tuf/targets/`, `tuf/blobs/`), and one file per device.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from sightloop.contracts.assignment import SignedAssignment

FOLDER_NOTE = "update-folder.json"
"""Written last: a folder without it is half written."""


class UpdateFolder(msgspec.Struct, frozen=True, kw_only=True):
    """What is in the folder, for people; a device decides nothing by it."""

    format: Literal["sightloop.update-folder/1"] = "sightloop.update-folder/1"
    created_at_ms: int
    usable_until_ms: int
    """When the first signature in it ends; devices take nothing from it afterwards."""
    devices: list[str]
    n_bundles: int
    size_bytes: int


class DeviceUpdates(msgspec.Struct, frozen=True, kw_only=True):
    """What one device should run, each assignment signed as in a check-in reply."""

    format: Literal["sightloop.device-updates/1"] = "sightloop.device-updates/1"
    device: str
    assignments: list[SignedAssignment]
    agent: SignedAssignment | None = None
    """Which agent it should run; None leaves the one it has."""


def device_note(device: str) -> str:
    """Where a device's file lies in the folder."""
    return f"devices/{device}.json"
