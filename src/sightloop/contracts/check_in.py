"""The regular talk between device and server: enrol once, then check in for ever.

Specification: docs/formats/check-in.md.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from sightloop.contracts.assignment import SignedAssignment
from sightloop.contracts.builds import BuildReport
from sightloop.kernel.digests import Digest

SlotState = Literal["empty", "downloading", "starting", "serving", "failed"]
"""How a slot stands towards the bundle it is assigned.

`empty`: assigned nothing and running nothing. `downloading`, `starting`: the assigned bundle is on
its way, and what ran before still answers. `serving`: the running bundle is the one assigned, or
nothing is assigned. `failed`: the assigned bundle could not be put to work; what ran before still
answers, and `problem` says why.
"""


class StreamDeclaration(msgspec.Struct, frozen=True):
    """A camera as the device is configured: its slot and what it is pointed at.

    `stratum` is the slice (`field=value`) whose reference fits this stream; `""` compares with
    all images together.
    """

    name: str
    slot: str
    stratum: str = ""


class EnrolRequest(msgspec.Struct, frozen=True, kw_only=True):
    """First contact, with a one-time token in the header."""

    format: Literal["sightloop.enrol/1"] = "sightloop.enrol/1"
    name: str
    device_class: str
    """What kind of machine: processor and runtime decide what was gated for it."""
    agent_version: str
    capabilities: list[str]


class EnrolReply(msgspec.Struct, frozen=True, kw_only=True):
    """Who the device is from now on, and the root of trust for every update."""

    format: Literal["sightloop.enrol-reply/1"] = "sightloop.enrol-reply/1"
    device: str
    token: str
    update_root: bytes


class SlotReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a slot does now."""

    slot: str
    state: SlotState
    running: Digest | None
    assigned: Digest | None
    counter: int
    golden_passed: bool
    """The running bundle reproduced its golden images on this device."""
    n_requests: int
    """Since the running bundle was switched in."""
    n_failed: int
    latency_p95_ms: float
    problem: str
    quarantined: list[Digest] = []
    """Bundles this slot will not start again: their golden check failed, or they kept crashing."""
    runtime: str = ""
    """What runs the bundle, in words."""
    choice_problem: str = ""
    """Why the way the device was tuned to run it is not used."""
    builds: list[BuildReport] = []
    """What was measured of the running bundle on this device, candidates included."""


class CheckIn(msgspec.Struct, frozen=True, kw_only=True):
    """A device tells how it is."""

    format: Literal["sightloop.check-in/1"] = "sightloop.check-in/1"
    device: str
    agent_version: str
    capabilities: list[str]
    boot: str
    """Changes whenever the agent starts, so that counters that begin anew are understood."""
    at_ms: int
    streams: list[StreamDeclaration]
    slots: list[SlotReport]
    n_spooled: int
    agent_release: Digest | None = None
    """Which signed release the agent is; None when it came with the system's packages."""
    agent_problem: str = ""
    """Why it is not the release it was assigned; else empty."""


class StreamPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What a stream keeps: rates are probabilities per image, budgets are images per hour."""

    stream: str
    audit_rate: float = 0.02
    uncertain_per_hour: int = 20
    drift_rate: float = 0.0
    """Probability of keeping an image for the drift lane; raised while an incident is open."""
    window_images: int = 100
    window_s: float = 3600.0
    """A profile window closes at whichever comes first."""


class CheckInReply(msgspec.Struct, frozen=True, kw_only=True):
    """What the server wants of the device."""

    format: Literal["sightloop.check-in-reply/1"] = "sightloop.check-in-reply/1"
    assignments: list[SignedAssignment]
    policies: list[StreamPolicy]
    next_check_in_s: float
    server_time_ms: int
    update_version: int = 0
    """Of the newest update metadata; a device that saw an older one looks, for revocations too."""
    agent: SignedAssignment | None = None
    """Which agent the device should run; only sent to agents that can replace themselves."""
