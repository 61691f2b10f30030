"""The update metadata: signed files in one folder, which devices fetch as they are.

Two hands write here. A model's owner adds `N.owner-MODEL.json` (signing); the update repository
adds root, targets, snapshot and timestamp (fleet). Files are only ever added, except
`timestamp.json`: a file counts once a snapshot names its version and the timestamp names that
snapshot, so whatever a crash leaves behind is not seen by any device.

Specification: docs/formats/bundle.md, and the TUF specification 1.0.31.
"""

from __future__ import annotations

import fcntl
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Signed, Snapshot, Targets, Timestamp  # type: ignore[attr-defined]
from tuf.api.serialization import DeserializationError

from sightloop.kernel.digests import Digest
from sightloop.kernel.files import write_atomic
from sightloop.kernel.workspace import Workspace
from sightloop.registry.errors import UpdateMetadataDamaged
from sightloop.registry.values import ModelName

TIMESTAMP = "timestamp"
Kind = TypeVar("Kind", Root, Targets, Snapshot, Timestamp)
Days = Annotated[int, Meta(ge=1, le=3650)]


class Lifetimes(msgspec.Struct, frozen=True, kw_only=True):
    """How long each role's signature is good for; a role is renewed when half of it has passed.

    Expiry only ever stops updating: what a device runs, it goes on running.
    """

    root_days: Days = 365
    targets_days: Days = 365
    owner_days: Days = 365
    assignments_days: Days = 365
    snapshot_days: Days = 30
    timestamp_days: Days = 7


class MetadataFolder:
    """The folder itself. Readers need no lock; writers hold `locked`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other writers out, of this process or another; not to be entered twice."""
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path.parent / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def newest_version(self, role: str) -> int:
        """The highest version of the role on disk; 0 when there is none."""
        pattern = re.compile(rf"([0-9]+)\.{re.escape(role)}\.json")
        names = (pattern.fullmatch(path.name) for path in self.path.glob(f"*.{role}.json"))
        return max((int(found[1]) for found in names if found), default=0)

    def read_newest(self, role: str) -> bytes | None:
        """The bytes of the role's newest version; None when there is none."""
        try:
            return self.path_of(role, self.newest_version(role)).read_bytes()
        except FileNotFoundError:
            return None

    def load_newest(self, role: str, kind: type[Kind]) -> Metadata[Kind] | None:
        """The role's newest version; None when there is none.

        Raises:
            UpdateMetadataDamaged: the file is not metadata of this kind.
        """
        content = self.read_newest(role)
        if content is None:
            return None
        path = str(self.path_of(role, self.newest_version(role)))
        try:
            found = Metadata[Kind].from_bytes(content)
        except (DeserializationError, RepositoryError) as error:
            raise UpdateMetadataDamaged(path=path, detail=str(error)) from error
        if not isinstance(found.signed, kind):
            raise UpdateMetadataDamaged(path=path, detail=f"it holds {found.signed.type} metadata")
        return found

    def expires_at_ms(self, role: str) -> int | None:
        """When the role's newest signature ends; None when there is none.

        Raises:
            UpdateMetadataDamaged: the file is not metadata of this role.
        """
        known: Metadata[Root] | Metadata[Snapshot] | Metadata[Timestamp] | Metadata[Targets] | None
        match role:
            case "root":
                known = self.load_newest(role, Root)
            case "snapshot":
                known = self.load_newest(role, Snapshot)
            case "timestamp":
                known = self.load_newest(role, Timestamp)
            case _:
                known = self.load_newest(role, Targets)
        return None if known is None else round(known.signed.expires.timestamp() * 1000)

    def write(self, role: str, metadata: Metadata[Kind]) -> bytes:
        """Add this version of the role, durably; returns its bytes."""
        content = metadata.to_bytes()
        write_atomic(self.path_of(role, metadata.signed.version), content)
        return content

    def path_of(self, role: str, version: int) -> Path:
        """The file of that version of the role."""
        return self.path / (f"{role}.json" if role == TIMESTAMP else f"{version}.{role}.json")


def update_metadata_folder(workspace: Workspace) -> Path:
    """The folder whose files are served as they are."""
    return workspace.state / "update" / "metadata"


def target_path(model: ModelName, bundle: Digest) -> str:
    """How the update metadata calls a version's manifest.

    >>> target_path(ModelName("pcb"), Digest("sha256:" + "0" * 64))[:18]
    'bundles/pcb/000000'
    """
    return f"bundles/{model}/{bundle.removeprefix('sha256:')}.json"


def expiry(now_ms: int, lifetime_days: int) -> datetime:
    """When a signature given now ends."""
    return _instant(now_ms) + timedelta(days=lifetime_days)


def is_due(signed: Signed, *, lifetime_days: int, now_ms: int) -> bool:
    """Whether less than half of the lifetime is left, so that the role should be renewed."""
    return signed.expires - _instant(now_ms) < timedelta(days=lifetime_days) / 2


def _instant(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms // 1000, tz=UTC)
