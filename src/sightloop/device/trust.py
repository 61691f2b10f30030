"""What the device believes: update metadata by TUF, assignments by the key it delegates to.

Metadata comes through `tuf.ngclient`, always starting from the root received at enrolment, so
that a damaged or exchanged cache can delay an update but never choose one. A model's manifest is
a TUF target, signed by the model's owner; an assignment can only choose among those.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any

from securesystemslib.exceptions import UnverifiedSignatureError, VerificationError

# These packages document the names below as theirs but do not list them in an `__all__`.
from securesystemslib.signer import Signature  # type: ignore[attr-defined]
from tuf.api.exceptions import (
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    RepositoryError,
)
from tuf.api.metadata import (  # type: ignore[attr-defined]
    Metadata,
    Snapshot,
    Targets,
    Timestamp,
)
from tuf.ngclient import (  # type: ignore[attr-defined]
    FetcherInterface,
    Updater,
    UpdaterConfig,
)

from sightloop.contracts.assignment import Assignment, SignedAssignment
from sightloop.contracts.bundle import Bundle
from sightloop.contracts.decode import decode
from sightloop.contracts.gated_builds import GatedBundle, gated_in
from sightloop.contracts.revocation import Revocation, revocations_in
from sightloop.device.errors import (
    ForeignKey,
    MetadataRefused,
    NotOffered,
    ServerAway,
    ServerRefused,
    TamperedFile,
)
from sightloop.device.home import Home
from sightloop.device.server_link import CHUNK_BYTES
from sightloop.device.update_source import UpdateSource
from sightloop.kernel.digests import Digest, digest_of
from sightloop.kernel.files import sync_filesystem

ASSIGNMENTS_ROLE = "assignments"
_METADATA_PATH = "/tuf/metadata/"
_TARGETS_PATH = "/tuf/targets/"


class TrustedUpdates:
    """Fresh, verified update metadata. Made by `refresh`; ask it and throw it away."""

    def __init__(
        self,
        updater: Updater,
        source: UpdateSource,
        targets: Targets,
        *,
        home: Home,
        newest: Timestamp,
    ) -> None:
        self._updater = updater
        self._source = source
        self._targets = targets
        self._metadata = home.metadata
        self.version = newest.version
        """Of the timestamp: grows with every publication."""
        self.ends_at_ms = round(newest.expires.timestamp() * 1000)
        """When the timestamp's signature ends."""

    def read_assignment(self, signed: SignedAssignment) -> Assignment:
        """The assignment in the signed bytes.

        Raises:
            ForeignKey: the signature is not one the metadata trusts with assignments.
            WrongFormat: the signed bytes are not an assignment this agent understands.
        """
        delegations = self._targets.delegations
        role = (delegations.roles or {}).get(ASSIGNMENTS_ROLE) if delegations else None
        if delegations is None or role is None:
            raise ForeignKey(key_id=signed.key_id, reason="no key is trusted with assignments")
        if role.threshold != 1 or signed.key_id not in role.keyids:
            raise ForeignKey(key_id=signed.key_id, reason="that key is not trusted with them")
        key = delegations.keys[signed.key_id]
        try:
            key.verify_signature(Signature(signed.key_id, signed.signature), signed.payload)
        except (UnverifiedSignatureError, VerificationError) as error:
            raise ForeignKey(key_id=signed.key_id, reason="it does not fit the content") from error
        return decode(signed.payload, Assignment, what="the assignment")

    def fetch_manifest(self, *, model: str, bundle: Digest) -> bytes:
        """The bytes of the bundle's manifest, which the model's owner signed.

        Raises:
            NotOffered: no such target, or it describes another model.
            TamperedFile: the server sent other bytes than those signed.
            MetadataRefused, ServerAway, ServerRefused: the owner's metadata could not be had.
        """
        path = f"bundles/{model}/{bundle.removeprefix('sha256:')}.json"
        content = self.fetch_target(path, model=model, bundle=bundle)
        described = decode(content, Bundle, what=f"manifest of {bundle}")
        if described.model != model:
            raise NotOffered(model=model, bundle=bundle)
        return content

    def fetch_target(self, path: str, *, model: str, bundle: Digest) -> bytes:
        """The bytes of a signed target that is called by its own digest.

        Raises:
            NotOffered: no such target, or other bytes stand behind its name.
            TamperedFile: the source sent other bytes than those signed.
            MetadataRefused, ServerAway, ServerRefused: the metadata could not be had.
        """
        with _tuf_errors(self._source):
            target = self._updater.get_targetinfo(path)
        if target is None:
            raise NotOffered(model=model, bundle=bundle)
        with self._source.open(_TARGETS_PATH + path) as (body, _):
            content = body.read(target.length + 1)
        try:
            target.verify_length_and_hashes(content)
        except RepositoryError as error:
            raise TamperedFile(file=path, expected=bundle, found=digest_of(content)) from error
        if digest_of(content) != bundle:
            raise NotOffered(model=model, bundle=bundle)
        return content

    def revocations(self, model: str) -> list[Revocation]:
        """What the model's owner took back; none of a model that nobody has signed yet.

        Raises:
            WrongFormat: the owner's list is not one this agent understands.
            MetadataRefused, ServerAway, ServerRefused: the owner's metadata could not be had.
        """
        return revocations_in(self._said_by_owner(model), what=f"the revocations of {model}")

    def gated(self, model: str) -> list[GatedBundle]:
        """Which builds the model's owner vouches for; what this agent does not understand is out.

        Raises:
            MetadataRefused, ServerAway, ServerRefused: the owner's metadata could not be had.
        """
        return gated_in(self._said_by_owner(model))

    def _said_by_owner(self, model: str) -> Mapping[str, Any]:
        """The further fields of the owner's metadata; none of a model that nobody signed yet."""
        role = f"owner-{model}"
        delegations = self._targets.delegations
        if delegations is None or role not in (delegations.roles or {}):
            return {}
        with _tuf_errors(self._source):
            # Whichever target is asked for: on the way the client verifies the owner's metadata.
            self._updater.get_targetinfo(f"bundles/{model}/any.json")
            signed = Metadata[Targets].from_file(str(self._metadata / f"{role}.json")).signed
        return signed.unrecognized_fields


def refresh(home: Home, source: UpdateSource, *, known_time_ms: int = 0) -> TrustedUpdates:
    """The newest update metadata, verified from the enrolled root down.

    Args:
        home: of the device; its metadata cache is brought up to date.
        source: where files come from.
        known_time_ms: expiry is judged as if it were at least this late; a device without a
            battery for its clock would otherwise believe anything old.

    Raises:
        MetadataRefused: it is expired, older than what was seen, or wrongly signed.
        ServerAway, ServerRefused: it could not be had.
    """
    with _tuf_errors(source):
        updater = Updater(
            metadata_dir=str(home.metadata),
            metadata_base_url=source.url(_METADATA_PATH),
            fetcher=_SourceFetcher(source),
            config=UpdaterConfig(max_delegations=1024),
            bootstrap=home.root_file.read_bytes(),
        )
        updater.refresh()
        # The client has just verified this very file, or replaced it by one that verifies.
        targets = Metadata[Targets].from_file(str(home.metadata / "targets.json")).signed
        newest = Metadata[Timestamp].from_file(str(home.metadata / "timestamp.json")).signed
        snapshot = Metadata[Snapshot].from_file(str(home.metadata / "snapshot.json")).signed
    # It does not sync: without this a power cut could forget which versions were seen.
    sync_filesystem(home.metadata)
    for signed in (newest, snapshot, targets):
        _require_fresh(signed, known_time_ms)
    return TrustedUpdates(updater, source, targets, home=home, newest=newest)


def _require_fresh(signed: Targets | Snapshot | Timestamp, known_time_ms: int) -> None:
    # The update client asked the clock already; this asks what the device knows better.
    if signed.is_expired(datetime.fromtimestamp(known_time_ms / 1000, tz=UTC)):
        raise MetadataRefused(
            reason=f"{signed.type}.json expired on {signed.expires:%Y-%m-%d}, "
            "before the latest moment this device has known"
        )


class _SourceFetcher(FetcherInterface):
    """Lets the update client use the device's own connection and token, or a folder."""

    def __init__(self, source: UpdateSource) -> None:
        self._source = source

    def _fetch(self, url: str) -> Generator[bytes, None, None]:
        path = url.removeprefix(self._source.url(""))
        try:
            with self._source.open(path) as (body, _):
                while chunk := body.read(CHUNK_BYTES):
                    yield chunk
        except ServerRefused as error:
            raise DownloadHTTPError(str(error), error.status) from error
        except ServerAway as error:
            raise DownloadError(str(error)) from error

    def download_bytes(self, url: str, max_length: int) -> bytes:
        """As the base's, but what is left of an endless answer is hung up on at once."""
        content = bytearray()
        with closing(self._fetch(url)) as pieces:
            for piece in pieces:
                content += piece
                if len(content) > max_length:
                    raise DownloadLengthMismatchError(max_length, len(content))
        return bytes(content)


@contextmanager
def _tuf_errors(source: UpdateSource) -> Iterator[None]:
    """Say in the device's words what the update client complains of."""
    url = source.url(_METADATA_PATH)
    try:
        yield
    except DownloadHTTPError as error:
        raise ServerRefused(url=url, status=error.status_code, reason=str(error)) from error
    except DownloadLengthMismatchError as error:
        raise MetadataRefused(reason=str(error)) from error
    except DownloadError as error:
        if isinstance(error.__cause__, ServerAway):
            raise error.__cause__ from error
        raise ServerAway(url=url, reason=str(error)) from error
    except RepositoryError as error:
        raise MetadataRefused(reason=str(error)) from error
