"""Images that devices uploaded: whole, readable, and known by their digest."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
from sqlalchemy import BigInteger, Column, Integer, Table, Text, insert, select

from sightloop.kernel.database import Tx, metadata
from sightloop.kernel.digests import Digest
from sightloop.kernel.errors import NotFound
from sightloop.telemetry.envelopes import take_numbers
from sightloop.telemetry.values import UploadedImage

_images = Table(
    "telemetry_images",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("width_px", Integer, nullable=False),
    Column("height_px", Integer, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("uploaded_at_ms", BigInteger, nullable=False),
)


def find_image(tx: Tx, digest: Digest) -> UploadedImage:
    """The facts of an uploaded image.

    Raises:
        NotFound: no device uploaded it.
    """
    row = tx.execute(select(_images).where(_images.c.digest == digest)).mappings().first()
    if row is None:
        raise NotFound(what="uploaded image", name=digest)
    return UploadedImage(**row)


def uploaded(tx: Tx, digests: Collection[Digest]) -> set[Digest]:
    """Those of the digests whose images arrived; ask for at most a few thousand at a time."""
    query = select(_images.c.digest).where(_images.c.digest.in_(digests))
    return {Digest(digest) for digest in tx.scalars(query)}


def record_image(tx: Tx, image: UploadedImage) -> None:
    """Note the image; one that is known stays as it is."""
    take_numbers(tx, 0)  # keeps out a second upload of the same bytes until this one is visible
    if not uploaded(tx, [image.digest]):
        tx.execute(insert(_images).values(msgspec.structs.asdict(image)))
