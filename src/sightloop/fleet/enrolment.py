"""Enrolment: an admin prepares a place, a device takes it with a token that works once.

A token that works once cannot be made safe against a reply that got lost: the device then holds a
used token and no identity. It says so and waits for a person, who prepares the place again under
the same name; the device that never checked in is replaced, with its tokens.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from sightloop.contracts.check_in import EnrolReply, EnrolRequest
from sightloop.fleet import store
from sightloop.fleet.errors import DeviceNameTaken, NoSlots
from sightloop.fleet.store import Enrolment
from sightloop.fleet.update_repository import root_bytes
from sightloop.fleet.values import Device, DeviceId, parse_name
from sightloop.kernel import tokens
from sightloop.kernel.actors import ActorId, Permission, Role, require
from sightloop.kernel.database import Tx
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.workspace import Call, Workspace
from sightloop.registry.values import parse_model

ENROLMENT_CREATED = EventKind("enrolment.created")
DEVICE_ENROLLED = EventKind("device.enrolled")


class CreateEnrolment(msgspec.Struct, frozen=True, kw_only=True):
    """Prepare a place for a device."""

    name: str | None = None
    ring: str
    site: str = ""
    slots: dict[str, str]
    """Model by slot."""
    lifetime_s: Annotated[float, Meta(gt=0, le=90 * 86400)] = 7 * 86400.0


class EnrolmentToken(msgspec.Struct, frozen=True, kw_only=True):
    """The prepared place, and the token that is shown once and works once."""

    enrolment: str
    token: str
    expires_at_ms: int


def create_enrolment(workspace: Workspace, call: Call, request: CreateEnrolment) -> EnrolmentToken:
    """A device may enrol with the token until it is used or expires.

    Raises:
        BadFleetName: the name, ring, site or a slot cannot be called that.
        BadModelName: a slot's model cannot be called that.
        NoSlots: the device would have nothing to run.
        DeviceNameTaken: a device of that name is in use.
    """
    require(call.actor, Permission.ADMINISTER)
    _check(request)
    now_ms = workspace.clock.now_ms()
    enrolment = Enrolment(
        id=workspace.ids.new("enrolment"),
        name=request.name,
        ring=request.ring,
        site=request.site,
        slots=request.slots,
        created_at_ms=now_ms,
    )
    lifetime_ms = round(request.lifetime_s * 1000)
    with workspace.db.write() as tx:
        if request.name is not None:
            _require_free(tx, request.name)
        store.add_enrolment(tx, enrolment)
        token = tokens.issue(
            tx,
            actor=ActorId(enrolment.id),
            kind="enrolment",
            role=Role.ENROLMENT,
            now_ms=now_ms,
            uses=1,
            lifetime_ms=lifetime_ms,
        )
        data = {"enrolment": enrolment.id, "ring": enrolment.ring, "slots": enrolment.slots}
        tell(tx, ENROLMENT_CREATED, enrolment.id, by=call.actor, at_ms=now_ms, data=data)
    return EnrolmentToken(enrolment=enrolment.id, token=token, expires_at_ms=now_ms + lifetime_ms)


def enrol_device(
    workspace: Workspace, call: Call, request: EnrolRequest, *, token: str
) -> EnrolReply:
    """The device has an identity, a token of its own and the root of trust.

    Raises:
        Unauthenticated: the token was used before; two devices cannot take one place.
        BadFleetName: the device names itself what cannot be a name.
        DeviceNameTaken: a device of that name is in use.
        RepositoryMissing: there is no update repository to trust.
    """
    require(call.actor, Permission.ENROL)
    root = root_bytes(workspace)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        tokens.use_up(tx, token)
        place = store.get_enrolment(tx, call.actor.id)
        name = place.name or parse_name(request.name, what="device")
        orphan = _require_free(tx, name)
        device = Device(
            id=orphan or DeviceId(workspace.ids.new("dev")),
            name=name,
            ring=place.ring,
            site=place.site,
            device_class=request.device_class,
            agent_version=request.agent_version,
            capabilities=request.capabilities,
            enrolled_at_ms=now_ms,
        )
        store.put_device(tx, device)
        store.add_slots(tx, device.id, place.slots)
        store.close_enrolment(tx, place.id, device.id)
        own_token = _issue_device_token(tx, device.id, now_ms=now_ms)
        data = {"device": device.id, "name": name, "ring": device.ring, "enrolment": place.id}
        tell(tx, DEVICE_ENROLLED, device.id, by=call.actor, at_ms=now_ms, data=data)
    return EnrolReply(device=device.id, token=own_token, update_root=root)


def _check(request: CreateEnrolment) -> None:
    if not request.slots:
        raise NoSlots
    parse_name(request.ring, what="ring")
    for text, what in ((request.name, "device"), (request.site or None, "site")):
        if text is not None:
            parse_name(text, what=what)
    for slot, model in request.slots.items():
        parse_name(slot, what="slot")
        parse_model(model)


def _require_free(tx: Tx, name: str) -> DeviceId | None:
    """The id of a device that enrolled under this name and was never heard of again, if any."""
    known = store.find_device(tx, name)
    if known is None:
        return None
    if store.report_of(tx, known.id) is not None:
        raise DeviceNameTaken(name=name, device=known.id)
    return known.id


def _issue_device_token(tx: Tx, device: DeviceId, *, now_ms: int) -> str:
    tokens.revoke_all(tx, ActorId(device))
    return tokens.issue(tx, actor=ActorId(device), kind="device", role=Role.DEVICE, now_ms=now_ms)
