"""Streams: declared by their device, told by the server what to keep."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import Meta

from sightloop.contracts.check_in import StreamDeclaration, StreamPolicy
from sightloop.fleet import store
from sightloop.fleet.errors import BadStreamPolicy
from sightloop.fleet.values import DeviceId, Stream
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.errors import NotFound
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.workspace import Call, Workspace

POLICY_CHANGED = EventKind("stream.policy_changed")

Share = Annotated[float, Meta(ge=0, le=1)]


class SetStreamPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Change what a stream keeps; a field that is None stays as it is."""

    device: str
    stream: str
    audit_rate: Share | None = None
    uncertain_per_hour: Annotated[int, Meta(ge=0)] | None = None
    drift_rate: Share | None = None
    window_images: Annotated[int, Meta(ge=1)] | None = None
    window_s: Annotated[float, Meta(gt=0)] | None = None


def set_stream_policy(workspace: Workspace, call: Call, request: SetStreamPolicy) -> Stream:
    """The stream's device hears of the policy at its next check-in; no change is no event.

    Raises:
        BadStreamPolicy: a value no stream can have.
        NotFound: there is no such device, or it has not declared such a stream.
    """
    require(call.actor, Permission.RUN_LOOP)
    _check(request)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        stream = _find(store.streams_of(tx, store.get_device(tx, request.device).id), request)
        policy = _changed(stream.policy, request)
        if policy == stream.policy:
            return stream
        stream = msgspec.structs.replace(stream, policy=policy)
        store.put_stream(tx, stream)
        data = {
            "device": stream.device,
            "stream": stream.name,
            "policy": msgspec.structs.asdict(policy),
        }
        tell(tx, POLICY_CHANGED, stream.device, by=call.actor, at_ms=now_ms, data=data)
    return stream


def declared(
    device: DeviceId, declarations: Iterable[StreamDeclaration], known: Iterable[Stream]
) -> list[Stream]:
    """The streams that are new or pointed at something else; a known one keeps its policy."""
    before = {stream.name: stream for stream in known}
    now = [
        Stream(
            device=device,
            name=found.name,
            slot=found.slot,
            stratum=found.stratum,
            policy=before[found.name].policy
            if found.name in before
            else StreamPolicy(stream=found.name),
        )
        for found in declarations
    ]
    return [stream for stream in now if before.get(stream.name) != stream]


def _find(streams: list[Stream], request: SetStreamPolicy) -> Stream:
    for stream in streams:
        if stream.name == request.stream:
            return stream
    names = ", ".join(stream.name for stream in streams) or "none so far"
    raise NotFound(
        what="stream", name=f"{request.device}/{request.stream}", hint=f"declared are: {names}"
    )


def _changed(policy: StreamPolicy, request: SetStreamPolicy) -> StreamPolicy:
    wanted = msgspec.structs.asdict(request)
    changes = {
        field: value
        for field, value in wanted.items()
        if field not in ("device", "stream") and value is not None
    }
    return msgspec.structs.replace(policy, **changes)


def _check(request: SetStreamPolicy) -> None:
    # Requests that were not decoded from JSON have not met the bounds in the types above.
    try:
        msgspec.convert(msgspec.structs.asdict(request), SetStreamPolicy)
    except msgspec.ValidationError as error:
        raise BadStreamPolicy(
            device=request.device, stream=request.stream, problem=str(error)
        ) from error
