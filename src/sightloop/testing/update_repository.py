"""A TUF repository in memory, as a control plane publishes it: real keys, real signatures."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]
from tuf.api.metadata import (  # type: ignore[attr-defined]
    DelegatedRole,
    Delegations,
    Key,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from sightloop.contracts import gated_builds
from sightloop.contracts.agent_release import release_path
from sightloop.contracts.assignment import Assignment, SignedAssignment
from sightloop.contracts.decode import encode
from sightloop.contracts.gated_builds import GatedBuild, GatedBundle
from sightloop.contracts.revocation import Revocation, as_fields
from sightloop.kernel.digests import Digest

ROLES = ("root", "targets", "snapshot", "timestamp", "assignments")


class UpdateRepository:
    """Metadata files by name, signed anew with every change."""

    def __init__(self, models: list[str]) -> None:
        self._models = models
        self._signers = {
            name: CryptoSigner.generate_ecdsa() for name in [*ROLES, "agents", *models]
        }
        self._targets = {model: Targets(expires=_in(days=30)) for model in models}
        self._revoked: dict[str, list[Revocation]] = {model: [] for model in models}
        self._agents = Targets(expires=_in(days=30))
        self._version = 0
        self._root_version = 1
        self.expires = _in(days=30)
        """Of the timestamp; set it and `publish` to freeze the repository."""
        self.files: dict[str, bytes] = {}
        self.root = self._signed_root()
        self.files["1.root.json"] = self.root
        self.publish()

    def add(self, model: str, bundle: Digest, manifest: bytes) -> str:
        """Sign a version as the model's owner; the target's path."""
        path = f"bundles/{model}/{bundle.removeprefix('sha256:')}.json"
        self._targets[model].targets[path] = TargetFile.from_data(path, manifest)
        self.publish()
        return path

    def add_agent(self, release: Digest, manifest: bytes) -> str:
        """Sign a release of the agent; the target's path."""
        path = release_path(release)
        self._agents.targets[path] = TargetFile.from_data(path, manifest)
        self.publish()
        return path

    def withdraw(self, model: str, path: str) -> None:
        """Let the owner no longer stand by a version."""
        del self._targets[model].targets[path]
        self.publish()

    def revoke(self, model: str, bundle: Digest, *, reason: str = "it misses scratches") -> None:
        """Let the owner take a version back."""
        targets = self._targets[model]
        targets.targets.pop(f"bundles/{model}/{bundle.removeprefix('sha256:')}.json", None)
        self._revoked[model].append(
            Revocation(bundle=bundle, version=1, reason=reason, revoked_at_ms=1_700_000_000_000)
        )
        targets.unrecognized_fields.update(as_fields(self._revoked[model]))
        self.publish()

    def gate(self, model: str, bundle: Digest, builds: list[GatedBuild]) -> None:
        """Let the owner vouch for these builds of a version, and no others of the model."""
        listed = [GatedBundle(bundle=bundle, version=1, builds=builds)]
        self._targets[model].unrecognized_fields.update(gated_builds.as_fields(listed))
        self.publish()

    def rotate(self, role: str) -> None:
        """Give the role another key; for a role of the root, in a new root metadata."""
        before = self._signers[role]
        self._signers[role] = CryptoSigner.generate_ecdsa()
        if role in ("root", "targets", "snapshot", "timestamp"):
            old_root = before if role == "root" else self._signers["root"]
            self._root_version += 1
            self.root = self._signed_root(also_by=old_root)
            self.files[f"{self._root_version}.root.json"] = self.root
        self.publish()

    @property
    def version(self) -> int:
        """Of the timestamp published last."""
        return self._version

    def steal(self, role: str) -> CryptoSigner:
        """The private key of the role, as a thief would have it."""
        return self._signers[role]

    def sign(self, assignment: Assignment, *, by: str = "assignments") -> SignedAssignment:
        """The assignment under the signature of that role's key."""
        payload = encode(assignment)
        signature = self._signers[by].sign(payload)
        return SignedAssignment(payload, signature.keyid, signature.signature)

    def publish(self) -> None:
        """Write every role anew, one version up."""
        self._version += 1
        snapshot = Snapshot(version=self._version, expires=_in(days=30))
        top = Targets(version=self._version, expires=_in(days=30), delegations=self._delegations())
        roles = {"targets": top} | {
            f"owner-{model}": targets for model, targets in self._targets.items()
        }
        # The role `assignments` carries no targets: its key signs assignments, not files.
        roles["agents"] = self._agents
        roles["assignments"] = Targets(expires=_in(days=30))
        for name, targets in roles.items():
            targets.version = self._version
            signer = self._signers[name.removeprefix("owner-")]
            self.files[f"{self._version}.{name}.json"] = _signed(Metadata(targets), signer)
            snapshot.meta[f"{name}.json"] = MetaFile(version=self._version)
        self.files[f"{self._version}.snapshot.json"] = _signed(
            Metadata(snapshot), self._signers["snapshot"]
        )
        timestamp = Timestamp(
            version=self._version,
            expires=self.expires,
            snapshot_meta=MetaFile(version=self._version),
        )
        self.files["timestamp.json"] = _signed(Metadata(timestamp), self._signers["timestamp"])

    def _delegations(self) -> Delegations:
        named = [(f"owner-{model}", model, [f"bundles/{model}/*"]) for model in self._models]
        named.append(("agents", "agents", ["agents/*"]))
        named.append(("assignments", "assignments", ["assignments/*"]))
        keys: dict[str, Key] = {}
        roles = {}
        for role, signer, paths in named:
            key = self._signers[signer].public_key
            keys[key.keyid] = key
            roles[role] = DelegatedRole(role, [key.keyid], 1, terminating=True, paths=paths)
        return Delegations(keys, roles)

    def _signed_root(self, *, also_by: CryptoSigner | None = None) -> bytes:
        root = Root(self._root_version, expires=_in(days=365), consistent_snapshot=True)
        for role in ("root", "targets", "snapshot", "timestamp"):
            root.add_key(self._signers[role].public_key, role)
        metadata = Metadata(root)
        if also_by is not None:
            metadata.sign(also_by)
        metadata.sign(self._signers["root"], append=True)
        return metadata.to_bytes()


def _signed(metadata: Metadata[Any], signer: CryptoSigner) -> bytes:
    metadata.sign(signer)
    return metadata.to_bytes()


def _in(*, days: int) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)
