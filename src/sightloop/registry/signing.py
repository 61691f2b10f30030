"""The owner's signature: a version's manifest becomes a target of the owner's update metadata.

A device installs only what the owner's key vouches for, whoever runs the server. The signer looks
at the verdict first. Publishing what was signed is the update repository's part (fleet).
"""

from __future__ import annotations

from typing import Any

import msgspec
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]
from tuf.api.metadata import Metadata, TargetFile, Targets  # type: ignore[attr-defined]

from sightloop.contracts.revocation import REVOKED_FIELD
from sightloop.kernel.actors import Permission, require, step_actor
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.steps import Outcome, Step
from sightloop.kernel.worker import StepControl
from sightloop.kernel.workspace import Call, Workspace
from sightloop.registry import store
from sightloop.registry.errors import OwnerKeyForeign, OwnerKeyMissing, UpdateMetadataDamaged
from sightloop.registry.keys import (
    ensure_signer,
    find_signer,
    find_trusted_signer,
    key_path,
    owner_key_name,
    public_half,
)
from sightloop.registry.owner_fields import owner_fields
from sightloop.registry.release import require_releasable
from sightloop.registry.update_metadata import (
    Lifetimes,
    MetadataFolder,
    expiry,
    is_due,
    target_path,
    update_metadata_folder,
)
from sightloop.registry.values import ModelName, ModelVersion

MODEL_SIGNED = EventKind("model.signed")


class SignVersion(msgspec.Struct, frozen=True, kw_only=True):
    """Let the model's owner vouch for this version."""

    model: str
    number: int


def sign_version(
    workspace: Workspace, call: Call, request: SignVersion, *, lifetimes: Lifetimes | None = None
) -> ModelVersion:
    """The owner vouches for the version from now on; signing it again changes nothing.

    The first version of a model makes the owner's key. A signature of which half the lifetime has
    passed is renewed.

    Raises:
        NotAllowed: the actor may not sign.
        NotFound: there is no such version.
        NotReleasable: its latest verdict is not a pass.
        VersionRejected: a person rejected it.
        VersionRevoked: its owner took it back.
        OwnerKeyMissing: the private key is not on this host.
        OwnerKeyForeign: the key file holds another key than the model's.
        UpdateMetadataDamaged: what the owner signed before is not what is there now.
    """
    require(call.actor, Permission.SIGN)
    with workspace.db.read() as tx:
        version = store.get_version(tx, request.model, request.number)
        verdict = store.latest_verdict(tx, request.model, request.number)
        approval = store.find_approval(tx, request.model, request.number)
    require_releasable(version, verdict, approval, action="be signed")
    assert verdict is not None, "require_releasable refuses a version without a verdict"
    folder = MetadataFolder(update_metadata_folder(workspace))
    with folder.locked():
        signer = owner_signer(workspace, version.model)
        _vouch(workspace, folder, signer, version, lifetimes or Lifetimes())
    return _record(workspace, call, version, verdict=verdict.id, key_id=signer.public_key.keyid)


def sign_step(workspace: Workspace, step: Step, control: StepControl) -> Outcome:  # noqa: ARG001
    """Step handler of `sign_version`; inputs are the request's fields."""
    # Repeatable as a whole, so it needs no record of its own in the step's last transaction.
    request = msgspec.convert(step.inputs, SignVersion)
    version = sign_version(workspace, Call(step_actor(step.name)), request)
    return Outcome({"model": version.model, "number": version.number, "bundle": version.bundle})


def owner_signer(workspace: Workspace, model: ModelName) -> CryptoSigner:
    """The model's private key; made, and recorded with the model, when it has none yet.

    Raises:
        OwnerKeyMissing: the private key is not on this host.
        OwnerKeyForeign: the key file holds another key than the model's.
    """
    name = owner_key_name(model)
    path = str(key_path(workspace, name))
    with workspace.db.read() as tx:
        owner = store.owner_keys(tx).get(model)
    if owner is None:
        signer = ensure_signer(workspace, name)
        with workspace.db.write() as tx:
            store.set_owner_key(tx, model, public_half(signer))
        return signer
    known = find_trusted_signer(workspace, name, {owner.id}) or find_signer(workspace, name)
    if known is None:
        raise OwnerKeyMissing(model=model, key_id=owner.id, path=path)
    if known.public_key.keyid != owner.id:
        found = known.public_key.keyid
        raise OwnerKeyForeign(model=model, expected=owner.id, found=found, path=path)
    return known


def _vouch(
    workspace: Workspace,
    folder: MetadataFolder,
    signer: CryptoSigner,
    version: ModelVersion,
    lifetimes: Lifetimes,
) -> None:
    now_ms = workspace.clock.now_ms()
    role = owner_key_name(version.model)
    before = signed_before(folder, role, signer)
    path = target_path(version.model, version.bundle)
    known = {} if before is None else before.targets
    is_fresh = before is not None and not is_due(
        before, lifetime_days=lifetimes.owner_days, now_ms=now_ms
    )
    if path in known and is_fresh:
        return
    with workspace.db.read() as tx:
        vouched = [
            one
            for one in store.versions_of(tx, version.model)
            if one.revoked_at_ms is None and (one.signed_at_ms or one.number == version.number)
        ]
        fields = owner_fields(tx, vouched=vouched, revoked=[])
    # Earlier versions stay targets: rolling back must need no metadata that has been withdrawn.
    targets = Targets(
        version=1 if before is None else before.version + 1,
        expires=expiry(now_ms, lifetimes.owner_days),
        targets={**known, path: _target_of(workspace, version, path)},
        # What was revoked stays so with every later signature.
        unrecognized_fields=_revoked_before(before) | fields,
    )
    metadata = Metadata(targets)
    metadata.sign(signer)
    folder.write(role, metadata)


def _revoked_before(before: Targets | None) -> dict[str, Any]:
    said = {} if before is None else before.unrecognized_fields
    return {name: value for name, value in said.items() if name == REVOKED_FIELD}


def signed_before(folder: MetadataFolder, role: str, signer: CryptoSigner) -> Targets | None:
    """What the role's key signed last; None when that was nothing.

    Raises:
        UpdateMetadataDamaged: the newest file is not signed by this key.
    """
    metadata = folder.load_newest(role, Targets)
    if metadata is None:
        return None
    key_id = signer.public_key.keyid
    # The folder is the server's, the signature is the key's: sign nothing on its word alone.
    try:
        signer.public_key.verify_signature(metadata.signatures[key_id], metadata.signed_bytes)
    except (KeyError, UnverifiedSignatureError) as error:
        raise UpdateMetadataDamaged(
            path=str(folder.path_of(role, metadata.signed.version)),
            detail=f"it is not signed by the key {key_id} of {role}",
        ) from error
    return metadata.signed


def _target_of(workspace: Workspace, version: ModelVersion, path: str) -> TargetFile:
    return TargetFile(
        length=workspace.blobs.size_bytes(version.bundle),
        hashes={"sha256": version.bundle.removeprefix("sha256:")},
        path=path,
        unrecognized_fields={"custom": {"number": version.number}},
    )


def _record(
    workspace: Workspace, call: Call, version: ModelVersion, *, verdict: str, key_id: str
) -> ModelVersion:
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        if store.mark_signed(tx, version, now_ms=now_ms):
            tell(
                tx,
                MODEL_SIGNED,
                version.name,
                by=call.actor,
                at_ms=now_ms,
                data={
                    "model": version.model,
                    "number": version.number,
                    "bundle": version.bundle,
                    "verdict": verdict,
                    "key": key_id,
                },
            )
        return store.get_version(tx, version.model, version.number)
