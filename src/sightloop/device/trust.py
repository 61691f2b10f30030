"""What the device believes: update metadata by TUF, assignments by the key it delegates to.

Metadata comes through `tuf.ngclient`, always starting from the root received at enrolment, so
that a damaged or exchanged cache can delay an update but never choose one. A model's manifest is
a TUF target, signed by the model's owner; an assignment can only choose among those.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from securesystemslib.exceptions import UnverifiedSignatureError, VerificationError

# These packages document the names below as theirs but do not list them in an `__all__`.
from securesystemslib.signer import Signature  # type: ignore[attr-defined]
from tuf.api.exceptions import DownloadError, DownloadHTTPError, RepositoryError
from tuf.api.metadata import Metadata, Targets  # type: ignore[attr-defined]
from tuf.ngclient import (  # type: ignore[attr-defined]
    FetcherInterface,
    Updater,
    UpdaterConfig,
)

from sightloop.contracts.assignment import Assignment, SignedAssignment
from sightloop.contracts.bundle import Bundle
from sightloop.contracts.decode import decode
from sightloop.device.errors import (
    ForeignKey,
    MetadataRefused,
    NotOffered,
    ServerAway,
    ServerRefused,
    TamperedFile,
)
from sightloop.device.home import Home
from sightloop.device.server_link import CHUNK_BYTES, ServerLink
from sightloop.kernel.digests import Digest, digest_of
from sightloop.kernel.files import sync_filesystem

ASSIGNMENTS_ROLE = "assignments"
_METADATA_PATH = "/tuf/metadata/"
_TARGETS_PATH = "/tuf/targets/"


class TrustedUpdates:
    """Fresh, verified update metadata. Made by `refresh`; ask it and throw it away."""

    def __init__(self, updater: Updater, link: ServerLink, targets: Targets) -> None:
        self._updater = updater
        self._link = link
        self._targets = targets

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
        with _tuf_errors(self._link):
            target = self._updater.get_targetinfo(path)
        if target is None:
            raise NotOffered(model=model, bundle=bundle)
        with self._link.open(_TARGETS_PATH + path) as (response, _):
            content = response.read(target.length + 1)
        try:
            target.verify_length_and_hashes(content)
        except RepositoryError as error:
            raise TamperedFile(file=path, expected=bundle, found=digest_of(content)) from error
        described = decode(content, Bundle, what=f"manifest of {bundle}")
        if digest_of(content) != bundle or described.model != model:
            raise NotOffered(model=model, bundle=bundle)
        return content


def refresh(home: Home, link: ServerLink) -> TrustedUpdates:
    """The newest update metadata, verified from the enrolled root down.

    Raises:
        MetadataRefused: it is expired, older than what was seen, or wrongly signed.
        ServerAway, ServerRefused: it could not be had.
    """
    with _tuf_errors(link):
        updater = Updater(
            metadata_dir=str(home.metadata),
            metadata_base_url=link.url(_METADATA_PATH),
            fetcher=_LinkFetcher(link),
            config=UpdaterConfig(max_delegations=1024),
            bootstrap=home.root_file.read_bytes(),
        )
        updater.refresh()
        # The client has just verified this very file, or replaced it by one that verifies.
        targets = Metadata[Targets].from_file(str(home.metadata / "targets.json")).signed
    # It does not sync: without this a power cut could forget which versions were seen.
    sync_filesystem(home.metadata)
    return TrustedUpdates(updater, link, targets)


class _LinkFetcher(FetcherInterface):
    """Lets the update client use the device's own connection and token."""

    def __init__(self, link: ServerLink) -> None:
        self._link = link

    def _fetch(self, url: str) -> Iterator[bytes]:
        path = url.removeprefix(self._link.url(""))
        try:
            with self._link.open(path) as (response, _):
                yield from response.stream(CHUNK_BYTES)
        except ServerRefused as error:
            raise DownloadHTTPError(str(error), error.status) from error
        except ServerAway as error:
            raise DownloadError(str(error)) from error


@contextmanager
def _tuf_errors(link: ServerLink) -> Iterator[None]:
    """Say in the device's words what the update client complains of."""
    url = link.url(_METADATA_PATH)
    try:
        yield
    except DownloadHTTPError as error:
        raise ServerRefused(url=url, status=error.status_code, reason=str(error)) from error
    except DownloadError as error:
        if isinstance(error.__cause__, ServerAway):
            raise error.__cause__ from error
        raise ServerAway(url=url, reason=str(error)) from error
    except RepositoryError as error:
        raise MetadataRefused(reason=str(error)) from error
