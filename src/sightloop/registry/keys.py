"""Private keys of this workspace: ECDSA P-256, one PEM file each, readable by their owner only.

`owner-MODEL` vouches for a model's versions and belongs to whoever owns the model; `root`,
`targets`, `snapshot`, `timestamp` and `assignments` belong to the update repository. All may lie in
one folder, and then a thief of that folder can do everything: `sightloop doctor` says so from
`key_facts`. Moving `root.pem`, `targets.pem` and `owner-*.pem` to another host is how the
protection is turned on: `targets` says whose key counts for a model, so its thief could name his.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner, SSlibKey  # type: ignore[attr-defined]

from sightloop.kernel.files import sync_folder, write_atomic
from sightloop.kernel.workspace import Workspace
from sightloop.registry.errors import KeyUnreadable
from sightloop.registry.values import ModelName, PublicKey

CURVE = "secp256r1"
SCHEME = "ecdsa-sha2-nistp256"


class KeyFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a private key lies on this host."""

    name: str
    is_here: bool
    key_id: str | None
    """None when the key is elsewhere."""
    path: str


def owner_key_name(model: ModelName) -> str:
    """The name of the key that vouches for the model; also its role in the update metadata."""
    return f"owner-{model}"


def key_path(workspace: Workspace, name: str) -> Path:
    """Where the private key of that name is, or would be."""
    return workspace.state / "keys" / f"{name}.pem"


def find_signer(workspace: Workspace, name: str) -> CryptoSigner | None:
    """The private key of that name, or None when it is not on this host.

    Raises:
        KeyUnreadable: the file is something else.
    """
    return _signer_in(key_path(workspace, name))


def find_trusted_signer(
    workspace: Workspace, name: str, key_ids: Collection[str]
) -> CryptoSigner | None:
    """The private key of that name, or the one about to replace it, whichever has such an id.

    While a key is being rotated both lie here; which of them counts, the metadata says.

    Raises:
        KeyUnreadable: a file is something else.
    """
    found = (_signer_in(path) for path in (key_path(workspace, name), _next_path(workspace, name)))
    return next((one for one in found if one and one.public_key.keyid in key_ids), None)


def ensure_next_signer(workspace: Workspace, name: str) -> CryptoSigner:
    """The key that shall replace the one of that name; made now if none was begun.

    Raises:
        KeyUnreadable: the file is something else.
    """
    path = _next_path(workspace, name)
    known = _signer_in(path)
    if known is not None:
        return known
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    signer = CryptoSigner.generate_ecdsa()
    write_atomic(path, signer.private_bytes, mode=0o600)
    return signer


def finish_replacing(workspace: Workspace, name: str) -> None:
    """The next key takes the place of the one of that name, whose private half is gone then."""
    path = _next_path(workspace, name)
    if path.exists():
        path.replace(key_path(workspace, name))
        sync_folder(path.parent)


def _next_path(workspace: Workspace, name: str) -> Path:
    return key_path(workspace, f"{name}.next")


def _signer_in(path: Path) -> CryptoSigner | None:
    try:
        private_key = load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise KeyUnreadable(path=str(path), detail=str(error)) from error
    if not isinstance(private_key, EllipticCurvePrivateKey) or private_key.curve.name != CURVE:
        raise KeyUnreadable(path=str(path), detail="it is a key of another kind")
    return CryptoSigner(private_key)


def ensure_signer(workspace: Workspace, name: str) -> CryptoSigner:
    """The private key of that name, made now if it is not there.

    Callers hold the lock of the update metadata, so that two processes do not make two keys.
    """
    known = find_signer(workspace, name)
    if known is not None:
        return known
    path = key_path(workspace, name)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    signer = CryptoSigner.generate_ecdsa()
    write_atomic(path, signer.private_bytes, mode=0o600)
    return signer


def public_half(signer: CryptoSigner) -> PublicKey:
    """What may be known of a private key."""
    return PublicKey(signer.public_key.keyid, signer.public_key.keyval["public"])


def verifying_key(key: PublicKey) -> SSlibKey:
    """The public key in the form that TUF's metadata holds and verifies with."""
    return SSlibKey(key.id, "ecdsa", SCHEME, {"public": key.pem})


def key_facts(workspace: Workspace, names: Iterable[str]) -> list[KeyFacts]:
    """Where each of these private keys is, for `sightloop doctor` and the pages."""
    found = {name: find_signer(workspace, name) for name in names}
    return [
        KeyFacts(
            name=name,
            is_here=signer is not None,
            key_id=None if signer is None else signer.public_key.keyid,
            path=str(key_path(workspace, name)),
        )
        for name, signer in found.items()
    ]
