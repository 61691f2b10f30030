"""Kept images: what devices sent in for people to look at."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Float,
    Index,
    Table,
    Text,
    and_,
    func,
    insert,
    or_,
    select,
)

from sightloop.contracts.bundle import Detection
from sightloop.contracts.telemetry import KeptImageBody, Lane
from sightloop.kernel.database import Tx, metadata
from sightloop.kernel.digests import Digest
from sightloop.kernel.errors import NotFound
from sightloop.kernel.ids import derived_id
from sightloop.telemetry.envelopes import Numbered
from sightloop.telemetry.values import KeptImage, StreamKey

_kept = Table(
    "telemetry_kept_images",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False, unique=True),
    Column("device", Text, nullable=False),
    Column("stream", Text, nullable=False),
    Column("slot", Text, nullable=False),
    Column("bundle", Text, nullable=False),
    Column("image", Text, nullable=False),
    Column("group", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("inclusion_probability", Float, nullable=False),
    Column("uncertainty", Float, nullable=False),
    Column("descriptor", Text, nullable=False),
    Column("detections", Text, nullable=False),
    Column("captured_at_ms", BigInteger, nullable=False),
    Column("stored_at_ms", BigInteger, nullable=False),
    Index("telemetry_kept_by_stream", "device", "stream", "captured_at_ms"),
    Index("telemetry_kept_by_lane", "lane", "captured_at_ms"),
    Index("telemetry_kept_by_group", "group"),
    Index("telemetry_kept_by_image", "image"),
)

# Vectors are JSON inside their row: always read whole, never searched by the database.
_NESTED: dict[str, Any] = {"descriptor": list[float], "detections": list[Detection]}


class Audited(NamedTuple):
    """What must stay out of training, because an audited image is of it."""

    groups: set[str]
    images: set[Digest]


def find_kept(tx: Tx, kept: str) -> KeptImage:
    """The kept image of this id.

    Raises:
        NotFound: no device sent it.
    """
    row = tx.execute(select(_kept).where(_kept.c.id == kept)).mappings().first()
    if row is None:
        raise NotFound(what="kept image", name=kept)
    return _kept_of(row)


def kept_by_id(tx: Tx, kept: Collection[str]) -> dict[str, KeptImage]:
    """Those of these kept images that are known, by id; at most a few hundred at a time."""
    rows = tx.execute(select(_kept).where(_kept.c.id.in_(kept))).mappings()
    return {row["id"]: _kept_of(row) for row in rows}


def uncertainties_of(tx: Tx, kept: Collection[str]) -> dict[str, float]:
    """How unsure the model was of each of these kept images; at most a few thousand at a time."""
    query = select(_kept.c.id, _kept.c.uncertainty).where(_kept.c.id.in_(kept))
    return {identity: float(value) for identity, value in tx.execute(query)}


def list_kept(
    tx: Tx,
    *,
    lanes: Collection[Lane] | None = None,
    streams: Collection[StreamKey] | None = None,
    since_ms: int = 0,
    until_ms: int | None = None,
    bundle: Digest | None = None,
    limit: int = 1000,
) -> list[KeptImage]:
    """Kept images captured from `since_ms` to `until_ms`, the latest first; None takes any."""
    query = select(_kept).where(_kept.c.captured_at_ms >= since_ms)
    if until_ms is not None:
        query = query.where(_kept.c.captured_at_ms <= until_ms)
    if lanes is not None:
        query = query.where(_kept.c.lane.in_(lanes))
    if streams is not None:
        query = query.where(_from_streams(streams))
    if bundle is not None:
        query = query.where(_kept.c.bundle == bundle)
    query = query.order_by(_kept.c.captured_at_ms.desc(), _kept.c.number.desc()).limit(limit)
    return [_kept_of(row) for row in tx.execute(query).mappings()]


def count_kept(tx: Tx, *, since_ms: int = 0) -> dict[Lane, int]:
    """How many images each lane kept of those captured at or after `since_ms`."""
    query = (
        select(_kept.c.lane, func.count())
        .where(_kept.c.captured_at_ms >= since_ms)
        .group_by(_kept.c.lane)
        .order_by(_kept.c.lane)
    )
    return {lane: int(n) for lane, n in tx.execute(query)}


def audited_among(tx: Tx, kept: Collection[KeptImage]) -> Audited:
    """Which groups and images of these the audit lane has kept as well, from any stream.

    Ask for at most a few thousand images at a time.
    """
    audit = _kept.c.lane == "audit"
    groups = {image.group for image in kept} - {""}
    images = {image.image for image in kept}
    return Audited(
        set(tx.scalars(select(_kept.c.group).where(audit & _kept.c.group.in_(groups)))),
        set(tx.scalars(select(_kept.c.image).where(audit & _kept.c.image.in_(images)))),
    )


def add_kept(tx: Tx, arrived: list[Numbered], *, now_ms: int) -> list[KeptImage]:
    """Store the kept images among these envelopes, which are new; returns them."""
    added = [
        _kept_from(number, envelope.body, envelope.device, envelope.sequence, now_ms)
        for number, envelope in arrived
        if isinstance(envelope.body, KeptImageBody)
    ]
    if added:
        tx.execute(insert(_kept), [_row_of(kept) for kept in added])
    return added


def _kept_from(
    number: int, body: KeptImageBody, device: str, sequence: int, now_ms: int
) -> KeptImage:
    return KeptImage(
        id=derived_id("kept", device, str(sequence)),
        device=device,
        stored_at_ms=now_ms,
        number=number,
        **msgspec.structs.asdict(body),
    )


def _row_of(kept: KeptImage) -> dict[str, Any]:
    row = msgspec.structs.asdict(kept)
    for name in _NESTED:
        row[name] = msgspec.json.encode(row[name]).decode()
    return row


def _kept_of(row: Any) -> KeptImage:  # noqa: ANN401 - a SQLAlchemy row mapping
    values = dict(row)
    for name, kind in _NESTED.items():
        values[name] = msgspec.json.decode(values[name], type=kind)
    return KeptImage(**values)


def _from_streams(streams: Collection[StreamKey]) -> ColumnElement[bool]:
    each = [
        and_(_kept.c.device == camera.device, _kept.c.stream == camera.stream) for camera in streams
    ]
    return or_(False, *each)
