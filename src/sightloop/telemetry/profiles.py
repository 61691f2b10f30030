"""Profiles as they arrived: one row per window of a stream."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, func, insert, select

from sightloop.contracts.profile import Profile
from sightloop.contracts.telemetry import ProfileBody
from sightloop.kernel.database import Tx, metadata
from sightloop.kernel.digests import Digest
from sightloop.kernel.ids import derived_id
from sightloop.telemetry.envelopes import Numbered
from sightloop.telemetry.values import StoredProfile, StreamKey

_profiles = Table(
    "telemetry_profiles",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False, unique=True),
    Column("device", Text, nullable=False),
    Column("stream", Text, nullable=False),
    Column("bundle", Text, nullable=False),
    Column("stratum", Text, nullable=False),
    Column("started_at_ms", BigInteger, nullable=False),
    Column("ended_at_ms", BigInteger, nullable=False),
    Column("n_images", Integer, nullable=False),
    Column("profile", Text, nullable=False),
    Column("stored_at_ms", BigInteger, nullable=False),
    Index("telemetry_profiles_by_stream", "device", "stream", "started_at_ms"),
)


class HourlyTraffic(NamedTuple):
    """What a stream saw in one hour under one bundle."""

    camera: StreamKey
    bundle: Digest
    hour_ms: int
    n_images: int


def profiles_after(tx: Tx, number: int, *, limit: int = 1000) -> list[StoredProfile]:
    """Profiles in the order in which they became visible, from the first above `number`.

    A consumer that writes down the last number it handled, in the transaction of what it did about
    it, handles each exactly once: no profile ever becomes visible below a number already seen.
    """
    query = (
        select(_profiles)
        .where(_profiles.c.number > number)
        .order_by(_profiles.c.number)
        .limit(limit)
    )
    return [_profile_of(row) for row in tx.execute(query).mappings()]


def profiles_of(
    tx: Tx, camera: StreamKey, *, since_ms: int = 0, limit: int = 1000
) -> list[StoredProfile]:
    """The windows of one stream that started at or after `since_ms`, the latest first."""
    query = (
        select(_profiles)
        .where(_is_of(camera) & (_profiles.c.started_at_ms >= since_ms))
        .order_by(_profiles.c.started_at_ms.desc(), _profiles.c.number.desc())
        .limit(limit)
    )
    return [_profile_of(row) for row in tx.execute(query).mappings()]


def stratum_of(tx: Tx, camera: StreamKey, *, at_ms: int) -> str:
    """What the stream was pointed at then, by its profiles: `field=value`, or `""` if unknown.

    The last window that began by `at_ms` decides; before the first one, the first does.
    """
    windows = select(_profiles.c.stratum).where(_is_of(camera)).limit(1)
    began = _profiles.c.started_at_ms
    before = windows.where(began <= at_ms).order_by(began.desc(), _profiles.c.number.desc())
    after = windows.where(began > at_ms).order_by(began, _profiles.c.number)
    return tx.scalars(before).first() or tx.scalars(after).first() or ""


def traffic_since(tx: Tx, since_ms: int) -> list[HourlyTraffic]:
    """How many images every stream saw in every hour since, by the bundle it ran."""
    hour = _profiles.c.started_at_ms - _profiles.c.started_at_ms % 3_600_000
    key = (_profiles.c.device, _profiles.c.stream, _profiles.c.bundle, hour)
    query = (
        select(*key, func.sum(_profiles.c.n_images))
        .where(_profiles.c.started_at_ms >= since_ms)
        .group_by(*key)
        .order_by(*key)
    )
    return [
        HourlyTraffic(StreamKey(device, stream), Digest(bundle), int(hour_ms), int(n_images))
        for device, stream, bundle, hour_ms, n_images in tx.execute(query)
    ]


def add_profiles(tx: Tx, arrived: list[Numbered], *, now_ms: int) -> None:
    """Store the profiles among these envelopes, which are new."""
    rows = [
        _row_of(number, envelope.body.profile, envelope.sequence, now_ms)
        for number, envelope in arrived
        if isinstance(envelope.body, ProfileBody)
    ]
    if rows:
        tx.execute(insert(_profiles), rows)


def _row_of(number: int, profile: Profile, sequence: int, now_ms: int) -> dict[str, Any]:
    return {
        "number": number,
        "id": derived_id("profile", profile.device, str(sequence)),
        "device": profile.device,
        "stream": profile.stream,
        "bundle": profile.bundle,
        "stratum": profile.stratum,
        "started_at_ms": profile.started_at_ms,
        "ended_at_ms": profile.ended_at_ms,
        "n_images": profile.n_images,
        "profile": msgspec.json.encode(profile).decode(),
        "stored_at_ms": now_ms,
    }


def _profile_of(row: Any) -> StoredProfile:  # noqa: ANN401 - a SQLAlchemy row mapping
    return StoredProfile(
        id=row["id"],
        profile=msgspec.json.decode(row["profile"], type=Profile),
        number=row["number"],
    )


def _is_of(camera: StreamKey) -> Any:  # noqa: ANN401 - a SQL condition
    return (_profiles.c.device == camera.device) & (_profiles.c.stream == camera.stream)
