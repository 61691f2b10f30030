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


def accept(
    assignment: Assignment,
    payload: Digest,
    *,
    device: str,
    slots: Collection[str],
    before: Accepted | None,
) -> Accepted | Literal["known"]:
    """What to remember of this assignment, or `"known"` when it is the one remembered already.

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
    if before is not None and assignment.counter <= before.counter:
        raise OldCounter(slot=assignment.slot, counter=assignment.counter, seen=before.counter)
    return Accepted(
        payload=payload,
        counter=assignment.counter,
        model=assignment.model,
        version=assignment.version,
        bundle=assignment.bundle,
    )
