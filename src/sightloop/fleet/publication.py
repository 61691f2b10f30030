"""One publication: what is signed anew so that devices see everything owners have vouched for.

Order is all. Root, then targets with its delegations, then the snapshot that names their versions,
then the timestamp that names the snapshot; each is durable before the next is written, and only
the timestamp replaces a file. Whatever is already right is left as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeVar

import msgspec
from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]
from tuf.api.exceptions import UnsignedMetadataError
from tuf.api.metadata import (  # type: ignore[attr-defined]
    DelegatedRole,
    Delegations,
    Key,
    Metadata,
    MetaFile,
    Role,
    Root,
    Snapshot,
    Targets,
    Timestamp,
)

from sightloop.fleet.errors import RepositoryKeyMissing
from sightloop.kernel.workspace import Workspace
from sightloop.registry import store as registry
from sightloop.registry.errors import UpdateMetadataDamaged
from sightloop.registry.keys import (
    find_signer,
    find_trusted_signer,
    key_path,
    owner_key_name,
    verifying_key,
)
from sightloop.registry.update_metadata import TIMESTAMP, Lifetimes, MetadataFolder, expiry, is_due
from sightloop.registry.values import ModelName, PublicKey

ASSIGNMENTS = "assignments"
AGENTS = "agents"
"""Vouches for releases of the agent itself; there from the first one on."""

TOP_LEVEL = ("root", "targets", "snapshot", TIMESTAMP)
MOST_ROOT_KEYS = 9
ROOT_KEYS = ("root", *(f"root-{number}" for number in range(2, MOST_ROOT_KEYS + 1)))
"""The names of root keys; there is more than one after a rotation that asked for more."""

THRESHOLD = 1
"""Signatures each role needs; the metadata carries it per role, so that it can be raised there."""

Kind = TypeVar("Kind", Root, Targets, Snapshot, Timestamp)


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """What a publication wrote; an empty list means that nothing had changed."""

    written: list[str]
    timestamp_version: int


class Publication:
    """One pass from root to timestamp; each step leaves the files so that the next may follow."""

    def __init__(
        self,
        workspace: Workspace,
        folder: MetadataFolder,
        lifetimes: Lifetimes,
        *,
        also: Mapping[str, CryptoSigner] | None = None,
        assigning: CryptoSigner | None = None,
    ) -> None:
        """Set up; the last two are for a key that is being replaced.

        Args:
            workspace: holds keys and owners.
            folder: of the metadata, locked by the caller.
            lifetimes: until when signatures are good.
            also: by role, a key that signs beside the present one; such a role is signed anew.
            assigning: the key that is trusted with assignments from now on.
        """
        self._workspace = workspace
        self._folder = folder
        self._lifetimes = lifetimes
        self._also = also or {}
        self._assigning = assigning
        self._now_ms = workspace.clock.now_ms()
        self._written: list[str] = []

    def run(self) -> Published:
        """Publish; the caller holds the folder's lock.

        Raises:
            RepositoryKeyMissing: a key that has to sign now is elsewhere.
            UpdateMetadataDamaged: a file is not signed as it should be.
        """
        with self._workspace.db.read() as tx:
            owners = registry.owner_keys(tx)
        root = self._root()
        targets = self._targets(root, owners)
        self._assignments(targets)
        snapshot = self._snapshot(root, self._current_files(root, targets))
        timestamp = self._timestamp(root, snapshot)
        return Published(written=self._written, timestamp_version=timestamp)

    def _root(self) -> Root:
        known = self._folder.load_newest("root", Root)
        if known is None:
            keys = {name: self._first_key(name) for name in TOP_LEVEL}
            root = Root(
                expires=expiry(self._now_ms, self._lifetimes.root_days),
                keys={key.keyid: key for key in keys.values()},
                roles={name: Role([key.keyid], THRESHOLD) for name, key in keys.items()},
                consistent_snapshot=True,
            )
            return self._write("root", root, by=root)
        root, days = known.signed, self._lifetimes.root_days
        self._check(root, "root", known)
        # An offline root key is no error here: whoever keeps it renews the root in time.
        if self._is_due("root", root, days) and self._has_keys("root", root):
            return self._write("root", self._renewed(root, days), by=root)
        return root

    def _targets(self, root: Root, owners: Mapping[ModelName, PublicKey]) -> Targets:
        known = self._folder.load_newest("targets", Targets)
        if known is None:
            targets = Targets(
                expires=expiry(self._now_ms, self._lifetimes.targets_days),
                delegations=Delegations(keys={}, roles={}),
            )
            _delegate(targets, ASSIGNMENTS, self._first_key(ASSIGNMENTS), "assignments/*")
            self._delegate_owners(targets, owners)
            self._delegate_agents(targets)
            return self._write("targets", targets, by=root)
        targets, days = known.signed, self._lifetimes.targets_days
        self._check(root, "targets", known)
        due = self._is_due("targets", targets, days) and self._has_keys("targets", root)
        changes = (
            self._delegate_owners(targets, owners),
            self._delegate_agents(targets),
            self._delegate_assignments(targets),
        )
        if any(changes) or due:
            return self._write("targets", self._renewed(targets, days), by=root)
        return targets

    def _delegate_agents(self, targets: Targets) -> bool:
        if AGENTS in _roles_of(targets) or self._folder.newest_version(AGENTS) == 0:
            return False
        _delegate(targets, AGENTS, self._first_key(AGENTS), "agents/*")
        return True

    def _delegate_assignments(self, targets: Targets) -> bool:
        if self._assigning is None:
            return False
        _delegate(targets, ASSIGNMENTS, self._assigning.public_key, "assignments/*")
        return True

    def _delegate_owners(self, targets: Targets, owners: Mapping[ModelName, PublicKey]) -> bool:
        """Trust each owner who has signed something with their model's manifests, nothing else."""
        missing = [
            model
            for model, key in owners.items()
            if key.id not in _key_ids(targets, owner_key_name(model))
            and self._folder.newest_version(owner_key_name(model)) > 0
        ]
        for model in missing:
            key = verifying_key(owners[model])
            _delegate(targets, owner_key_name(model), key, f"bundles/{model}/*")
        return bool(missing)

    def _assignments(self, targets: Targets) -> None:
        # The role lists no targets: its key signs assignments, which say their counter themselves.
        known = self._folder.load_newest(ASSIGNMENTS, Targets)
        days = self._lifetimes.assignments_days
        if known is None:
            self._write(ASSIGNMENTS, Targets(expires=expiry(self._now_ms, days)), by=targets)
        elif self._is_due(ASSIGNMENTS, known.signed, days):
            self._check(targets, ASSIGNMENTS, known)
            self._write(ASSIGNMENTS, self._renewed(known.signed, days), by=targets)

    def _current_files(self, root: Root, targets: Targets) -> dict[str, MetaFile]:
        files = {}
        for role in ("targets", *_roles_of(targets)):
            metadata = self._folder.load_newest(role, Targets)
            content = self._folder.read_newest(role)
            if metadata is None or content is None:
                path = str(self._folder.path / f"N.{role}.json")
                raise UpdateMetadataDamaged(path=path, detail="it is gone")
            self._check(root if role == "targets" else targets, role, metadata)
            version = metadata.signed.version
            files[f"{role}.json"] = MetaFile.from_data(version, content, ["sha256"])
        return files

    def _snapshot(self, root: Root, files: dict[str, MetaFile]) -> Snapshot:
        known = self._folder.load_newest("snapshot", Snapshot)
        days = self._lifetimes.snapshot_days
        if known is not None:
            self._check(root, "snapshot", known)
            due = self._is_due("snapshot", known.signed, days)
            if known.signed.meta == files and not due:
                return known.signed
        version = 1 if known is None else known.signed.version + 1
        made = Snapshot(version, expires=expiry(self._now_ms, days), meta=files)
        return self._write("snapshot", made, by=root)

    def _timestamp(self, root: Root, snapshot: Snapshot) -> int:
        content = self._folder.read_newest("snapshot")
        assert content is not None, "the snapshot was written above or before"
        meta = MetaFile.from_data(snapshot.version, content, ["sha256"])
        known = self._folder.load_newest(TIMESTAMP, Timestamp)
        days = self._lifetimes.timestamp_days
        if known is not None:
            self._check(root, TIMESTAMP, known)
            due = self._is_due(TIMESTAMP, known.signed, days)
            if known.signed.snapshot_meta == meta and not due:
                return known.signed.version
        version = 1 if known is None else known.signed.version + 1
        made = Timestamp(version, expires=expiry(self._now_ms, days), snapshot_meta=meta)
        self._write(TIMESTAMP, made, by=root)
        return version

    def _write(self, role: str, signed: Kind, *, by: Root | Targets) -> Kind:
        metadata = Metadata(signed)
        for signer in self._signers(role, by):
            metadata.sign(signer, append=True)
        self._folder.write(role, metadata)
        self._written.append(role)
        return signed

    def _renewed(self, signed: Kind, lifetime_days: int) -> Kind:
        signed.version += 1
        signed.expires = expiry(self._now_ms, lifetime_days)
        return signed

    def _check(self, delegator: Root | Targets, role: str, metadata: Metadata[Kind]) -> None:
        try:
            delegator.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
        except UnsignedMetadataError as error:
            path = str(self._folder.path_of(role, metadata.signed.version))
            raise UpdateMetadataDamaged(path=path, detail=str(error)) from error

    def _is_due(self, role: str, signed: Kind, lifetime_days: int) -> bool:
        aged = is_due(signed, lifetime_days=lifetime_days, now_ms=self._now_ms)
        return aged or role in self._also

    def _has_keys(self, role: str, by: Root | Targets) -> bool:
        wanted = by.get_delegated_role(role)
        return len(trusted_signers(self._workspace, role, wanted.keyids)) >= wanted.threshold

    def _signers(self, role: str, by: Root | Targets) -> list[CryptoSigner]:
        if not self._has_keys(role, by):
            raise RepositoryKeyMissing(role=role, path=str(key_path(self._workspace, role)))
        found = trusted_signers(self._workspace, role, by.get_delegated_role(role).keyids)
        return [*found, *([self._also[role]] if role in self._also else [])]

    def _first_key(self, role: str) -> Key:
        signer = find_signer(self._workspace, role)
        if signer is None:
            raise RepositoryKeyMissing(role=role, path=str(key_path(self._workspace, role)))
        return signer.public_key


def trusted_signers(
    workspace: Workspace, role: str, key_ids: Collection[str]
) -> list[CryptoSigner]:
    """The role's private keys on this host that count: one, but for a shared root."""
    names = ROOT_KEYS if role == "root" else (role,)
    found = [find_trusted_signer(workspace, name, key_ids) for name in names]
    return [signer for signer in found if signer is not None]


def _roles_of(targets: Targets) -> list[str]:
    assert targets.delegations is not None, "targets metadata is made with delegations"
    return list(targets.delegations.roles or {})


def _key_ids(targets: Targets, role: str) -> list[str]:
    assert targets.delegations is not None, "targets metadata is made with delegations"
    found = (targets.delegations.roles or {}).get(role)
    return [] if found is None else found.keyids


def _delegate(targets: Targets, role: str, key: Key, paths: str) -> None:
    """Trust `key` with the targets under `paths`; nobody else is asked about those."""
    assert targets.delegations is not None, "targets metadata is made with delegations"
    assert targets.delegations.roles is not None, "and with named roles"
    for old in _key_ids(targets, role):
        targets.revoke_key(old, role)
    targets.delegations.roles[role] = DelegatedRole(
        role, [], THRESHOLD, terminating=True, paths=[paths]
    )
    targets.add_key(key, role)
