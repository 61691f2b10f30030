"""Assignments: made by the server, signed by its online key, stored until the next one.

The signature is made when a slot's bundle changes, not at each check-in, so that a check-in costs
no cryptography.
"""

from __future__ import annotations

import msgspec
from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]
from tuf.api.metadata import Targets  # type: ignore[attr-defined]

from sightloop.contracts.assignment import Assignment, SignedAssignment
from sightloop.contracts.decode import encode
from sightloop.fleet.errors import RepositoryKeyMissing
from sightloop.fleet.publication import ASSIGNMENTS
from sightloop.fleet.values import Slot
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Workspace
from sightloop.registry.keys import find_signer, find_trusted_signer, key_path
from sightloop.registry.update_metadata import MetadataFolder, update_metadata_folder


class AssignmentSigner:
    """The online key, held open for as many assignments as there are to make."""

    def __init__(self, signer: CryptoSigner) -> None:
        self._signer = signer

    @property
    def key_id(self) -> str:
        """What the metadata calls the key."""
        return str(self._signer.public_key.keyid)

    def assign(self, slot: Slot, *, number: int, bundle: Digest, now_ms: int) -> Slot:
        """The slot with its next assignment; storing it is the caller's part."""
        assignment = Assignment(
            device=slot.device,
            slot=slot.slot,
            model=slot.model,
            version=number,
            bundle=bundle,
            counter=slot.counter + 1,
            issued_at_ms=now_ms,
        )
        payload = encode(assignment)
        signature = self._signer.sign(payload)
        return msgspec.structs.replace(
            slot,
            counter=assignment.counter,
            number=number,
            bundle=bundle,
            assignment=SignedAssignment(payload, signature.keyid, signature.signature),
        )


def withdraw(slot: Slot) -> Slot:
    """The slot without an assignment; its counter stays, so that no old one becomes valid again."""
    return msgspec.structs.replace(slot, number=None, bundle=None, assignment=None)


def open_assignment_signer(workspace: Workspace) -> AssignmentSigner:
    """The online key of this workspace.

    Raises:
        RepositoryKeyMissing: it is not on this host.
    """
    targets = MetadataFolder(update_metadata_folder(workspace)).load_newest("targets", Targets)
    if targets is None:
        signer = find_signer(workspace, ASSIGNMENTS)
    else:
        # While the key is replaced there are two; the metadata says which one devices believe.
        trusted = targets.signed.get_delegated_role(ASSIGNMENTS).keyids
        signer = find_trusted_signer(workspace, ASSIGNMENTS, trusted)
    if signer is None:
        raise RepositoryKeyMissing(role=ASSIGNMENTS, path=str(key_path(workspace, ASSIGNMENTS)))
    return AssignmentSigner(signer)
