"""Check-ins: a device tells how it is, and learns what is wanted of it.

An uneventful check-in costs one read and one row written, no event and no cryptography; where many
devices come, the rows of a second are written together.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import msgspec

from sightloop.contracts.agent_release import SELF_UPDATE
from sightloop.contracts.check_in import CheckIn, CheckInReply, SlotReport
from sightloop.fleet import store
from sightloop.fleet.agent_releases import agent_assignment_of
from sightloop.fleet.assignments import open_assignment_signer
from sightloop.fleet.errors import SpeaksForAnother
from sightloop.fleet.report_buffer import ReportBuffer
from sightloop.fleet.streams import declared
from sightloop.fleet.update_repository import newest_update_version
from sightloop.fleet.values import Device, Report, Slot, Stream
from sightloop.kernel.actors import Actor, Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.workspace import Call, Workspace
from sightloop.registry import store as registry
from sightloop.registry.values import CHAMPION, ModelVersion

STREAM_DECLARED = EventKind("stream.declared")
SLOT_SWITCHED = EventKind("slot.switched")
SLOT_FAILED = EventKind("slot.failed")


class _Happened(NamedTuple):
    """Something that stands in the audit log."""

    kind: EventKind
    data: dict[str, object]


def check_in(
    workspace: Workspace, call: Call, request: CheckIn, *, buffer: ReportBuffer | None = None
) -> CheckInReply:
    """The report is kept; the reply holds every assignment and policy of the device.

    With a buffer, a report that tells nothing new is written a moment later, with others.

    A slot that was never assigned anything gets its model's champion, once that is signed.

    Raises:
        NotAllowed: the caller is no device.
        SpeaksForAnother: the token belongs to another device.
        NotFound: the device was removed.
        RepositoryKeyMissing: a slot needs its first assignment, and the online key is elsewhere.
    """
    require(call.actor, Permission.ACT_AS_DEVICE)
    if request.device != call.actor.id:
        raise SpeaksForAnother(actor=call.actor.id, device=request.device)
    now_ms = workspace.clock.now_ms()
    with workspace.db.read() as tx:
        device = store.get_device(tx, request.device)
        before = _report_before(tx, device, buffer)
        slots = store.slots_of(tx, device.id)
        streams = store.streams_of(tx, device.id)
        champions = _champions(tx, slots)
        can_change = SELF_UPDATE in request.capabilities
        agent = agent_assignment_of(tx, device.id) if can_change else None
    assigned = _assign_champions(workspace, slots, champions, now_ms=now_ms)
    news = declared(device.id, request.streams, streams)
    happened = _happened(request, before)
    report = Report(seen_at_ms=now_ms, check_in=request)
    is_eventful = assigned or news or happened or before is None or _is_other(device, request)
    if buffer is not None and not is_eventful:
        buffer.keep(device, report)
        return _reply(workspace, request, slots, streams, now_ms=now_ms)
    with _passing_by(buffer, device), workspace.db.write() as tx:
        store.put_report(tx, device, report)
        _declare(tx, call.actor, news, slots, now_ms=now_ms)
        # If another check-in or a rollout was quicker, theirs is the assignment read below.
        store.move_slots(tx, [(slot, slot.counter - 1) for slot in assigned])
        _note_agent(tx, device, request)
        for one in happened:
            tell(tx, one.kind, device.id, by=call.actor, at_ms=now_ms, data=one.data)
        if assigned:
            slots = store.slots_of(tx, device.id)
    reply = _reply(workspace, request, slots, [*streams, *news], now_ms=now_ms)
    return msgspec.structs.replace(reply, agent=agent)


def _report_before(tx: Tx, device: Device, buffer: ReportBuffer | None) -> Report | None:
    waiting = None if buffer is None else buffer.latest(device.id)
    return waiting or store.report_of(tx, device.id)


def _passing_by(buffer: ReportBuffer | None, device: Device) -> AbstractContextManager[None]:
    return nullcontext() if buffer is None else buffer.passed_by(device.id)


def _champions(tx: Tx, slots: list[Slot]) -> dict[str, ModelVersion]:
    """The signed champion of each model that a slot still waits for."""
    found = {}
    for model in {slot.model for slot in slots if slot.bundle is None}:
        alias = registry.find_alias(tx, model, CHAMPION)
        if alias is not None:
            version = registry.get_version(tx, model, alias.number)
            if version.signed_at_ms is not None and version.revoked_at_ms is None:
                found[model] = version
    return found


def _assign_champions(
    workspace: Workspace, slots: list[Slot], champions: dict[str, ModelVersion], *, now_ms: int
) -> list[Slot]:
    waiting = [slot for slot in slots if slot.bundle is None and slot.model in champions]
    if not waiting:
        return []
    signer = open_assignment_signer(workspace)
    return [
        signer.assign(
            slot,
            number=champions[slot.model].number,
            bundle=champions[slot.model].bundle,
            now_ms=now_ms,
        )
        for slot in waiting
    ]


def _declare(tx: Tx, actor: Actor, news: list[Stream], slots: list[Slot], *, now_ms: int) -> None:
    """Record streams that are new or pointed at something else."""
    models = {slot.slot: slot.model for slot in slots}
    for stream in news:
        store.put_stream(tx, stream)
        data = {
            "device": stream.device,
            "stream": stream.name,
            "slot": stream.slot,
            "model": models.get(stream.slot),
            "stratum": stream.stratum,
        }
        tell(tx, STREAM_DECLARED, stream.device, by=actor, at_ms=now_ms, data=data)


def _is_other(device: Device, request: CheckIn) -> bool:
    """Whether another agent runs there than before."""
    known = (device.agent_version, device.capabilities)
    return known != (request.agent_version, request.capabilities)


def _note_agent(tx: Tx, device: Device, request: CheckIn) -> None:
    if _is_other(device, request):
        version, capabilities = request.agent_version, request.capabilities
        store.put_device(
            tx,
            msgspec.structs.replace(device, agent_version=version, capabilities=capabilities),
        )


def _happened(request: CheckIn, before: Report | None) -> list[_Happened]:
    """Only what an auditor would ask about: what ran where, and what would not run."""
    found = []
    for report in request.slots:
        last = None if before is None else before.of_slot(report.slot)
        ran = None if last is None else last.running
        if report.running is not None and report.running != ran:
            data = _facts(request, report, bundle=report.running) | {"previous": ran}
            found.append(_Happened(SLOT_SWITCHED, data))
        if report.state == "failed" and not _failed_alike(last, report):
            data = _facts(request, report, bundle=report.assigned) | {"problem": report.problem}
            found.append(_Happened(SLOT_FAILED, data))
    return found


def _failed_alike(last: SlotReport | None, now: SlotReport) -> bool:
    return last is not None and (last.state, last.assigned) == (now.state, now.assigned)


def _facts(request: CheckIn, report: SlotReport, *, bundle: Digest | None) -> dict[str, object]:
    return {"device": request.device, "slot": report.slot, "bundle": bundle}


def _reply(
    workspace: Workspace, request: CheckIn, slots: list[Slot], streams: list[Stream], *, now_ms: int
) -> CheckInReply:
    policies = {stream.name: stream.policy for stream in streams}
    return CheckInReply(
        assignments=[slot.assignment for slot in slots if slot.assignment is not None],
        policies=[policies[declaration.name] for declaration in request.streams],
        next_check_in_s=workspace.config.server.check_in_every_s,
        server_time_ms=now_ms,
        update_version=newest_update_version(workspace),
    )
