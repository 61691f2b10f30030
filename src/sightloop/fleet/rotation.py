"""Replacing a key, after it was stolen or because it is old. Devices follow; the old key is dead.

First everything the key signs is signed by the old and the new key, then the file that says whom
to trust names the new one, and last the new file takes the old one's place. So devices can verify
what they find at every moment, and a rotation that was cut short is completed by asking again.

Source: The Update Framework specification 1.0.31, sections 5.3 and 6.1.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta
from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]
from tuf.api.metadata import Metadata, Role, Root, Targets  # type: ignore[attr-defined]

from sightloop.fleet import store
from sightloop.fleet.agent_releases import sign_agent_assignments_again
from sightloop.fleet.assignments import open_assignment_signer
from sightloop.fleet.errors import (
    BadThreshold,
    RepositoryKeyMissing,
    RepositoryMissing,
    UnknownKeyRole,
)
from sightloop.fleet.publication import (
    ASSIGNMENTS,
    MOST_ROOT_KEYS,
    ROOT_KEYS,
    TOP_LEVEL,
    Publication,
    trusted_signers,
)
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.workspace import Call, Workspace
from sightloop.registry import store as registry
from sightloop.registry.keys import (
    ensure_next_signer,
    finish_replacing,
    key_path,
    owner_key_name,
    public_half,
)
from sightloop.registry.revoking import write_owner_metadata
from sightloop.registry.signing import owner_signer
from sightloop.registry.update_metadata import (
    Lifetimes,
    MetadataFolder,
    expiry,
    update_metadata_folder,
)
from sightloop.registry.values import ModelName

KEY_ROTATED = EventKind("key.rotated")


class RotateKey(msgspec.Struct, frozen=True, kw_only=True):
    """Which key gets a successor."""

    role: str
    """root, targets, snapshot, timestamp, assignments or owner-MODEL."""
    n_keys: Annotated[int, Meta(ge=1)] = 1
    """For root: how many keys it has from now on."""
    threshold: Annotated[int, Meta(ge=1)] = 1
    """For root: how many of them must sign."""


class KeyRotated(msgspec.Struct, frozen=True, kw_only=True):
    """The new key, public half only."""

    role: str
    key_ids: list[str]
    n_assignments: int
    """Assignments that were signed again, with the new key."""


def rotate_key(workspace: Workspace, call: Call, request: RotateKey) -> KeyRotated:
    """Devices trust the new key and no longer the old one. Asking again completes what was cut.

    Raises:
        NotAllowed: the actor may not administer.
        RepositoryMissing: there is no update repository.
        UnknownKeyRole, BadThreshold: the request cannot be met.
        RepositoryKeyMissing: a key that has to sign the change is elsewhere: bring it here first.
        OwnerKeyMissing, OwnerKeyForeign: the owner's own key is.
        UpdateMetadataDamaged: a file is not signed as it should be.
    """
    require(call.actor, Permission.ADMINISTER)
    _check(workspace, request)
    folder = MetadataFolder(update_metadata_folder(workspace))
    if folder.newest_version("root") == 0:
        raise RepositoryMissing(path=str(folder.path))
    with folder.locked():
        rotation = _Rotation(workspace, folder)
        if request.role == "root":
            key_ids = rotation.root(request.n_keys, request.threshold)
        elif request.role == ASSIGNMENTS:
            key_ids = rotation.assignments()
        elif request.role in TOP_LEVEL:
            key_ids = rotation.top_level(request.role)
        else:
            key_ids = rotation.owner(ModelName(request.role.removeprefix("owner-")))
        n_assignments = _sign_assignments_again(workspace) if request.role == ASSIGNMENTS else 0
        for name in ROOT_KEYS if request.role == "root" else (request.role,):
            finish_replacing(workspace, name)
        if request.role == "root":
            for name in ROOT_KEYS[request.n_keys :]:
                key_path(workspace, name).unlink(missing_ok=True)
    with workspace.db.write() as tx:
        data = {"role": request.role, "keys": key_ids}
        now_ms = workspace.clock.now_ms()
        tell(tx, KEY_ROTATED, request.role, by=call.actor, at_ms=now_ms, data=data)
    return KeyRotated(role=request.role, key_ids=key_ids, n_assignments=n_assignments)


def _check(workspace: Workspace, request: RotateKey) -> None:
    with workspace.db.read() as tx:
        owners = [owner_key_name(model) for model in registry.owner_keys(tx)]
    roles = [*TOP_LEVEL, ASSIGNMENTS, *owners]
    if request.role not in roles:
        raise UnknownKeyRole(role=request.role, roles=roles)
    most = MOST_ROOT_KEYS if request.role == "root" else 1
    if request.n_keys > most or request.threshold > request.n_keys:
        raise BadThreshold(role=request.role, n_keys=request.n_keys, threshold=request.threshold)


class _Rotation:
    """The steps of one rotation; the folder's lock is held."""

    def __init__(self, workspace: Workspace, folder: MetadataFolder) -> None:
        self._workspace = workspace
        self._folder = folder
        self._lifetimes = Lifetimes()

    def root(self, n_keys: int, threshold: int) -> list[str]:
        coming = [ensure_next_signer(self._workspace, name) for name in ROOT_KEYS[:n_keys]]
        key_ids = [signer.public_key.keyid for signer in coming]
        known = self._newest_root()
        if set(known.roles["root"].keyids) != set(key_ids):
            before = self._root_signers(known)
            for old in list(known.roles["root"].keyids):
                known.revoke_key(old, "root")
            known.roles["root"] = Role([], threshold)
            for signer in coming:
                known.add_key(signer.public_key, "root")
            self._write_root(known, [*before, *coming])
        self._publish()
        return key_ids

    def top_level(self, role: str) -> list[str]:
        coming = ensure_next_signer(self._workspace, role)
        key_id = coming.public_key.keyid
        if key_id not in self._newest_root().roles[role].keyids:
            self._publish(also={role: coming})
            root = self._newest_root()
            signers = self._root_signers(root)
            for old in list(root.roles[role].keyids):
                root.revoke_key(old, role)
            root.add_key(coming.public_key, role)
            self._write_root(root, signers)
        self._publish()
        return [key_id]

    def assignments(self) -> list[str]:
        coming = ensure_next_signer(self._workspace, ASSIGNMENTS)
        key_id = coming.public_key.keyid
        targets = self._folder.load_newest("targets", Targets)
        assert targets is not None, "a repository with a root has targets"
        if key_id not in targets.signed.get_delegated_role(ASSIGNMENTS).keyids:
            self._publish(also={ASSIGNMENTS: coming})
            self._publish(assigning=coming)
        return [key_id]

    def owner(self, model: ModelName) -> list[str]:
        coming = ensure_next_signer(self._workspace, owner_key_name(model))
        now = owner_signer(self._workspace, model)
        if now.public_key.keyid != coming.public_key.keyid:
            self._need_targets_key()
            write_owner_metadata(
                self._workspace,
                self._folder,
                model,
                [now, coming],
                lifetimes=self._lifetimes,
                anew=True,
            )
            with self._workspace.db.write() as tx:
                registry.replace_owner_key(tx, model, public_half(coming))
        self._publish()
        return [coming.public_key.keyid]

    def _newest_root(self) -> Root:
        known = self._folder.load_newest("root", Root)
        assert known is not None, "the caller looked"
        return known.signed

    def _root_signers(self, root: Root) -> list[CryptoSigner]:
        wanted = root.roles["root"]
        found = trusted_signers(self._workspace, "root", wanted.keyids)
        if len(found) < wanted.threshold:
            raise RepositoryKeyMissing(role="root", path=str(key_path(self._workspace, "root")))
        return found

    def _need_targets_key(self) -> None:
        wanted = self._newest_root().roles["targets"]
        if not trusted_signers(self._workspace, "targets", wanted.keyids):
            path = str(key_path(self._workspace, "targets"))
            raise RepositoryKeyMissing(role="targets", path=path)

    def _write_root(self, root: Root, signers: list[CryptoSigner]) -> None:
        root.version += 1
        root.expires = expiry(self._workspace.clock.now_ms(), self._lifetimes.root_days)
        metadata = Metadata(root)
        for signer in signers:
            metadata.sign(signer, append=True)
        self._folder.write("root", metadata)

    def _publish(
        self,
        *,
        also: dict[str, CryptoSigner] | None = None,
        assigning: CryptoSigner | None = None,
    ) -> None:
        Publication(
            self._workspace, self._folder, self._lifetimes, also=also, assigning=assigning
        ).run()


def _sign_assignments_again(workspace: Workspace) -> int:
    """Every assignment is signed by the key that is trusted now, one counter up."""
    signer = open_assignment_signer(workspace)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        moved = [
            (
                signer.assign(slot, number=slot.number, bundle=slot.bundle, now_ms=now_ms),
                slot.counter,
            )
            for slots in store.slots_by_device(tx).values()
            for slot in slots
            if slot.number is not None
            and slot.bundle is not None
            and slot.assignment is not None
            and slot.assignment.key_id != signer.key_id
        ]
        store.move_slots(tx, moved)
    return len(moved) + sign_agent_assignments_again(workspace)
