"""The update repository: how devices know that a bundle is the owner's, and the latest word.

`root` vouches for the keys of `targets`, `snapshot` and `timestamp`; `targets` delegates each
model's manifests to its owner and the signing of assignments to the online key. Every file is
written once and durable before the next one names it, `timestamp.json` last: a device sees the
repository before a publication or after it. Publishing twice, or again after a crash, is safe.

Source: The Update Framework specification 1.0.31, section 6.
"""

from __future__ import annotations

import re

import msgspec

from sightloop.fleet.agent_releases import is_agent_blob, is_agent_release
from sightloop.fleet.errors import RepositoryMissing
from sightloop.fleet.publication import ASSIGNMENTS, TOP_LEVEL, Publication, Published
from sightloop.kernel.digests import Digest, parse_digest
from sightloop.kernel.errors import NotFound
from sightloop.kernel.workspace import Workspace
from sightloop.registry import store as registry
from sightloop.registry.keys import KeyFacts, ensure_signer, key_facts, owner_key_name
from sightloop.registry.update_metadata import (
    TIMESTAMP,
    Lifetimes,
    MetadataFolder,
    update_metadata_folder,
)

__all__ = [
    "Published",
    "RoleExpiry",
    "create_repository",
    "newest_update_version",
    "publish",
    "released_blob",
    "repository_key_names",
    "repository_keys",
    "role_expiries",
    "root_bytes",
    "target_blob",
    "update_metadata_folder",
]

_TARGET = re.compile(r"bundles/(?P<model>[^/]+)/(?:[0-9a-f]{64}\.)?(?P<digits>[0-9a-f]{64})\.json")
_AGENT_TARGET = re.compile(r"agents/(?:[0-9a-f]{64}\.)?(?P<digits>[0-9a-f]{64})\.json")


class RoleExpiry(msgspec.Struct, frozen=True, kw_only=True):
    """Until when devices accept what a role signed last."""

    role: str
    expires_at_ms: int


def create_repository(workspace: Workspace, *, lifetimes: Lifetimes | None = None) -> Published:
    """The workspace has keys and a published repository; one that is there is completed.

    Raises:
        UpdateMetadataDamaged: files of an earlier repository cannot be used.
    """
    folder = MetadataFolder(update_metadata_folder(workspace))
    with folder.locked():
        if folder.newest_version("root") == 0:
            for name in (*TOP_LEVEL, ASSIGNMENTS):
                ensure_signer(workspace, name)
        return Publication(workspace, folder, lifetimes or Lifetimes()).run()


def publish(workspace: Workspace, *, lifetimes: Lifetimes | None = None) -> Published:
    """Devices can see everything owners have signed so far; fresh signatures where they age.

    Costs some milliseconds when there is nothing to do, so it may be called every few seconds.

    Raises:
        RepositoryMissing: `create_repository` was never called here.
        RepositoryKeyMissing: a key that has to sign now is elsewhere.
        UpdateMetadataDamaged: a file is not signed as it should be; nothing was published.
    """
    folder = MetadataFolder(update_metadata_folder(workspace))
    if folder.newest_version("root") == 0:
        raise RepositoryMissing(path=str(folder.path))
    with folder.locked():
        return Publication(workspace, folder, lifetimes or Lifetimes()).run()


def root_bytes(workspace: Workspace) -> bytes:
    """The newest root metadata: what a device gets at enrolment and trusts from then on.

    Raises:
        RepositoryMissing: there is none.
    """
    folder = MetadataFolder(update_metadata_folder(workspace))
    content = folder.read_newest("root")
    if content is None:
        raise RepositoryMissing(path=str(folder.path))
    return content


def newest_update_version(workspace: Workspace) -> int:
    """Of the metadata published last, for check-in replies; 0 before there is any."""
    path = MetadataFolder(update_metadata_folder(workspace)).path_of(TIMESTAMP, 0)
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Timestamp).signed.version
    except (FileNotFoundError, msgspec.DecodeError):
        return 0


class _Versioned(msgspec.Struct):
    version: int


class _Timestamp(msgspec.Struct):
    signed: _Versioned


def target_blob(workspace: Workspace, target: str) -> Digest:
    """The manifest behind a target path, with or without the hash that TUF puts before its name.

    Raises:
        NotFound: no signed version has this path.
    """
    agent = _AGENT_TARGET.fullmatch(target)
    if agent is not None:
        digest = parse_digest(f"sha256:{agent['digits']}")
        with workspace.db.read() as tx:
            if is_agent_release(tx, digest):
                return digest
    named = _TARGET.fullmatch(target)
    if named is not None:
        digest = parse_digest(f"sha256:{named['digits']}")
        with workspace.db.read() as tx:
            version = registry.version_of_bundle(tx, digest)
        if (
            version is not None
            and version.model == named["model"]
            and version.signed_at_ms is not None
            and version.revoked_at_ms is None
        ):
            return digest
    raise NotFound(what="update target", name=target[:200])


def released_blob(workspace: Workspace, digest: Digest) -> Digest:
    """The digest itself, if devices may have that blob: it belongs to a signed version.

    Raises:
        NotFound: it does not; training images and unreleased models stay inside.
    """
    with workspace.db.read() as tx:
        if registry.is_released(tx, digest) or is_agent_blob(tx, digest):
            return digest
    raise NotFound(what="released blob", name=digest)


def role_expiries(workspace: Workspace) -> list[RoleExpiry]:
    """When each role's newest signature ends, for `doctor`; soonest first.

    What the server can sign itself it renews in time. An owner's role is renewed by signing one of
    the model's versions again, wherever the owner's key is.

    Raises:
        UpdateMetadataDamaged: a file is not metadata.
    """
    folder = MetadataFolder(update_metadata_folder(workspace))
    with workspace.db.read() as tx:
        owners = [owner_key_name(model) for model in registry.owner_keys(tx)]
    ends = {role: folder.expires_at_ms(role) for role in (*TOP_LEVEL, ASSIGNMENTS, *owners)}
    found = [
        RoleExpiry(role=role, expires_at_ms=at_ms)
        for role, at_ms in ends.items()
        if at_ms is not None
    ]
    return sorted(found, key=lambda one: one.expires_at_ms)


def repository_keys(workspace: Workspace) -> list[KeyFacts]:
    """Where each private key of the repository and of the models' owners is, for `doctor`."""
    return key_facts(workspace, repository_key_names(workspace))


def repository_key_names(workspace: Workspace) -> list[str]:
    """The names of those keys, wherever they are."""
    with workspace.db.read() as tx:
        owners = [owner_key_name(model) for model in registry.owner_keys(tx)]
    return [*TOP_LEVEL, ASSIGNMENTS, *owners]
