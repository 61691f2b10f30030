"""Devices, their slots and streams, as values."""

from __future__ import annotations

import re
from typing import Literal, NewType

import msgspec

from sightloop.contracts.assignment import SignedAssignment
from sightloop.contracts.check_in import CheckIn, SlotReport, StreamPolicy
from sightloop.fleet.errors import BadFleetName
from sightloop.kernel.digests import Digest

DeviceId = NewType("DeviceId", str)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A machine that runs the agent."""

    id: DeviceId
    name: str
    ring: str
    site: str
    device_class: str
    agent_version: str
    capabilities: list[str]
    enrolled_at_ms: int


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """A model's place on a device, and what the server wants there.

    `counter` belongs to the slot, not to the assignment: it only grows, also when an assignment is
    withdrawn and another given later.
    """

    device: DeviceId
    slot: str
    model: str
    counter: int = 0
    number: int | None = None
    bundle: Digest | None = None
    assignment: SignedAssignment | None = None


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """A camera as its device declared it, and what it should keep."""

    device: DeviceId
    name: str
    slot: str
    stratum: str
    policy: StreamPolicy


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The latest check-in of a device, and when it came by the server's clock."""

    seen_at_ms: int
    check_in: CheckIn

    @property
    def is_failing(self) -> bool:
        """Whether a slot could not be put to work with what it is assigned."""
        return any(slot.state == "failed" for slot in self.check_in.slots)

    def of_slot(self, slot: str) -> SlotReport | None:
        """What it says of one slot."""
        return next((found for found in self.check_in.slots if found.slot == slot), None)


DeviceState = Literal["online", "silent", "new", "failing"]
"""online: spoke lately; silent: did not; new: enrolled and never came by; failing: with a slot
that failed, whether it speaks or not."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which devices; None takes any."""

    site: str | None = None
    ring: str | None = None
    model: str | None = None
    state: DeviceState | None = None


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a device stands in the list of all; names are unique."""

    site: str
    ring: str
    name: str


class RingCount(msgspec.Struct, frozen=True, kw_only=True):
    """A ring in numbers of devices; online, silent and new ones add up to all."""

    ring: str
    n_devices: int
    n_online: int
    n_silent: int
    n_new: int
    n_failing: int


def parse_name(text: str, *, what: str) -> str:
    """The text as the name of a `what`.

    Raises:
        BadFleetName: it is empty, too long or has other characters.
    """
    if not _NAME.fullmatch(text):
        raise BadFleetName(what=what, name=text)
    return text
