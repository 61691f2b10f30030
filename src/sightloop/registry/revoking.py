"""The owner takes a version back: a signed statement that it must run nowhere any more.

Not a rollback: a rollback assigns an older version, and the newer one stays good. A revoked
version is refused by every device that has seen the statement, whoever assigns it, and the
statement is never withdrawn. Publishing it and moving devices is the fleet's part.
"""

from __future__ import annotations

import msgspec
from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]
from tuf.api.metadata import Metadata, Targets  # type: ignore[attr-defined]

from sightloop.kernel.actors import Permission, require
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.workspace import Call, Workspace
from sightloop.registry import store
from sightloop.registry.approvals import MAX_COMMENT_CHARACTERS
from sightloop.registry.errors import BadComment, NotSignedYet
from sightloop.registry.keys import owner_key_name
from sightloop.registry.owner_fields import owner_fields
from sightloop.registry.signing import owner_signer, signed_before
from sightloop.registry.update_metadata import (
    Lifetimes,
    MetadataFolder,
    expiry,
    target_path,
    update_metadata_folder,
)
from sightloop.registry.values import ModelName, ModelVersion

MODEL_REVOKED = EventKind("model.revoked")


class RevokeVersion(msgspec.Struct, frozen=True, kw_only=True):
    """Which version must run nowhere any more, and why; devices show the reason."""

    model: str
    number: int
    reason: str


def sign_revocation(
    workspace: Workspace, call: Call, request: RevokeVersion, *, lifetimes: Lifetimes | None = None
) -> ModelVersion:
    """The owner's metadata says that the version is revoked; saying it again changes nothing.

    Raises:
        NotAllowed: the actor may not sign.
        NotFound: there is no such version.
        NotSignedYet: it was never given out.
        BadComment: the reason is empty or too long.
        OwnerKeyMissing, OwnerKeyForeign: the model's private key is not on this host.
        UpdateMetadataDamaged: what the owner signed before is not what is there now.
    """
    require(call.actor, Permission.SIGN)
    reason = request.reason.strip()
    if not 0 < len(reason) <= MAX_COMMENT_CHARACTERS:
        raise BadComment(n_characters=len(reason), most=MAX_COMMENT_CHARACTERS)
    with workspace.db.read() as tx:
        version = store.get_version(tx, request.model, request.number)
    if version.signed_at_ms is None:
        raise NotSignedYet(version=version.name)
    folder = MetadataFolder(update_metadata_folder(workspace))
    with folder.locked():
        signer = owner_signer(workspace, version.model)
        # First: from here on the server gives the version to nobody, whatever happens next.
        revoked = _record(workspace, call, version, reason=reason)
        write_owner_metadata(
            workspace, folder, version.model, [signer], lifetimes=lifetimes or Lifetimes()
        )
    return revoked


def write_owner_metadata(
    workspace: Workspace,
    folder: MetadataFolder,
    model: ModelName,
    signers: list[CryptoSigner],
    *,
    lifetimes: Lifetimes,
    anew: bool = False,
) -> None:
    """Sign the owner's list again without what was revoked, and with what else he says.

    Args:
        workspace: knows what was revoked, and which builds passed.
        folder: of the metadata, locked by the caller.
        model: whose owner signs.
        signers: first the key that signed before; each signs.
        lifetimes: until when the signature shall be good.
        anew: write also when nothing changes.

    Raises:
        UpdateMetadataDamaged: what the owner signed before is not what is there now.
    """
    role = owner_key_name(model)
    before = signed_before(folder, role, signers[0])
    with workspace.db.read() as tx:
        versions = store.versions_of(tx, model)
        revoked = [one for one in versions if one.revoked_at_ms is not None]
        vouched = [one for one in versions if one.signed_at_ms and one.revoked_at_ms is None]
        fields = owner_fields(tx, vouched=vouched, revoked=revoked)
    # The file is the server's: what stays listed is what the registry knows to be signed.
    good = {target_path(model, one.bundle) for one in vouched}
    known = {} if before is None else before.targets
    targets = {path: target for path, target in known.items() if path in good}
    if before is not None and not anew:
        same = (targets, fields) == (known, before.unrecognized_fields)
        if same:
            return
    metadata = Metadata(
        Targets(
            version=1 if before is None else before.version + 1,
            expires=expiry(workspace.clock.now_ms(), lifetimes.owner_days),
            targets=targets,
            unrecognized_fields=fields,
        )
    )
    for signer in signers:
        metadata.sign(signer, append=True)
    folder.write(role, metadata)


def _record(
    workspace: Workspace, call: Call, version: ModelVersion, *, reason: str
) -> ModelVersion:
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        if store.mark_revoked(tx, version, reason=reason, now_ms=now_ms):
            data = {
                "model": version.model,
                "number": version.number,
                "bundle": version.bundle,
                "reason": reason,
            }
            tell(tx, MODEL_REVOKED, version.name, by=call.actor, at_ms=now_ms, data=data)
        return store.get_version(tx, version.model, version.number)
