"""What a remote looks like: the names in it, its marker, its refs. docs/formats/remote.md.

Pure. Everything but refs is named by its content and never changes; the marker's format covers
all that the remote holds.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from sightloop.kernel.digests import Digest

FORMAT: Literal["sightloop.remote/1"] = "sightloop.remote/1"
MARKER = "sightloop-remote.json"

Area = Literal["packs/", "metadata/"]
PACKS: Literal["packs/"] = "packs/"
METADATA: Literal["metadata/"] = "metadata/"
LARGE_BLOBS = "blobs/"
REFS = "refs/"
TOMBSTONES = "tombstones/"
PROBES = "probe/"

PACK_TARGET_BYTES = 32 << 20
"""A pack is closed with the first blob that takes it to this size."""
METADATA_PACK_TARGET_BYTES = 8 << 20
"""Labels of some 75,000 images; a reader holds three such packs."""
LARGE_BLOB_BYTES = 16 << 20
"""A blob of this size or more stands alone."""

RemoteRefKind = Literal["heads", "tags"]

_PACK_NAME = re.compile(r"(?:packs|metadata)/([0-9a-f]{64})\.(pack|index)")
_REF_NAME = re.compile(r"refs/(heads|tags)/([A-Za-z0-9][A-Za-z0-9._!-]{0,99})")
_PREFIX = "sha256:"


class Marker(msgspec.Struct, frozen=True, kw_only=True):
    """Says that a remote begins here, and which one."""

    format: Literal["sightloop.remote/1"] = FORMAT
    id: str
    """Drawn once; tells a remote from another that took its place."""


class RemoteRef(msgspec.Struct, frozen=True):
    """Where a branch or tag of the remote points."""

    commit: Digest


class PackFile(msgspec.Struct, frozen=True):
    """The parts of a pack's or an index's name."""

    digits: str
    is_index: bool


def pack_name(area: Area, digits: str) -> str:
    """Where the pack of that content lies."""
    return f"{area}{digits}.pack"


def index_name(area: Area, digits: str) -> str:
    """Where the pack's index lies."""
    return f"{area}{digits}.index"


def parse_pack_name(name: str) -> PackFile | None:
    """The parts of the name; None if it is something else."""
    parts = _PACK_NAME.fullmatch(name)
    return PackFile(parts[1], parts[2] == "index") if parts else None


def large_blob_name(digest: Digest) -> str:
    """Where a blob lies that stands alone."""
    return LARGE_BLOBS + digest.removeprefix(_PREFIX)


def ref_name(kind: RemoteRefKind, name: str) -> str:
    """Where the ref lies; a slash in its name would be a folder of a file system.

    >>> ref_name("heads", "feature/x")
    'refs/heads/feature!x'
    """
    return f"{REFS}{kind}/{name.replace('/', '!')}"


def parse_ref_name(path: str) -> tuple[RemoteRefKind, str] | None:
    """Kind and name of the ref that lies there; None if it is something else.

    >>> parse_ref_name("refs/tags/v1")
    ('tags', 'v1')
    """
    parts = _REF_NAME.fullmatch(path)
    if parts is None:
        return None
    kind: RemoteRefKind = "heads" if parts[1] == "heads" else "tags"
    return kind, parts[2].replace("!", "/")


def tracking_name(remote: str, branch: str) -> str:
    """How this workspace calls a remote's branch."""
    return f"{remote}/{branch}"
