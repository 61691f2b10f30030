"""May this device follow that assignment? Pure; the signature is checked in `trust`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

import msgspec

from sightloop.contracts.assignment import Assignment
from sightloop.device.errors import AssignmentForAnother, OldCounter, UnknownSlot
from sightloop.kernel.digests import Digest


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The last assignment a slot accepted; written down before it is acted on."""

    payload: Digest
    """Of the signed bytes: the same counter with other content is another assignment."""
    counter: int
    model: str
    version: int
    bundle: Digest
    key_id: str = ""
    """Of the online key that signed it; empty in the memory of an agent that did not note it."""


def accept(
    assignment: Assignment,
    payload: Digest,
    *,
    key_id: str,
    device: str,
    slots: Collection[str],
    before: Accepted | None,
) -> Accepted | Literal["known"]:
    """What to remember of this assignment, or `"known"` when it is the one remembered already.

    Counters count per key. Only one key is trusted at a time and a replaced one never comes back,
    so a counter that a thief drove up is worth nothing once his key was rotated away.

    Raises:
        AssignmentForAnother: it names another device.
        UnknownSlot: it names a slot this device does not have.
        OldCounter: its counter was passed, or used up by another assignment.
    """
    if assignment.device != device:
        raise AssignmentForAnother(named=assignment.device, device=device)
    if assignment.slot not in slots:
        raise UnknownSlot(slot=assignment.slot, slots=sorted(slots))
    if before is not None and payload == before.payload:
        return "known"
    same_key = before is not None and before.key_id in ("", key_id)
    if before is not None and same_key and assignment.counter <= before.counter:
        raise OldCounter(slot=assignment.slot, counter=assignment.counter, seen=before.counter)
    return Accepted(
        payload=payload,
        counter=assignment.counter,
        model=assignment.model,
        version=assignment.version,
        bundle=assignment.bundle,
        key_id=key_id,
    )
