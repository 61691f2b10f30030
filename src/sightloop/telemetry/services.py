"""Taking in what devices send: batches of envelopes, and the bytes of kept images."""

from __future__ import annotations

from sightloop.contracts.telemetry import (
    Envelope,
    KeptImageBody,
    TelemetryBatch,
    TelemetryReply,
)
from sightloop.datasets.errors import ImageErased
from sightloop.datasets.tombstones import find_tombstones
from sightloop.inference.images import read_facts
from sightloop.kernel.actors import Actor, Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest, digest_of, parse_digest
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.workspace import Call, Workspace
from sightloop.telemetry.acceptance import check_batch
from sightloop.telemetry.envelopes import Numbered, remember, sort_envelopes, take_numbers
from sightloop.telemetry.errors import UploadDiffers, UploadTooLarge
from sightloop.telemetry.health import add_health
from sightloop.telemetry.images import record_image, uploaded
from sightloop.telemetry.kept_images import add_kept
from sightloop.telemetry.profiles import add_profiles
from sightloop.telemetry.swaps import add_swaps
from sightloop.telemetry.values import KeptImage, UploadedImage

IMAGES_KEPT = EventKind("telemetry.kept")
SEQUENCE_REUSED = EventKind("telemetry.sequence_reused")


def store_batch(workspace: Workspace, call: Call, request: TelemetryBatch) -> TelemetryReply:
    """Store every envelope of the batch that is not stored yet, and say which may be forgotten.

    An envelope is acknowledged when it is stored, now or before. A kept image whose bytes have not
    been uploaded is neither stored nor acknowledged; its digest is in `missing_blobs`, and the
    device sends both. An envelope whose identity is stored with other content is acknowledged and
    dropped, because the device would send it for ever; the event `telemetry.sequence_reused` says
    that its numbers began anew. Envelopes may come in any order and at any age.

    Raises:
        NotAllowed: the caller is no device.
        SentForAnother: an envelope names another device.
        BatchTooLarge, ImpossibleEnvelope: nothing of the batch is stored.
    """
    require(call.actor, Permission.ACT_AS_DEVICE)
    check_batch(request, sender=call.actor.id)
    with workspace.db.read() as tx:
        seen = sort_envelopes(tx, request.envelopes)
        missing = _missing_images(workspace, tx, seen.fresh)
    waiting = {envelope.sequence for envelope in seen.fresh if _image_of(envelope) in missing}
    complete = [envelope for envelope in request.envelopes if envelope.sequence not in waiting]
    # A batch that is only repeated costs nobody the write lock.
    if seen.contradicting or len(waiting) < len(seen.fresh):
        _store(workspace, call, complete)
    return TelemetryReply(
        stored=sorted({envelope.sequence for envelope in complete}),
        missing_blobs=sorted(missing),
    )


def store_upload(
    workspace: Workspace, call: Call, *, digest: Digest, content: bytes
) -> UploadedImage:
    """Keep the image under its digest; sending it again changes nothing.

    Raises:
        NotAllowed: the caller is no device.
        MalformedDigest: `digest` is not one.
        UploadTooLarge: more bytes than `max_request_bytes` of the workspace's server settings.
        UploadDiffers: the bytes have another digest.
        UnreadableImage: they are not a whole image.
        ImageErased: it was erased here for good.
    """
    require(call.actor, Permission.ACT_AS_DEVICE)
    limit_bytes = workspace.config.server.max_request_bytes
    if len(content) > limit_bytes:
        raise UploadTooLarge(digest=digest, size_bytes=len(content), limit_bytes=limit_bytes)
    if digest_of(content) != parse_digest(digest):
        raise UploadDiffers(announced=digest, received=digest_of(content))
    facts = read_facts(content, name=f"upload {digest}")
    with workspace.db.read() as tx:
        if tombstone := find_tombstones(tx, [digest]).get(digest):
            raise ImageErased(image=digest, told=tombstone.told)
    workspace.blobs.put(content)
    image = UploadedImage(
        digest=digest,
        width_px=facts.width_px,
        height_px=facts.height_px,
        media_type=facts.media_type,
        size_bytes=len(content),
        uploaded_at_ms=workspace.clock.now_ms(),
    )
    with workspace.db.write() as tx:
        record_image(tx, image)
    return image


def _store(workspace: Workspace, call: Call, envelopes: list[Envelope]) -> None:
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        numbers = take_numbers(tx, len(envelopes))
        fresh, _, contradicting = sort_envelopes(tx, envelopes)
        arrived = [Numbered(*pair) for pair in zip(numbers, fresh, strict=False)]
        remember(tx, arrived, now_ms=now_ms)
        add_profiles(tx, arrived, now_ms=now_ms)
        add_health(tx, arrived, now_ms=now_ms)
        add_swaps(tx, arrived, now_ms=now_ms)
        kept = add_kept(tx, _without_erased(tx, arrived), now_ms=now_ms)
        _tell_kept(tx, kept, by=call.actor, now_ms=now_ms)
        _tell_reused(tx, contradicting, by=call.actor, now_ms=now_ms)


def _missing_images(workspace: Workspace, tx: Tx, envelopes: list[Envelope]) -> set[Digest]:
    wanted = {image for envelope in envelopes if (image := _image_of(envelope)) is not None}
    wanted -= find_tombstones(tx, wanted).keys()  # nobody may send what was erased for good
    known = uploaded(tx, wanted)
    # Only an upload proves that the bytes are an image; a blob of that name may be anything.
    return {image for image in wanted if image not in known or not workspace.blobs.has(image)}


def _without_erased(tx: Tx, arrived: list[Numbered]) -> list[Numbered]:
    """What may be kept: an image that was erased is acknowledged, or it would come again."""
    images = {one.number: _image_of(one.envelope) for one in arrived}
    erased = find_tombstones(tx, {image for image in images.values() if image is not None})
    return [one for one in arrived if images[one.number] not in erased]


def _image_of(envelope: Envelope) -> Digest | None:
    return envelope.body.image if isinstance(envelope.body, KeptImageBody) else None


def _tell_kept(tx: Tx, kept: list[KeptImage], *, by: Actor, now_ms: int) -> None:
    if kept:
        data = {
            "device": by.id,
            "kept": [image.id for image in kept],
            "lanes": [image.lane for image in kept],
            "streams": [image.stream for image in kept],
        }
        tell(tx, IMAGES_KEPT, by.id, by=by, at_ms=now_ms, data=data)


def _tell_reused(tx: Tx, envelopes: list[Envelope], *, by: Actor, now_ms: int) -> None:
    if envelopes:
        data = {"device": by.id, "sequences": [envelope.sequence for envelope in envelopes]}
        tell(tx, SEQUENCE_REUSED, by.id, by=by, at_ms=now_ms, data=data)
