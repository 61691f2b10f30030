"""The tables of devices, slots, streams and check-ins.

A check-in touches one row of `device_reports`, whatever the device says; the other tables change
only when something does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Select,
    Table,
    Text,
    bindparam,
    case,
    exists,
    func,
    insert,
    select,
    tuple_,
    update,
)

from sightloop.contracts.assignment import SignedAssignment
from sightloop.contracts.check_in import CheckIn, StreamPolicy
from sightloop.fleet.health import Member
from sightloop.fleet.removed_store import removed_names
from sightloop.fleet.values import (
    Device,
    DeviceId,
    Place,
    Report,
    RingCount,
    Slot,
    Stream,
    Wanted,
)
from sightloop.kernel.database import Tx, metadata
from sightloop.kernel.digests import Digest
from sightloop.kernel.errors import NotFound

_devices = Table(
    "devices",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("ring", Text, nullable=False),
    Column("site", Text, nullable=False),
    Column("device_class", Text, nullable=False),
    Column("agent_version", Text, nullable=False),
    Column("capabilities", Text, nullable=False),
    Column("enrolled_at_ms", BigInteger, nullable=False),
    Index("devices_by_place", "site", "ring", "name"),
    Index("devices_by_ring", "ring", "id"),
)
_slots = Table(
    "device_slots",
    metadata,
    Column("device", ForeignKey("devices.id"), nullable=False),
    Column("slot", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("counter", Integer, nullable=False),
    Column("number", Integer),
    Column("bundle", Text),
    Column("payload", LargeBinary),
    Column("key_id", Text),
    Column("signature", Text),
    PrimaryKeyConstraint("device", "slot"),
    Index("device_slots_by_model", "model", "device"),
)
_streams = Table(
    "device_streams",
    metadata,
    Column("device", ForeignKey("devices.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("slot", Text, nullable=False),
    Column("stratum", Text, nullable=False),
    Column("policy", Text, nullable=False),
    PrimaryKeyConstraint("device", "name"),
)
_reports = Table(
    "device_reports",
    metadata,
    Column("device", ForeignKey("devices.id"), primary_key=True),
    Column("ring", Text, nullable=False),
    Column("seen_at_ms", BigInteger, nullable=False),
    Column("is_failing", Boolean, nullable=False),
    Column("check_in", LargeBinary, nullable=False),
    # Rings are summed, and silent devices found, in this index alone: a row is a kilobyte of JSON.
    Index("device_reports_by_ring", "ring", "seen_at_ms", "is_failing", "device"),
)
_enrolments = Table(
    "enrolments",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text),
    Column("ring", Text, nullable=False),
    Column("site", Text, nullable=False),
    Column("slots", Text, nullable=False),
    Column("device", Text),
    Column("created_at_ms", BigInteger, nullable=False),
)


class Enrolment(msgspec.Struct, frozen=True, kw_only=True):
    """A place prepared for a device that has yet to come."""

    id: str
    name: str | None
    """None lets the device name itself."""
    ring: str
    site: str
    slots: dict[str, str]
    """Model by slot."""
    device: DeviceId | None = None
    created_at_ms: int


class SilentDevice(NamedTuple):
    """A device that has not come by for long."""

    id: str
    name: str
    seen_at_ms: int


def add_enrolment(tx: Tx, enrolment: Enrolment) -> None:
    """Prepare the place."""
    values = msgspec.structs.asdict(enrolment)
    tx.execute(insert(_enrolments).values(values | {"slots": _json(enrolment.slots)}))


def get_enrolment(tx: Tx, enrolment: str) -> Enrolment:
    """The place that was prepared under this id.

    Raises:
        NotFound: none was.
    """
    row = tx.execute(select(_enrolments).where(_enrolments.c.id == enrolment)).mappings().first()
    if row is None:
        raise NotFound(
            what="enrolment", name=enrolment, hint="make one: `sightloop devices enroll`"
        )
    return Enrolment(**{**row, "slots": msgspec.json.decode(row["slots"])})


def close_enrolment(tx: Tx, enrolment: str, device: DeviceId) -> None:
    """Note who came."""
    tx.execute(update(_enrolments).where(_enrolments.c.id == enrolment).values(device=device))


def put_device(tx: Tx, device: Device) -> None:
    """Record the device as it is now."""
    values = msgspec.structs.asdict(device) | {"capabilities": _json(device.capabilities)}
    if tx.execute(update(_devices).where(_devices.c.id == device.id).values(values)).rowcount == 0:
        tx.execute(insert(_devices).values(values))


def delete_device(tx: Tx, device: str) -> None:
    """Forget the device, its slots, streams and latest report."""
    for table in (_reports, _streams, _slots):
        tx.execute(table.delete().where(table.c.device == device))
    tx.execute(_devices.delete().where(_devices.c.id == device))


def find_device(tx: Tx, name_or_id: str) -> Device | None:
    """The device of that id, or of that name."""
    wanted = (_devices.c.id == name_or_id) | (_devices.c.name == name_or_id)
    row = tx.execute(select(_devices).where(wanted)).mappings().first()
    return None if row is None else _device_of(row)


def get_device(tx: Tx, name_or_id: str) -> Device:
    """The device of that id, or of that name.

    Raises:
        NotFound: there is none.
    """
    device = find_device(tx, name_or_id)
    if device is None:
        raise NotFound(what="device", name=name_or_id, hint="see `sightloop devices list`")
    return device


def all_devices(tx: Tx) -> list[Device]:
    """Every device, by name."""
    rows = tx.execute(select(_devices).order_by(_devices.c.name)).mappings()
    return [_device_of(row) for row in rows]


def add_slots(tx: Tx, device: DeviceId, models: dict[str, str]) -> None:
    """Give the device these slots; one it has already keeps its counter and assignment."""
    known = {slot.slot for slot in slots_of(tx, device)}
    for name in sorted(models.keys() - known):
        slot = Slot(device=device, slot=name, model=models[name])
        tx.execute(insert(_slots).values(_slot_row(slot)))


def slots_of(tx: Tx, device: str) -> list[Slot]:
    """The device's slots, by name."""
    query = select(_slots).where(_slots.c.device == device).order_by(_slots.c.slot)
    return [_slot_of(row) for row in tx.execute(query).mappings()]


def slots_of_model(tx: Tx, model: str) -> list[Slot]:
    """Every slot that runs the model."""
    query = select(_slots).where(_slots.c.model == model).order_by(_slots.c.device, _slots.c.slot)
    return [_slot_of(row) for row in tx.execute(query).mappings()]


def slots_by_device(tx: Tx, devices: Collection[str] | None = None) -> dict[DeviceId, list[Slot]]:
    """The slots of these devices (None: of all), by name."""
    query = select(_slots).order_by(_slots.c.slot)
    if devices is not None:
        query = query.where(_slots.c.device.in_(devices))
    found: dict[DeviceId, list[Slot]] = {}
    for row in tx.execute(query).mappings():
        found.setdefault(DeviceId(row["device"]), []).append(_slot_of(row))
    return found


def count_assigned(tx: Tx, model: str) -> dict[int, int]:
    """By version number of the model, how many devices are to run it; only those that some are."""
    query = (
        select(_slots.c.number, func.count(_slots.c.device.distinct()))
        .where((_slots.c.model == model) & _slots.c.number.is_not(None))
        .group_by(_slots.c.number)
    )
    return {int(number): int(count) for number, count in tx.execute(query)}


def move_slots(tx: Tx, slots: Sequence[tuple[Slot, int]]) -> bool:
    """Store new assignments; False when a slot no longer has the counter it is paired with.

    After False the caller lets the transaction fail, or does not mind that some were not moved.
    """
    if not slots:
        return True
    unchanged = (
        (_slots.c.device == bindparam("of_device"))
        & (_slots.c.slot == bindparam("of_slot"))
        & (_slots.c.counter == bindparam("expected"))
    )
    rows = [
        _slot_row(slot) | {"of_device": slot.device, "of_slot": slot.slot, "expected": counter}
        for slot, counter in slots
    ]
    return tx.execute(update(_slots).where(unchanged), rows).rowcount == len(rows)


def put_report(tx: Tx, device: Device, report: Report) -> None:
    """Keep the latest check-in in the place of the one before."""
    put_reports(tx, [(device, report)])


def put_reports(tx: Tx, latest: Sequence[tuple[Device, Report]]) -> None:
    """Keep the latest check-in of each of these devices, at most some thousand at a time.

    Devices that were removed meanwhile are left out.
    """
    query = select(_devices.c.id, _reports.c.device).outerjoin(_reports)
    asked = query.where(_devices.c.id.in_([device.id for device, _ in latest]))
    came_before = {id_: before is not None for id_, before in tx.execute(asked)}
    rows = [_report_row(device, report) for device, report in latest if device.id in came_before]
    if first := [row for row in rows if not came_before[str(row["device"])]]:
        tx.execute(insert(_reports), first)
    if again := [
        row | {"this_device": row["device"]} for row in rows if came_before[str(row["device"])]
    ]:
        mine = _reports.c.device == bindparam("this_device")
        tx.execute(update(_reports).where(mine), again)


def _report_row(device: Device, report: Report) -> dict[str, object]:
    return {
        "device": device.id,
        "ring": device.ring,
        "seen_at_ms": report.seen_at_ms,
        "is_failing": report.is_failing,
        "check_in": msgspec.json.encode(report.check_in),
    }


def report_of(tx: Tx, device: str) -> Report | None:
    """The latest check-in; None when the device has not come by yet."""
    row = tx.execute(select(_reports).where(_reports.c.device == device)).mappings().first()
    return None if row is None else _report_of(row)


def reports(tx: Tx, devices: Collection[str] | None = None) -> dict[DeviceId, Report]:
    """The latest check-in of those of these devices that have come by; None takes every device."""
    query = select(_reports)
    if devices is not None:
        query = query.where(_reports.c.device.in_(devices))
    return {DeviceId(row["device"]): _report_of(row) for row in tx.execute(query).mappings()}


def device_classes(tx: Tx) -> dict[DeviceId, str]:
    """What kind of machine each device enrolled as."""
    rows = tx.execute(select(_devices.c.id, _devices.c.device_class))
    return {DeviceId(device): device_class for device, device_class in rows}


def silent_between(tx: Tx, from_ms: int, to_ms: int) -> list[SilentDevice]:
    """Devices that came by last between these times."""
    seen = _reports.c.seen_at_ms
    query = (
        select(_devices.c.id, _devices.c.name, seen)
        .join(_reports, _reports.c.device == _devices.c.id)
        .where((seen >= from_ms) & (seen < to_ms))
        .order_by(seen, _devices.c.id)
    )
    return [SilentDevice(*row) for row in tx.execute(query)]


def members_of(tx: Tx, model: str, devices: Collection[str] | None = None) -> list[Member]:
    """Every slot that runs the model (on these devices), with what its device said last."""
    query = (
        select(_slots, _devices.c.ring, _reports.c.seen_at_ms, _reports.c.check_in)
        .join(_devices, _devices.c.id == _slots.c.device)
        .outerjoin(_reports, _reports.c.device == _slots.c.device)
        .where(_slots.c.model == model)
        .order_by(_slots.c.device, _slots.c.slot)
    )
    if devices is not None:
        query = query.where(_slots.c.device.in_(devices))
    return [_member_of(row) for row in tx.execute(query).mappings()]


def page_devices(
    tx: Tx, wanted: Wanted, *, after: Place | None, silent_before_ms: int, limit: int
) -> list[Device]:
    """Devices by site, ring and name, from the one after `after` on."""
    query = select(_devices).where(*_conditions(wanted, silent_before_ms=silent_before_ms))
    place = (_devices.c.site, _devices.c.ring, _devices.c.name)
    if after is not None:
        query = query.where(tuple_(*place) > tuple_(after.site, after.ring, after.name))
    rows = tx.execute(query.order_by(*place).limit(limit)).mappings()
    return [_device_of(row) for row in rows]


def count_rings(tx: Tx, *, silent_before_ms: int) -> list[RingCount]:
    """How many devices each ring has and how many of them are well, by ring."""
    enrolled = select(_devices.c.ring, func.count()).group_by(_devices.c.ring)
    column = _reports.c
    spoken = select(
        column.ring,
        func.count(),
        func.coalesce(func.sum(case((column.seen_at_ms < silent_before_ms, 1), else_=0)), 0),
        func.coalesce(func.sum(case((column.is_failing, 1), else_=0)), 0),
    ).group_by(column.ring)
    heard = {ring: counts for ring, *counts in tx.execute(spoken)}
    rings = []
    for ring, n_devices in tx.execute(enrolled.order_by(_devices.c.ring)):
        n_heard, n_silent, n_failing = heard.get(ring, (0, 0, 0))
        rings.append(
            RingCount(
                ring=ring,
                n_devices=n_devices,
                n_online=n_heard - n_silent,
                n_silent=n_silent,
                n_new=max(n_devices - n_heard, 0),
                n_failing=n_failing,
            )
        )
    return rings


def some_sites(tx: Tx, *, limit: int) -> list[str]:
    """The first sites by name, found one by one in the index and not by reading every device."""
    found: list[str] = []
    while len(found) < limit:
        query = select(func.min(_devices.c.site)).where(_devices.c.site > (found or [""])[-1])
        site = tx.scalar(query)
        if site is None:
            break
        found.append(site)
    return found


def names_of(tx: Tx, devices: Collection[str]) -> dict[str, str]:
    """The names of those of these devices that are known or were removed, by id."""
    query = select(_devices.c.id, _devices.c.name).where(_devices.c.id.in_(devices))
    known = {row.id: row.name for row in tx.execute(query)}
    return removed_names(tx, devices) | known


def count_slots(tx: Tx, model: str, rings: Collection[str]) -> dict[str, int]:
    """How many slots each of these rings has for the model; half a microsecond per device."""
    query = (
        select(_devices.c.ring, func.count())
        .join(_slots, _slots.c.device == _devices.c.id)
        .where((_slots.c.model == model) & _devices.c.ring.in_(rings))
        .group_by(_devices.c.ring)
    )
    return {ring: int(n) for ring, n in tx.execute(query)}


def failing_devices() -> Select[tuple[str]]:
    """A query for the ids of devices with a slot that failed, to be used inside another."""
    return select(_reports.c.device).where(_reports.c.is_failing)


def put_stream(tx: Tx, stream: Stream) -> None:
    """Record the stream as it is now."""
    values = msgspec.structs.asdict(stream) | {"policy": _json(stream.policy)}
    mine = (_streams.c.device == stream.device) & (_streams.c.name == stream.name)
    if tx.execute(update(_streams).where(mine).values(values)).rowcount == 0:
        tx.execute(insert(_streams).values(values))


def streams_of(tx: Tx, device: str) -> list[Stream]:
    """The device's streams, by name; one it no longer declares keeps its policy and stays."""
    query = select(_streams).where(_streams.c.device == device).order_by(_streams.c.name)
    return [_stream_of(row) for row in tx.execute(query).mappings()]


def streams_by_device(tx: Tx) -> dict[DeviceId, list[Stream]]:
    """Every device's streams, by name."""
    found: dict[DeviceId, list[Stream]] = {}
    for row in tx.execute(select(_streams).order_by(_streams.c.name)).mappings():
        found.setdefault(DeviceId(row["device"]), []).append(_stream_of(row))
    return found


def rings_of(tx: Tx, model: str) -> set[str]:
    """The rings in which a slot runs the model."""
    query = select(_devices.c.ring).join(_slots, _slots.c.device == _devices.c.id)
    return set(tx.scalars(query.where(_slots.c.model == model).distinct()))


def _conditions(wanted: Wanted, *, silent_before_ms: int) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.site is not None:
        found.append(_devices.c.site == wanted.site)
    if wanted.ring is not None:
        found.append(_devices.c.ring == wanted.ring)
    if wanted.model is not None:
        # Asked of each device in turn: a page is full soon, and a list of all would be made first.
        mine = (_slots.c.device == _devices.c.id) & (_slots.c.model == wanted.model)
        found.append(exists().where(mine))
    spoken = select(_reports.c.device)
    silent = spoken.where(_reports.c.seen_at_ms < silent_before_ms)
    match wanted.state:
        case "online":
            found.append(_devices.c.id.not_in(silent))
            found.append(exists().where(_reports.c.device == _devices.c.id))
        case "silent":
            found.append(_devices.c.id.in_(silent))
        case "new":
            found.append(_devices.c.id.not_in(spoken))
        case "failing":
            found.append(_devices.c.id.in_(failing_devices()))
        case None:
            pass
    return found


def _member_of(row: Any) -> Member:  # noqa: ANN401 - a SQLAlchemy row mapping
    report = None if row["check_in"] is None else _report_of(row)
    return Member(
        device=DeviceId(row["device"]),
        slot=row["slot"],
        ring=row["ring"],
        counter=row["counter"],
        number=row["number"],
        bundle=row["bundle"],
        seen_at_ms=row["seen_at_ms"],
        boot="" if report is None else report.check_in.boot,
        report=None if report is None else report.of_slot(row["slot"]),
    )


def _device_of(row: Any) -> Device:  # noqa: ANN401 - a SQLAlchemy row mapping
    return Device(**{**row, "capabilities": msgspec.json.decode(row["capabilities"])})


def _report_of(row: Any) -> Report:  # noqa: ANN401 - a SQLAlchemy row mapping
    check_in = msgspec.json.decode(row["check_in"], type=CheckIn)
    return Report(seen_at_ms=row["seen_at_ms"], check_in=check_in)


def _stream_of(row: Any) -> Stream:  # noqa: ANN401 - a SQLAlchemy row mapping
    return Stream(**{**row, "policy": msgspec.json.decode(row["policy"], type=StreamPolicy)})


def _slot_row(slot: Slot) -> dict[str, object]:
    signed = slot.assignment
    return {
        "device": slot.device,
        "slot": slot.slot,
        "model": slot.model,
        "counter": slot.counter,
        "number": slot.number,
        "bundle": slot.bundle,
        "payload": None if signed is None else signed.payload,
        "key_id": None if signed is None else signed.key_id,
        "signature": None if signed is None else signed.signature,
    }


def _slot_of(row: Any) -> Slot:  # noqa: ANN401 - a SQLAlchemy row mapping
    signed = row["payload"] is not None
    return Slot(
        device=DeviceId(row["device"]),
        slot=row["slot"],
        model=row["model"],
        counter=row["counter"],
        number=row["number"],
        bundle=None if row["bundle"] is None else Digest(row["bundle"]),
        assignment=SignedAssignment(row["payload"], row["key_id"], row["signature"])
        if signed
        else None,
    )


def _json(value: Iterable[str] | dict[str, str] | StreamPolicy) -> str:
    return msgspec.json.encode(value, order="sorted").decode()
